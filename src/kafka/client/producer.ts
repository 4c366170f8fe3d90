import { partitionOfKey } from "../../values/index.ts";
import type { Timer } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import type { BatchBuilderOptions, Codec } from "../../records/index.ts";
import type { RequestBody, ResponseOf } from "../registry.ts";
import { backoffMs, type Cluster, type TopicMetadata } from "./cluster.ts";
import { answeredError, isTransient, mustSucceed } from "./errors.ts";
import { type OutgoingBatch, OutgoingQueue, type OutgoingRecord } from "./outgoing.ts";

export type Acks = "all" | "leader" | "none";

export interface ProducerOptions {
  /** `all`, the default: acknowledged is as durable as the server makes it, and nothing is written twice. */
  readonly acks?: Acks | undefined;
  readonly codec?: Codec | undefined;
  /** Of a batch before compression. One record may be larger, alone in its batch. */
  readonly batchBytesMax?: number | undefined;
  /** What may wait here before {@link Producer.send} asks its caller to wait too. */
  readonly bufferedBytesMax?: number | undefined;
  /** How long a batch is tried. */
  readonly deliveryMsMax?: number | undefined;
}

/** What was written to one partition. */
export interface PartitionReceipt {
  readonly partition: number;
  readonly recordCount: number;
  /** Of the first batch and behind the last one; undefined where the server did not tell. */
  readonly firstOffset: number | undefined;
  readonly nextOffset: number | undefined;
}

interface Sent {
  readonly queue: OutgoingQueue;
  readonly batch: OutgoingBatch;
}

const BATCH_BYTES_MAX = 512 * 1024;
const BUFFERED_BYTES_MAX = 16 * 1024 * 1024;
const DELIVERY_MS_MAX = 60_000;
const REQUEST_BYTES_MAX = 8 * 1024 * 1024;
/** As many as a server remembers of a producer that numbers its batches. */
const NUMBERED_IN_FLIGHT_MAX = 5;
const RECORD_OVERHEAD_BYTES = 40;
const ackNumbers: Readonly<Record<Acks, number>> = { all: -1, leader: 1, none: 0 };

/**
 * Writes records to one topic. Batches form while requests are under way: what comes when nothing is
 * in flight goes at the end of the turn, what comes meanwhile goes together.
 */
export class Producer {
  readonly topic: string;
  readonly #cluster: Cluster;
  readonly #acks: Acks;
  readonly #batchBytesMax: number;
  readonly #bufferedBytesMax: number;
  readonly #deliveryMsMax: number;
  readonly #inFlightMax: number;
  readonly #builderOptions: BatchBuilderOptions;
  readonly #partitionCount: number;
  /** Topic to write to, by id where the server wants that; forgotten when it may have moved. */
  #metadata: TopicMetadata | undefined;
  readonly #queues = new Map<number, OutgoingQueue>();
  readonly #receipts = new Map<number, PartitionReceipt>();
  /** Partition of records without a key, until its batch is full. */
  #sticky: number | undefined;
  /** Bytes of open and of finished batches that are not written. */
  #bufferedBytes = 0;
  #isFlushing = false;
  #pumpIsDue = false;
  #isRefreshing = false;
  #retryTimer: Timer | undefined;
  #lastFailure: LogError | undefined;
  /** Why this producer gave up; undefined while it did not. */
  #fatal: LogError | undefined;
  #waiting: (() => void)[] = [];

  /** @throws LogError topic_not_found and whatever a connection may meet */
  static async open(
    cluster: Cluster,
    topic: string,
    options: ProducerOptions = {},
  ): Promise<Producer> {
    const metadata = await cluster.retrying(() => cluster.topicOrNew(topic));
    const identity =
      (options.acks ?? "all") === "all"
        ? await cluster.retrying(() => takeIdentity(cluster))
        : undefined;
    return new Producer(cluster, metadata, options, identity);
  }

  // oxlint-disable-next-line max-params
  private constructor(
    cluster: Cluster,
    metadata: TopicMetadata,
    options: ProducerOptions,
    identity: Identity | undefined,
  ) {
    this.#cluster = cluster;
    this.topic = metadata.name;
    this.#metadata = metadata;
    this.#partitionCount = metadata.partitions.length;
    this.#acks = options.acks ?? "all";
    this.#batchBytesMax = options.batchBytesMax ?? BATCH_BYTES_MAX;
    this.#bufferedBytesMax = options.bufferedBytesMax ?? BUFFERED_BYTES_MAX;
    this.#deliveryMsMax = options.deliveryMsMax ?? DELIVERY_MS_MAX;
    // Without sequence numbers a batch that is sent again could pass one that was sent after it.
    this.#inFlightMax = identity === undefined ? 1 : NUMBERED_IN_FLIGHT_MAX;
    this.#builderOptions = {
      codec: options.codec ?? "none",
      ...(identity === undefined ? {} : { ...identity, baseSequence: 0 }),
    };
  }

  /** What is written so far, in the order of the partitions. */
  receipts(): PartitionReceipt[] {
    return [...this.#receipts.values()].toSorted((left, right) => left.partition - right.partition);
  }

  /**
   * Takes a record. Where the buffer is full it answers a promise: the next record comes after that.
   * @throws LogError partition_not_found, and what an earlier record failed with
   */
  // hot: once for each record.
  send(record: OutgoingRecord): Promise<void> | undefined {
    if (this.#fatal !== undefined) throw this.#fatal;
    const queue = this.#queueFor(record);
    const estimate =
      (record.key?.length ?? 0) + (record.value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
    if (queue.openRecordCount > 0 && queue.openBytes + estimate > this.#batchBytesMax) {
      this.#seal(queue);
    }
    const before = queue.openRecordCount === 0 ? 0 : queue.openBytes;
    queue.append(record, record.timestampMs ?? this.#cluster.env.clock.wallMs());
    this.#bufferedBytes += queue.openBytes - before;
    this.#pumpSoon();
    return this.#bufferedBytes > this.#bufferedBytesMax ? this.#room() : undefined;
  }

  /** Waits until everything taken is written. @throws LogError what it failed with */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    this.#pump();
    while (this.#fatal === undefined && this.#hasWork()) await this.#change();
    this.#isFlushing = false;
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  #queueFor(record: OutgoingRecord): OutgoingQueue {
    const partition = record.partition ?? this.#partitionFor(record.key);
    const known = this.#queues.get(partition);
    if (known !== undefined) return known;
    if (partition >= this.#partitionCount) {
      const count = this.#partitionCount;
      const those = count === 1 ? "1 partition" : `${count} partitions`;
      throw new LogError("partition_not_found", `${this.topic} has ${those}, and no ${partition}`);
    }
    const queue = new OutgoingQueue(partition, this.#builderOptions);
    this.#queues.set(partition, queue);
    return queue;
  }

  #partitionFor(key: Uint8Array | undefined): number {
    if (key !== undefined) return partitionOfKey(key, this.#partitionCount);
    this.#sticky ??= this.#randomPartition();
    return this.#sticky;
  }

  #randomPartition(): number {
    const uuid = this.#cluster.env.random.uuid();
    return new DataView(uuid.buffer, uuid.byteOffset).getUint32(0) % this.#partitionCount;
  }

  #seal(queue: OutgoingQueue): void {
    const openBytes = queue.openBytes;
    const giveUpMs = this.#cluster.env.clock.monotonicMs() + this.#deliveryMsMax;
    const batch = queue.seal(giveUpMs);
    this.#bufferedBytes += batch.bytes.length - openBytes;
    if (queue.partition === this.#sticky) this.#sticky = undefined;
  }

  #pumpSoon(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#cluster.env.timers.soon(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  /** Sends whatever may be sent now. */
  #pump(): void {
    if (this.#fatal !== undefined) return;
    const nowMs = this.#cluster.env.clock.monotonicMs();
    this.#finishIdle(nowMs);
    if (this.#fatal !== undefined) return;
    for (;;) {
      const byLeader = this.#nextRound(nowMs);
      if (byLeader === undefined || byLeader.size === 0) return;
      for (const [leader, batches] of byLeader) {
        this.#deliver(leader, batches).catch((thrown: unknown) => this.#giveUp(thrown));
      }
    }
  }

  /** Finishes batches that have nothing to wait for, and looks after those that waited too long. */
  #finishIdle(nowMs: number): void {
    for (const queue of this.#queues.values()) {
      const isIdle = queue.oldest === undefined || this.#isFlushing;
      if (isIdle && queue.openRecordCount > 0) this.#seal(queue);
      if (queue.rewind((failures) => nowMs + backoffMs(failures))) this.#retryAfter(queue, nowMs);
      const oldest = queue.oldest;
      if (oldest !== undefined && queue.inFlight === 0 && nowMs > oldest.giveUpMs) {
        this.#giveUp(this.#lateError(queue.partition));
        return;
      }
    }
  }

  #lateError(partition: number): LogError {
    const seconds = this.#deliveryMsMax / 1_000;
    const last = this.#lastFailure;
    const why = last === undefined ? "" : `: ${last.message}`;
    const message = `${this.topic}/${partition}: not written within ${seconds} s${why}`;
    return new LogError(last?.code ?? "timeout", message, { cause: last });
  }

  /** One batch of each partition that may send one, by leader; undefined while it is not known who leads. */
  #nextRound(nowMs: number): Map<number, Sent[]> | undefined {
    const byLeader = new Map<number, Sent[]>();
    let bytes = 0;
    for (const queue of this.#queues.values()) {
      const batch = queue.sendable(this.#inFlightMax, nowMs);
      if (batch === undefined) continue;
      if (this.#metadata === undefined) {
        this.#refresh();
        return undefined;
      }
      const leader = this.#metadata.partitions[queue.partition]?.leader;
      if (leader === undefined) {
        this.#metadata = undefined;
        this.#lastFailure = new LogError(
          "closed",
          `${this.topic}/${queue.partition} has no leader`,
        );
        queue.sent();
        queue.failed();
        this.#pumpSoon();
        continue;
      }
      if (bytes > 0 && bytes + batch.bytes.length > REQUEST_BYTES_MAX) break;
      bytes += batch.bytes.length;
      queue.sent();
      const round = byLeader.get(leader);
      if (round === undefined) byLeader.set(leader, [{ queue, batch }]);
      else round.push({ queue, batch });
    }
    return byLeader;
  }

  async #deliver(leader: number, batches: readonly Sent[]): Promise<void> {
    const metadata = this.#metadata;
    const request: RequestBody<"Produce"> = {
      transactionalId: undefined,
      acks: ackNumbers[this.#acks],
      timeoutMs: this.#deliveryMsMax,
      topicData: [
        {
          name: this.topic,
          ...(metadata === undefined ? {} : { topicId: metadata.topicId }),
          partitionData: batches.map(({ queue, batch }) => ({
            index: queue.partition,
            records: batch.bytes,
          })),
        },
      ],
    };
    try {
      const connection = await this.#cluster.node(leader);
      if (this.#acks === "none") {
        await connection.tell("Produce", request);
        for (const sent of batches) this.#written(sent, undefined);
      } else {
        const answer = await connection.request("Produce", request);
        this.#answered(batches, answer);
      }
    } catch (thrown) {
      const error = LogError.from(thrown);
      if (!isTransient(error)) throw thrown;
      for (const { queue } of batches) this.#failedForNow(queue, error);
    }
    this.#pump();
    this.#wake();
  }

  #answered(batches: readonly Sent[], answer: ResponseOf<"Produce">): void {
    const results = answer.responses.flatMap(({ partitionResponses }) => partitionResponses);
    for (const sent of batches) {
      const partition = sent.queue.partition;
      const result = results.find(({ index }) => index === partition);
      const what = `${this.topic}/${partition}`;
      if (result === undefined) throw new LogError("protocol_violation", `no answer for ${what}`);
      if (result.errorCode === 0) {
        this.#written(sent, result.baseOffset < 0 ? undefined : result.baseOffset);
        continue;
      }
      const detail = result.recordErrors[0]?.batchIndexErrorMessage ?? result.errorMessage;
      const error = answeredError(result.errorCode, what, detail);
      // A batch behind one that failed cannot be in sequence; it goes again after that one.
      const isFollowing = error.code === "sequence_out_of_order" && sent.queue.isRewinding;
      if (error.code === "sequence_duplicate") this.#written(sent, undefined);
      else if (isFollowing || mayPass(error, sent.queue)) this.#failedForNow(sent.queue, error);
      else this.#giveUp(error);
    }
  }

  #written({ queue, batch }: Sent, baseOffset: number | undefined): void {
    queue.succeeded(batch);
    this.#bufferedBytes -= batch.bytes.length;
    const { partition } = queue;
    const before = this.#receipts.get(partition);
    this.#receipts.set(partition, {
      partition,
      recordCount: (before?.recordCount ?? 0) + batch.recordCount,
      firstOffset: before === undefined ? baseOffset : before.firstOffset,
      nextOffset: baseOffset === undefined ? before?.nextOffset : baseOffset + batch.recordCount,
    });
  }

  #failedForNow(queue: OutgoingQueue, error: LogError): void {
    if (this.#lastFailure?.message !== error.message) {
      this.#cluster.env.events.warn("writing again what failed", { reason: error.message });
    }
    this.#lastFailure = error;
    this.#metadata = undefined;
    queue.failed();
  }

  #retryAfter(queue: OutgoingQueue, nowMs: number): void {
    if (this.#retryTimer !== undefined) return;
    this.#retryTimer = this.#cluster.env.timers.after(queue.notBeforeMs - nowMs, () => {
      this.#retryTimer = undefined;
      this.#pump();
      for (const waiting of this.#queues.values()) {
        const now = this.#cluster.env.clock.monotonicMs();
        if (waiting.notBeforeMs > now) this.#retryAfter(waiting, now);
      }
    });
  }

  /** Asks who leads now; asks again until a batch has waited too long. */
  #refresh(): void {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    this.#lookUp().catch((thrown: unknown) => this.#giveUp(thrown));
  }

  async #lookUp(): Promise<void> {
    this.#cluster.forget(this.topic);
    for (let attempt = 0; this.#metadata === undefined && this.#fatal === undefined; attempt++) {
      try {
        this.#metadata = await this.#cluster.topic(this.topic);
      } catch (thrown) {
        const error = LogError.from(thrown);
        if (!isTransient(error)) throw thrown;
        this.#lastFailure = error;
        await this.#cluster.wait(backoffMs(attempt));
        const late = this.#tooLate();
        if (late !== undefined) throw late;
      }
    }
    this.#isRefreshing = false;
    this.#pump();
  }

  #tooLate(): LogError | undefined {
    const nowMs = this.#cluster.env.clock.monotonicMs();
    for (const { oldest, partition } of this.#queues.values()) {
      if (oldest !== undefined && nowMs > oldest.giveUpMs) return this.#lateError(partition);
    }
    return undefined;
  }

  #giveUp(thrown: unknown): void {
    this.#fatal ??= LogError.from(thrown);
    this.#retryTimer?.cancel();
    this.#wake();
  }

  #hasWork(): boolean {
    for (const queue of this.#queues.values()) if (!queue.isEmpty) return true;
    return false;
  }

  async #room(): Promise<void> {
    while (this.#fatal === undefined && this.#bufferedBytes > this.#bufferedBytesMax) {
      await this.#change();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** Settles when something was written, or never will be. */
  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** A topic that was made a moment ago may not be known yet to the broker that has it. */
function mayPass(error: LogError, queue: OutgoingQueue): boolean {
  return isTransient(error) || (error.code === "topic_not_found" && queue.failures < 6);
}

interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Undefined where the server has no numbered producers. */
async function takeIdentity(cluster: Cluster): Promise<Identity | undefined> {
  const connection = await cluster.any();
  if (connection.versionOf("InitProducerId") === undefined) return undefined;
  const answer = await connection.request("InitProducerId", {
    transactionalId: undefined,
    transactionTimeoutMs: 60_000,
  });
  mustSucceed(answer.errorCode, "producer id");
  return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
}
