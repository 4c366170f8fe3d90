// Records on their way to a topic of a server by HTTP.

import { RemoteWriter, type Server } from "../client/index.ts";
import { LogError } from "../errors/index.ts";
import type { OutgoingRecord } from "../kafka/index.ts";
import { partitionOfKey } from "../values/index.ts";
import type { PlaceProducer, PlaceTopics, ProduceOptions } from "./place.ts";

/** What may wait for its answer before whoever sends is asked to wait too. */
const WAITING_BYTES_MAX = 8 << 20;
const RECORD_OVERHEAD_BYTES = 40;

type Receipt = ReturnType<PlaceProducer["receipts"]>[number];

export class HttpProducer implements PlaceProducer {
  readonly topic: string;
  readonly #server: Server;
  readonly #partitionCount: number;
  readonly #writers = new Map<number, RemoteWriter>();
  readonly #receipts = new Map<number, Receipt>();
  /** Partition of records without a key, until its request is full. */
  #rotation: number;
  #waitingBytes = 0;
  #failure: LogError | undefined;
  /** Called when there is room, or will be none. */
  #waiting: (() => void)[] = [];

  /** The topic is made where there is none. @throws LogError invalid_argument, topic_not_found, … */
  static async open(
    server: Server,
    topics: PlaceTopics,
    { topic, acks = "all", codec = "none" }: ProduceOptions & { readonly topic: string },
  ): Promise<HttpProducer> {
    if (acks !== "all" || codec !== "none") {
      const what = acks === "all" ? "--codec" : "--acks";
      throw new LogError(
        "invalid_argument",
        `${what} is for Kafka's protocol: by HTTP every append is acknowledged, and the server says how it stores. Use --at kafka://HOST:PORT for it`,
      );
    }
    const { partitions } = await described(topics, topic);
    return new HttpProducer(server, topic, partitions.length);
  }

  private constructor(server: Server, topic: string, partitionCount: number) {
    this.topic = topic;
    this.#server = server;
    this.#partitionCount = partitionCount;
    this.#rotation = Math.floor(Math.random() * partitionCount);
  }

  receipts(): Receipt[] {
    return [...this.#receipts.values()].toSorted((left, right) => left.partition - right.partition);
  }

  send(record: OutgoingRecord): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const partition = record.partition ?? this.#partitionFor(record.key);
    const writer = this.#writer(partition);
    const { key, value, headers = [], timestampMs } = record;
    const bytes = (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
    this.#waitingBytes += bytes;
    const added = writer.add({
      ...(key === undefined ? {} : { key }),
      ...(value === undefined ? {} : { value }),
      headers: headers.map((header) =>
        header.value === undefined
          ? { name: header.key }
          : { name: header.key, value: header.value },
      ),
      ...(timestampMs === undefined ? {} : { timestampMs: BigInt(timestampMs) }),
    });
    added.then(
      (offset) => this.#settled(bytes, () => this.#wasWritten(partition, offset)),
      (thrown: unknown) => this.#settled(bytes, () => (this.#failure ??= LogError.from(thrown))),
    );
    return this.#waitingBytes > WAITING_BYTES_MAX ? this.#room() : undefined;
  }

  async flush(): Promise<void> {
    await Promise.all(Array.from(this.#writers.values(), (writer) => writer.drained()));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #partitionFor(key: Uint8Array | undefined): number {
    if (key !== undefined) return partitionOfKey(key, this.#partitionCount);
    if (this.#writers.get(this.#rotation)?.isGathering !== true) {
      this.#rotation = (this.#rotation + 1) % this.#partitionCount;
    }
    return this.#rotation;
  }

  #writer(partition: number): RemoteWriter {
    const known = this.#writers.get(partition);
    if (known !== undefined) return known;
    if (partition >= this.#partitionCount) {
      const count = this.#partitionCount;
      const those = count === 1 ? "1 partition" : `${count} partitions`;
      throw new LogError("partition_not_found", `${this.topic} has ${those}, and no ${partition}`);
    }
    const writer = new RemoteWriter(this.#server, this.topic, partition);
    this.#writers.set(partition, writer);
    return writer;
  }

  #wasWritten(partition: number, offset: number): void {
    const before = this.#receipts.get(partition);
    this.#receipts.set(partition, {
      partition,
      recordCount: (before?.recordCount ?? 0) + 1,
      firstOffset: before?.firstOffset ?? offset,
      nextOffset: offset + 1,
    });
  }

  #settled(bytes: number, note: () => unknown): void {
    note();
    this.#waitingBytes -= bytes;
    if (this.#waitingBytes > WAITING_BYTES_MAX / 2 && this.#failure === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

async function described(topics: PlaceTopics, name: string): ReturnType<PlaceTopics["describe"]> {
  for (;;) {
    try {
      return await topics.describe(name);
    } catch (thrown) {
      if (LogError.from(thrown).code !== "topic_not_found") throw thrown;
    }
    try {
      await topics.create({ name });
    } catch (thrown) {
      // Somebody else was quicker.
      if (LogError.from(thrown).code !== "topic_exists") throw thrown;
    }
  }
}
