/** Appends to one partition of a server: in the order of the calls, each once whatever happens to an answer. */
import type { MessageInitShape } from "@bufbuild/protobuf";

import { invariant, LogError } from "../errors/index.ts";
import { type AppendRequestSchema, LogService } from "../proto/index.ts";
import type { Server } from "./server.ts";

/** A record as the wire takes it. */
export interface OutgoingRecord {
  readonly key?: Uint8Array;
  readonly value?: Uint8Array;
  readonly headers: { readonly name: string; readonly value?: Uint8Array }[];
  readonly timestampMs?: bigint;
}

/** What an append may expect of the log. */
export type Expectation = Pick<
  MessageInitShape<typeof AppendRequestSchema>,
  "expectedOffset" | "expectedLast"
>;

/** Appends that were called while one is under way go together, up to so many bytes and records. */
const GATHERED_BYTES_MAX = 64 << 10;
const GATHERED_RECORDS_MAX = 1_000;
/** What may wait for its answer; more is refused. */
const WAITING_BYTES_MAX = 64 << 20;
/** What a record takes beside its key and value. */
const RECORD_OVERHEAD_BYTES = 32;
const SEQUENCES = 2 ** 31;

interface Producer {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Records that the partition took of it; 0 follows the largest. */
  sequence: number;
}

/** Records that go in one request. */
interface Outgoing {
  readonly records: OutgoingRecord[];
  /** Who waits: for each call, at which of the records its own begin. */
  readonly waiting: Waiting[];
  readonly expectation: Expectation | undefined;
  /** Whether more calls may add to it. */
  readonly isOpen: boolean;
  bytes: number;
}

interface Waiting {
  readonly at: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: LogError) => void;
}

export class RemoteWriter {
  readonly #server: Server;
  readonly #topic: string;
  readonly #partition: number;
  /** In the order in which they go; the first is under way while the writer runs. */
  #queue: Outgoing[] = [];
  #bytes = 0;
  #producer: Producer | undefined;
  /** Settles when everything in the queue has; undefined while there is nothing. */
  #running: Promise<void> | undefined;

  constructor(server: Server, topic: string, partition: number) {
    this.#server = server;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** Whether records wait that more may be added to. */
  get isGathering(): boolean {
    return this.#queue.at(-1)?.isOpen === true;
  }

  /** Settles when it is known what became of everything that was added. */
  async drained(): Promise<void> {
    await this.#running;
  }

  /** Appends a record; those of one turn, and those called while others are under way, go together. */
  add(record: OutgoingRecord): Promise<number> {
    const bytes = sizeOf(record);
    let last = this.#queue.at(-1);
    const hasRoom =
      last?.isOpen === true &&
      last.bytes + bytes <= GATHERED_BYTES_MAX &&
      last.records.length < GATHERED_RECORDS_MAX;
    if (last === undefined || !hasRoom) {
      last = { records: [], waiting: [], expectation: undefined, isOpen: true, bytes: 0 };
      this.#queue.push(last);
    }
    return this.#join(last, [record], bytes);
  }

  /** Appends records as one batch: all of them or none. Resolves with the offset of the first. */
  addAll(records: readonly OutgoingRecord[], expectation?: Expectation): Promise<number> {
    const outgoing = { records: [], waiting: [], expectation, isOpen: false, bytes: 0 };
    this.#queue.push(outgoing);
    const bytes = records.reduce((sum, record) => sum + sizeOf(record), 0);
    return this.#join(outgoing, records, bytes);
  }

  // A failure is the rejection of what is returned, as that of any append.
  async #join(
    outgoing: Outgoing,
    records: readonly OutgoingRecord[],
    bytes: number,
  ): Promise<number> {
    if (this.#bytes > 0 && this.#bytes + bytes > WAITING_BYTES_MAX) {
      if (outgoing.records.length === 0)
        this.#queue = this.#queue.filter((one) => one !== outgoing);
      throw new LogError(
        "limit_exceeded",
        `${this.#name}: more than ${WAITING_BYTES_MAX} bytes of appends wait for their answers. Await some of them before the next.`,
      );
    }
    this.#bytes += bytes;
    outgoing.bytes += bytes;
    const at = outgoing.records.length;
    for (const record of records) outgoing.records.push(record);
    const added = new Promise<number>((resolve, reject) => {
      outgoing.waiting.push({ at, resolve, reject });
    });
    this.#running ??= this.#run();
    return added;
  }

  get #name(): string {
    return `${this.#topic}/${this.#partition}`;
  }

  async #run(): Promise<void> {
    // What else is appended in this turn goes along.
    await Promise.resolve();
    for (;;) {
      const outgoing = this.#queue.shift();
      if (outgoing === undefined) break;
      await this.#deliver(outgoing);
    }
    this.#running = undefined;
  }

  async #deliver(outgoing: Outgoing): Promise<void> {
    try {
      const base = await this.#append(outgoing);
      for (const { at, resolve } of outgoing.waiting) resolve(base + at);
    } catch (thrown) {
      const error = LogError.from(thrown);
      // One record too many or too large is no reason to refuse those that only went along.
      const halves = isRefusal(error) ? halvesOf(outgoing) : undefined;
      if (halves !== undefined) {
        this.#queue.unshift(...halves);
        return;
      }
      for (const { reject } of outgoing.waiting) reject(error);
    }
    this.#bytes -= outgoing.bytes;
  }

  /** Asks until there is an answer: with the same numbers, so that what was done is not done again. */
  async #append(outgoing: Outgoing): Promise<number> {
    const { records, expectation = {} } = outgoing;
    const patience = this.#server.patience();
    let isUnknown = false;
    for (;;) {
      let isSent = false;
      try {
        const producer = await this.#identity();
        isSent = true;
        const response = await this.#server.unary(LogService.method.append, {
          topic: this.#topic,
          partition: this.#partition,
          records,
          producer: { ...producer, baseSequence: producer.sequence },
          ...expectation,
        });
        const [run] = response.runs;
        invariant(run?.count === records.length, "an append answers with one run of its records");
        producer.sequence = (producer.sequence + records.length) % SEQUENCES;
        return Number(run.offset);
      } catch (thrown) {
        const error = LogError.from(thrown);
        const isForgotten =
          error.code === "sequence_out_of_order" || error.code === "producer_fenced";
        // Another one writes under these numbers, which is what a topic of the same name does that was made anew.
        if (isForgotten && !isUnknown && this.#producer?.sequence !== 0) {
          this.#producer = undefined;
          continue;
        }
        isUnknown ||= isSent && error.code === "unreachable";
        try {
          await patience.failed(error, this.#server.ending);
        } catch (last) {
          throw isUnknown ? this.#outcomeUnknown(LogError.from(last)) : last;
        }
      }
    }
  }

  async #identity(): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer;
    const { producerId, producerEpoch } = await this.#server.unary(
      LogService.method.initProducer,
      {},
    );
    this.#producer = { producerId, producerEpoch, sequence: 0 };
    return this.#producer;
  }

  #outcomeUnknown(error: LogError): LogError {
    // The next append begins under a new number: whether these were used nobody knows.
    this.#producer = undefined;
    return new LogError(
      "timeout",
      `${this.#name}: there was no answer, so whether the records are in the log is not known; look before you append them again. ${error.message}`,
      { cause: error },
    );
  }
}

function sizeOf({ key, value }: OutgoingRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
}

/** Whether the records themselves are what is wrong. */
function isRefusal({ code }: LogError): boolean {
  return code === "record_too_large" || code === "batch_invalid" || code === "invalid_timestamp";
}

/** Two requests in place of one; undefined where all of it is of one call. */
function halvesOf({ records, waiting, expectation, isOpen }: Outgoing): Outgoing[] | undefined {
  const middle = waiting[waiting.length >> 1];
  if (middle === undefined || waiting.length < 2) return undefined;
  const part = (first: number, end: number): Outgoing => {
    const own = records.slice(first, end);
    return {
      records: own,
      waiting: waiting.flatMap((one) =>
        one.at >= first && one.at < end ? [{ ...one, at: one.at - first }] : [],
      ),
      expectation,
      isOpen,
      bytes: own.reduce((sum, record) => sum + sizeOf(record), 0),
    };
  };
  return [part(0, middle.at), part(middle.at, records.length)];
}
