import { NIL_UUID } from "../../bytes/index.ts";
import { LogError, outcomes } from "../../errors/index.ts";
import { BatchHeader, BATCH_HEADER_BYTES, checkStoredBatch } from "../../records/index.ts";
import type { RequestBody, ResponseOf } from "../registry.ts";
import { backoffMs, type Cluster } from "./cluster.ts";
import { answeredError, isTransient, mustSucceed } from "./errors.ts";
import { byTopic } from "./groups.ts";
import type { RecordChunk } from "./record-chunk.ts";

/** What to read of a partition: offsets from `start` up to before `end`; without `end`, on and on. */
export interface PartitionRange {
  readonly topic: string;
  readonly partition: number;
  readonly start: number;
  readonly end: number | undefined;
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Of one answer. What is held at a time is about twice that for each broker. */
  readonly bytesMax?: number | undefined;
  readonly waitMsMax?: number | undefined;
  /** How long a broker that cannot be reached is tried again; ranges without end are tried for ever. */
  readonly retryMsMax?: number | undefined;
}

interface Cursor {
  readonly topic: string;
  readonly partition: number;
  readonly start: number;
  /** Offset to ask for next. */
  next: number;
  /** Lowered to the high watermark where there is less than was asked for. */
  end: number | undefined;
  /** As of the last look at who leads. */
  topicId: string;
  /** Whether a request with it is under way: never two, or records would come twice. */
  isAsked: boolean;
}

interface Answered {
  readonly leader: number;
  readonly asked: readonly Cursor[];
  readonly answer: ResponseOf<"Fetch"> | LogError;
}

const BYTES_MAX = 8 * 1024 * 1024;
const WAIT_MS_MAX = 500;
const RETRY_MS_MAX = 30_000;
const NO_SESSION = { sessionId: 0, sessionEpoch: -1 } as const;

/**
 * The batches of all ranges, as they come; those of one partition in order. The next answer of a
 * broker is on its way while one is handed out, and no more than that: who does not ask for the next
 * chunk stops the reading.
 *
 * @throws LogError topic_not_found, offset_out_of_range, batch_corrupt, unreachable; the reason of the signal
 */
export async function* readRanges(
  cluster: Cluster,
  ranges: readonly PartitionRange[],
  options: ReadOptions = {},
): AsyncGenerator<RecordChunk, void, undefined> {
  const reading = new Reading(cluster, ranges, options);
  while (!reading.isOver) {
    options.signal?.throwIfAborted();
    for (const chunk of await reading.next()) yield chunk;
  }
}

class Reading {
  readonly #cluster: Cluster;
  readonly #options: ReadOptions;
  readonly #header = new BatchHeader();
  /** Partitions that are not read to their ends, the one served longest ago first. */
  #cursors: Cursor[];
  readonly #underWay = new Map<number, Promise<Answered>>();
  /** Failures since something was answered, and when the first of them was. */
  #failures = 0;
  #failingSinceMs = 0;
  /** What one partition failed with in an answer that had records of others. */
  #error: LogError | undefined;
  /** Partitions that have no such offset; looked into before they are asked again. */
  #gone: Cursor[] = [];

  constructor(cluster: Cluster, ranges: readonly PartitionRange[], options: ReadOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#cursors = ranges
      .map((range) => ({ ...range, next: range.start, topicId: NIL_UUID, isAsked: false }))
      .filter(({ next, end }) => end === undefined || next < end);
  }

  get isOver(): boolean {
    return this.#cursors.length === 0;
  }

  /** Chunks of the answer that comes first; asks for what comes after them before it answers. */
  async next(): Promise<RecordChunk[]> {
    try {
      this.#throwKept();
      await this.#skipGone();
      if (this.isOver) return [];
      await this.#ask();
      const answered = await this.#first();
      this.#underWay.delete(answered.leader);
      for (const cursor of answered.asked) cursor.isAsked = false;
      if (answered.answer instanceof LogError) throw answered.answer;
      mustSucceed(answered.answer.errorCode, "fetch");
      const chunks = this.#take(answered.asked, answered.answer);
      if (chunks.length === 0) this.#throwKept();
      this.#failures = 0;
      if (this.#gone.length === 0) await this.#ask().catch((thrown: unknown) => this.#keep(thrown));
      return chunks;
    } catch (thrown) {
      await this.#pause(LogError.from(thrown));
      return [];
    }
  }

  #keep(thrown: unknown): void {
    this.#error ??= LogError.from(thrown);
  }

  #throwKept(): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
  }

  /** A request to each leader that has something to give and none under way. */
  async #ask(): Promise<void> {
    const byLeader = new Map<number, Cursor[]>();
    for (const cursor of this.#cursors.filter(({ isAsked }) => !isAsked)) {
      const leader = await this.#cluster.leaderOf(cursor.topic, cursor.partition);
      cursor.topicId = this.#cluster.known(cursor.topic)?.topicId ?? cursor.topicId;
      const group = byLeader.get(leader);
      if (group === undefined) byLeader.set(leader, [cursor]);
      else group.push(cursor);
    }
    for (const [leader, asked] of byLeader) {
      if (this.#underWay.has(leader)) continue;
      for (const cursor of asked) cursor.isAsked = true;
      this.#underWay.set(leader, this.#fetch(leader, asked));
    }
  }

  async #first(): Promise<Answered> {
    const { signal } = this.#options;
    const underWay = [...this.#underWay.values()];
    if (signal === undefined) return Promise.race(underWay);
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([...underWay, aborted]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Never rejects: it may not be waited for at all. */
  async #fetch(leader: number, asked: readonly Cursor[]): Promise<Answered> {
    const waitMs = this.#options.waitMsMax ?? WAIT_MS_MAX;
    const bytesMax = this.#options.bytesMax ?? BYTES_MAX;
    try {
      const connection = await this.#cluster.node(leader, "fetch");
      const request: RequestBody<"Fetch"> = {
        maxWaitMs: waitMs,
        minBytes: 1,
        maxBytes: bytesMax,
        ...NO_SESSION,
        topics: byTopic(asked).map(([topic, cursors]) => ({
          topic,
          topicId: cursors[0]?.topicId ?? NIL_UUID,
          partitions: cursors.map(({ partition, next }) => ({
            partition,
            fetchOffset: next,
            partitionMaxBytes: bytesMax,
          })),
        })),
      };
      return { leader, asked, answer: await connection.request("Fetch", request, { waitMs }) };
    } catch (thrown) {
      return { leader, asked, answer: LogError.from(thrown) };
    }
  }

  #take(asked: readonly Cursor[], answer: ResponseOf<"Fetch">): RecordChunk[] {
    const chunks: RecordChunk[] = [];
    for (const topic of answer.responses) {
      for (const result of topic.partitions) {
        const cursor = asked.find(
          (each) => each.partition === result.partitionIndex && isOfTopic(each, topic),
        );
        if (cursor === undefined) {
          throw new LogError(
            "protocol_violation",
            "a fetch gave a partition that was not asked for",
          );
        }
        const { topic: name, partition, next } = cursor;
        const what = `${name}/${partition} at ${next}`;
        if (result.errorCode === 0) this.#takePartition(cursor, result, chunks);
        else if (result.errorCode === outcomes.offset_out_of_range.kafka) this.#gone.push(cursor);
        else this.#keep(answeredError(result.errorCode, what));
      }
    }
    return chunks;
  }

  #takePartition(
    cursor: Cursor,
    result: { readonly highWatermark: number; readonly records: Uint8Array | undefined },
    chunks: RecordChunk[],
  ): void {
    // What was cut off meanwhile is not waited for.
    if (cursor.end !== undefined && result.highWatermark < cursor.end) {
      cursor.end = result.highWatermark;
    }
    const records = result.records ?? nothing;
    const from = cursor.next;
    const sizeBytes = this.#wholeBatches(cursor, records);
    if (sizeBytes > 0) {
      chunks.push({
        topic: cursor.topic,
        partition: cursor.partition,
        bytes: records.subarray(0, sizeBytes),
        start: from,
        end: cursor.end ?? Infinity,
        nextOffset: cursor.next,
        highWatermark: result.highWatermark,
      });
      this.#moveBack(cursor);
    }
    if (cursor.end !== undefined && cursor.next >= cursor.end) this.#drop(cursor);
  }

  /** Moves the cursor behind the whole batches at the start of `records`; answers how many bytes they are. */
  #wholeBatches(cursor: Cursor, records: Uint8Array): number {
    const header = this.#header;
    let position = 0;
    // The last batch of an answer may be cut.
    while (records.length - position >= BATCH_HEADER_BYTES) {
      header.read(records, position);
      if (header.sizeBytes > records.length - position) break;
      const fault = checkStoredBatch(records, position, records.length, header);
      if (fault !== undefined) {
        const what = `${cursor.topic}/${cursor.partition} at ${header.baseOffset}`;
        throw new LogError(fault.code, `${what}: ${fault.reason}`);
      }
      position += header.sizeBytes;
      cursor.next = Math.max(cursor.next, header.nextOffset);
      if (cursor.end !== undefined && cursor.next >= cursor.end) return position;
    }
    if (position === 0 && records.length > 0) {
      const what = `${cursor.topic}/${cursor.partition} at ${cursor.next}`;
      throw new LogError("protocol_violation", `${what}: less than a batch was given`);
    }
    return position;
  }

  /** Partitions at the front of a request are served first, so each goes to the back once it was. */
  #moveBack(cursor: Cursor): void {
    this.#drop(cursor);
    this.#cursors.push(cursor);
  }

  #drop(cursor: Cursor): void {
    this.#cursors = this.#cursors.filter((other) => other !== cursor);
  }

  async #skipGone(): Promise<void> {
    const gone = this.#gone;
    this.#gone = [];
    for (const cursor of gone) await this.#goOnAtStart(cursor);
  }

  /** Retention may pass a reader; it goes on where the log begins now, and says so. */
  async #goOnAtStart(cursor: Cursor): Promise<void> {
    const { topic, partition, next } = cursor;
    const start = await this.#leaderOffset(cursor, -2);
    if (next >= start) {
      const end = await this.#leaderOffset(cursor, -1);
      const place = `the log holds ${start} up to before ${end}`;
      throw new LogError("offset_out_of_range", `${topic}/${partition} at ${next}: ${place}`);
    }
    const skipped = start - next;
    this.#cluster.env.events.warn("records are gone", { topic, partition, skipped, from: start });
    cursor.next = start;
    if (cursor.end !== undefined && cursor.next >= cursor.end) this.#drop(cursor);
  }

  async #leaderOffset({ topic, partition }: Cursor, timestamp: number): Promise<number> {
    const connection = await this.#cluster.node(await this.#cluster.leaderOf(topic, partition));
    const answer = await connection.request("ListOffsets", {
      replicaId: -1,
      topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }],
    });
    const result = answer.topics[0]?.partitions[0];
    if (result === undefined) throw new LogError("protocol_violation", "an offset is missing");
    mustSucceed(result.errorCode, `${topic}/${partition}`);
    return result.offset;
  }

  /** Waits before the next attempt. @throws the error where there is to be none */
  async #pause(error: LogError): Promise<void> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const nowMs = this.#cluster.env.clock.monotonicMs();
    if (this.#failures === 0) {
      this.#failingSinceMs = nowMs;
      this.#cluster.env.events.warn("reading again", { reason: error.message });
    }
    const isForEver = this.#cursors.some(({ end }) => end === undefined);
    const msMax = this.#options.retryMsMax ?? (isForEver ? Infinity : RETRY_MS_MAX);
    if (!isTransient(error) || nowMs - this.#failingSinceMs > msMax) throw error;
    for (const { topic } of this.#cursors) this.#cluster.forget(topic);
    await this.#cluster.wait(backoffMs(this.#failures), signal);
    this.#failures++;
  }
}

const nothing = new Uint8Array(0);

/** Older versions name topics, newer ones give their ids. */
function isOfTopic(
  cursor: Cursor,
  found: { readonly topic: string; readonly topicId: string },
): boolean {
  return found.topic === "" ? cursor.topicId === found.topicId : cursor.topic === found.topic;
}
