import type { Env, Timer } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Counter } from "../metrics/index.ts";
import type { AdvanceWaiter, Partition } from "../partitions/index.ts";
import type { FetchedBytes } from "../storage/index.ts";
import type { FetchedPartition, Fetching, FetchItem, FetchRequest } from "./record-verbs.ts";

/** What all fetches of a broker share. */
export interface FetchShare {
  readonly env: Env;
  /** Most bytes of one answer. */
  readonly bytesMax: number;
  readonly answered: Counter;
  readonly answeredBytes: Counter;
  /** Fetches that wait now. */
  waiting: number;
}

/**
 * One fetch: reads what is there, and where that is too little waits until there is enough or its
 * time is over, and reads again. However many partitions move in one turn of the event loop, it
 * looks once.
 */
// hot: once for every fetch request.
export class PartitionsFetch implements Fetching, AdvanceWaiter {
  readonly #share: FetchShare;
  readonly #request: FetchRequest;
  readonly #done: (answer: FetchedPartition[]) => void;
  #answer: FetchedPartition[] = [];
  /** Bytes read so far. */
  #bytes = 0;
  #hasError = false;
  /** No more waiting: what is read now is the answer. */
  #isFinal: boolean;
  #isDone = false;
  #isWaiting = false;
  #isLookDue = false;
  #timer: Timer | undefined;
  /** For each item, what its partition had in all before it was read. */
  readonly #seenBytes: number[] = [];

  constructor(
    share: FetchShare,
    request: FetchRequest,
    done: (answer: FetchedPartition[]) => void,
  ) {
    this.#share = share;
    this.#request = request;
    this.#done = done;
    this.#isFinal = request.waitMsMax <= 0 || request.bytesMin <= 0 || request.items.length === 0;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  start(): void {
    for (const { partition } of this.#request.items) this.#seenBytes.push(partition.durableBytes);
    this.#read(0);
  }

  cancel(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#stopWaiting();
    this.#releaseAll();
  }

  advanced(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.#share.env.timers.soon(() => {
      this.#isLookDue = false;
      if (this.#isWaiting && this.#isEnough()) this.#finish();
    });
  }

  /** Reads the items from `first` on; one that must wait for the device goes on where it is read. */
  #read(first: number): void {
    const { items } = this.#request;
    for (let index = first; index < items.length; index++) {
      const item = items[index];
      if (item === undefined) break;
      const reading = this.#readOne(item);
      if (reading !== undefined) {
        reading.then(
          (fetched) => this.#resume(index, fetched),
          (error: unknown) => this.#resume(index, undefined, LogError.from(error)),
        );
        return;
      }
    }
    this.#wasRead();
  }

  #resume(index: number, fetched: FetchedBytes | undefined, error?: LogError): void {
    const item = this.#request.items[index];
    if (this.#isDone || item === undefined) {
      fetched?.release();
      return;
    }
    this.#add(item.partition, fetched, error);
    this.#read(index + 1);
  }

  /** Undefined where the item is read; a promise where that takes the device. */
  #readOne(item: FetchItem): Promise<FetchedBytes | undefined> | undefined {
    const { partition } = item;
    const fault = partition.closeReason ?? partition.epochFault(item.currentLeaderEpoch);
    if (fault !== undefined) {
      this.#add(partition, undefined, fault);
      return undefined;
    }
    const left = Math.min(this.#request.bytesMax, this.#share.bytesMax) - this.#bytes;
    const bytesMax = Math.max(0, Math.min(item.bytesMax, left));
    try {
      const options = { bytesMax, atLeastOneBatch: this.#bytes === 0 };
      const reading = partition.read(item.fetchOffset, options);
      if (reading instanceof Promise) return reading;
      this.#add(partition, reading, undefined);
    } catch (thrown) {
      this.#add(partition, undefined, LogError.from(thrown));
    }
    return undefined;
  }

  #add(partition: Partition, fetched: FetchedBytes | undefined, error: LogError | undefined): void {
    const { highWatermark, lastStableOffset, logStartOffset } = partition;
    const offsets = { highWatermark, lastStableOffset, logStartOffset };
    if (error !== undefined) {
      this.#hasError = true;
      const { code: errorCode, message: errorMessage } = error;
      this.#answer.push({ ...offsets, fetched: undefined, errorCode, errorMessage });
      return;
    }
    this.#bytes += fetched?.bytes.length ?? 0;
    this.#answer.push({ ...offsets, fetched });
  }

  #wasRead(): void {
    if (this.#isFinal || this.#hasError || this.#bytes >= this.#request.bytesMin) {
      this.#isDone = true;
      this.#share.answered.add();
      this.#share.answeredBytes.add(this.#bytes);
      this.#done(this.#answer);
      return;
    }
    this.#releaseAll();
    this.#startWaiting();
  }

  #startWaiting(): void {
    this.#isWaiting = true;
    this.#share.waiting++;
    for (const { partition } of this.#request.items) partition.addWaiter(this);
    this.#timer = this.#share.env.timers.after(this.#request.waitMsMax, () => this.#finish());
    // Something may have become durable while older records were read from the device.
    if (this.#isEnough()) this.advanced();
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#share.waiting--;
    this.#timer?.cancel();
    for (const { partition } of this.#request.items) partition.removeWaiter(this);
  }

  /** What was there when it was read, and what came since: counted, not read. */
  #isEnough(): boolean {
    let bytes = this.#bytes;
    for (const [index, { partition }] of this.#request.items.entries()) {
      if (partition.closeReason !== undefined) return true;
      bytes += partition.durableBytes - (this.#seenBytes[index] ?? 0);
    }
    return bytes >= this.#request.bytesMin;
  }

  #finish(): void {
    if (!this.#isWaiting) return;
    this.#stopWaiting();
    this.#isFinal = true;
    this.#bytes = 0;
    this.#read(0);
  }

  #releaseAll(): void {
    for (const { fetched } of this.#answer) fetched?.release();
    this.#answer = [];
  }
}
