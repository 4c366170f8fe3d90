/** The records of one topic as they come from a server: gone on with, without gap or repeat, when it was away. */
import type { MessageInitShape } from "@bufbuild/protobuf";

import { LogError } from "../errors/index.ts";
import {
  type BoundSchema,
  LogService,
  type ReadRequestSchema,
  type ReadResponse,
  type Record as WireRecord,
} from "../proto/index.ts";
import type { Patience } from "./patience.ts";
import type { Server } from "./server.ts";

export type WireBound = MessageInitShape<typeof BoundSchema>;

export interface StreamRange {
  /** None means all. */
  readonly partitions: readonly number[];
  readonly from: WireBound;
  /** Where single partitions begin, before `from`. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Where reading ends; where nothing is said, at what was there when it began, unless it follows. */
  readonly ends?: ReadonlyMap<number, number> | undefined;
  readonly follow: boolean;
  readonly limit: number;
  readonly deletions: boolean;
  readonly skipsMissing: boolean;
}

/**
 * A stream that has been silent for so long is asked for anew: a connection may be gone without a
 * word, as when a laptop slept.
 */
const SILENT_MS_MAX = 60_000;

export class TopicStream {
  readonly topic: string;
  readonly #server: Server;
  readonly #range: StreamRange;
  readonly #signal: AbortSignal;
  readonly #patience: Patience;
  #messages: AsyncGenerator<ReadResponse, void, undefined> | undefined;
  /** Records of the last message, and the first of them that was not taken. */
  #records: readonly WireRecord[] = [];
  #at = 0;
  /** Where to go on, of each partition: behind what was taken; behind all that came. */
  readonly #taken = new Map<number, number>();
  readonly #received = new Map<number, number>();
  /** Where reading ends, once the server has said so. */
  readonly #ends = new Map<number, number>();
  #left: number;
  #isDone = false;
  /** The stream of now is not the first one. */
  #isResumed = false;
  #attempt = new AbortController();
  #filling: Promise<void> | undefined;

  // oxlint-disable-next-line max-params -- whose records, which of them, and until when
  constructor(server: Server, topic: string, range: StreamRange, signal: AbortSignal) {
    this.topic = topic;
    this.#server = server;
    this.#range = range;
    this.#signal = signal;
    this.#patience = server.patience();
    this.#left = range.limit;
    for (const [partition, offset] of range.offsets) this.#received.set(partition, offset);
    for (const [partition, offset] of range.ends ?? []) this.#ends.set(partition, offset);
  }

  /** The next record, where it is at hand. */
  get head(): WireRecord | undefined {
    return this.#records[this.#at];
  }

  /** Nothing comes any more. */
  get isDone(): boolean {
    return this.#isDone && this.head === undefined;
  }

  /** Where to go on in each partition: behind what was taken. */
  get position(): ReadonlyMap<number, number> {
    return this.#taken;
  }

  /** Gives the head up. */
  take(): void {
    const record = this.head;
    if (record === undefined) return;
    this.#taken.set(record.partition, Number(record.offset) + 1);
    this.#at++;
    this.#settle();
  }

  /** Settles when a record is at hand, or none comes any more. One for all who wait. */
  filled(): Promise<void> {
    if (this.head !== undefined || this.#isDone) return Promise.resolve();
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  /** Lets the connection go, and whoever waits for it. */
  close(): void {
    this.#isDone = true;
    this.#leave();
  }

  #leave(): void {
    const messages = this.#messages;
    this.#messages = undefined;
    this.#attempt.abort(new LogError("cancelled", "the stream was left"));
    // Nobody waits for it any more: what it fails with now is that it was left.
    messages?.return().catch(() => undefined);
  }

  async #fill(): Promise<void> {
    while (this.head === undefined && !this.#isDone) {
      try {
        const message = await this.#message();
        this.#patience.reset();
        if (message === undefined) this.#isDone = true;
        else this.#receive(message);
      } catch (thrown) {
        if (this.#isDone) return;
        this.#leave();
        this.#isResumed = true;
        await this.#patience.failed(LogError.from(thrown), this.#signal);
      }
    }
  }

  /** The next message; undefined at the end. */
  async #message(): Promise<ReadResponse | undefined> {
    if (this.#messages === undefined) {
      this.#attempt = new AbortController();
      const signal = AbortSignal.any([this.#signal, this.#attempt.signal]);
      this.#messages = this.#server.stream(LogService.method.read, this.#request(), signal);
    }
    const step = await this.#unlessSilent(this.#messages);
    return step.done === true ? undefined : step.value;
  }

  async #unlessSilent(
    messages: AsyncGenerator<ReadResponse, void, undefined>,
  ): Promise<IteratorResult<ReadResponse, void>> {
    const heard = new AbortController();
    const silence = this.#server
      .delay(SILENT_MS_MAX, AbortSignal.any([heard.signal, this.#signal]))
      .then(() => undefined);
    try {
      const step = await Promise.race([messages.next(), silence]);
      if (step !== undefined) return step;
      throw new LogError("unreachable", `${this.#server.url} said nothing for too long`);
    } finally {
      heard.abort();
    }
  }

  #request(): MessageInitShape<typeof ReadRequestSchema> {
    const { partitions, from, follow, deletions, skipsMissing } = this.#range;
    return {
      topic: this.topic,
      partitions: [...partitions],
      from,
      offsets: Array.from(this.#received, ([partition, offset]) => ({
        partition,
        offset: BigInt(offset),
      })),
      follow,
      limit: this.#left === Infinity ? 0n : BigInt(this.#left),
      skipDeletions: !deletions,
      skipMissing: skipsMissing,
    };
  }

  #receive({ records, next, end }: ReadResponse): void {
    const isFirst = this.#taken.size === 0;
    for (const { partition, offset } of next) this.#received.set(partition, Number(offset));
    if (isFirst)
      for (const [partition, offset] of this.#received) this.#taken.set(partition, offset);
    if (this.#ends.size === 0) {
      for (const { partition, offset } of end) this.#ends.set(partition, Number(offset));
    }
    this.#records = this.#ends.size === 0 ? records : records.filter((one) => this.#isWanted(one));
    this.#at = 0;
    this.#left -= this.#records.length;
    this.#settle();
    const isAtEnd =
      this.#ends.size > 0 &&
      [...this.#ends].every(
        ([partition, offset]) => (this.#received.get(partition) ?? 0) >= offset,
      );
    // The first stream ends by itself where the server set the end; others would go on.
    if (isAtEnd && (this.#isResumed || this.#range.ends !== undefined)) this.close();
  }

  /** A stream that was gone on with may know of a later end than the first one did. */
  #isWanted({ partition, offset }: WireRecord): boolean {
    return Number(offset) < (this.#ends.get(partition) ?? Infinity);
  }

  /** When all of a message is taken, what it passed over is, too. */
  #settle(): void {
    if (this.head !== undefined) return;
    for (const [partition, offset] of this.#received) this.#taken.set(partition, offset);
  }
}
