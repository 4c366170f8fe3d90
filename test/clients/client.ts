// What the shared journey asks of a client library, in the journey's own words; each library has one adapter.
import type { Codec } from "./wire.ts";

export interface SentRecord {
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  readonly headers: readonly (readonly [name: string, value: Buffer])[];
  readonly timestampMs: number;
  /** Left to the client's partitioner when undefined. */
  readonly partition?: number;
}

export interface ReadRecord extends SentRecord {
  readonly partition: number;
  readonly offset: number;
}

/** Per partition: an offset. */
export type Offsets = ReadonlyMap<number, number>;

export interface ProduceOptions {
  readonly codec?: Codec;
  readonly isIdempotent?: boolean;
}

export type OffsetPlace = "earliest" | "latest" | { readonly timeMs: number };

export interface GroupDescription {
  readonly state: string;
  readonly protocolType: string;
  readonly memberCount: number;
}

/** A member of a group. It never commits by itself. */
export interface Member {
  /** Partitions it owns now; empty while it rebalances. */
  partitions(): readonly number[];
  /** Positions of the next records to read. */
  commit(next: Offsets): Promise<void>;
  /** Leaves the group and closes its connections. */
  leave(): Promise<void>;
}

export interface Client {
  createTopic(
    topic: string,
    partitions: number,
    settings?: Readonly<Record<string, string>>,
  ): Promise<void>;
  listTopics(): Promise<readonly string[]>;
  partitionCount(topic: string): Promise<number>;
  /** Up to this many. */
  createPartitions(topic: string, count: number): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  setting(topic: string, name: string): Promise<string>;
  alterSetting(topic: string, name: string, value: string): Promise<void>;
  /** One request per call as far as the library allows; resolves when acknowledged by acks=all. */
  produce(topic: string, records: readonly SentRecord[], options?: ProduceOptions): Promise<void>;
  /** Joins a group; new groups begin at the start. */
  join(group: string, topic: string, onRecord: (record: ReadRecord) => void): Promise<Member>;
  /** A time after the newest record gives the end. */
  offsets(topic: string, place: OffsetPlace): Promise<Offsets>;
  /** Removes records below the offsets; `end` stands for the high watermark. */
  deleteRecords(topic: string, before: ReadonlyMap<number, number | "end">): Promise<void>;
  /** Only partitions that have a commit. */
  committed(group: string, topic: string): Promise<Offsets>;
  listGroups(): Promise<readonly string[]>;
  describeGroup(group: string): Promise<GroupDescription>;
  deleteGroup(group: string): Promise<void>;
  close(): Promise<void>;
}

/** The Kafka error codes inside whatever a library threw, wherever it put them. */
export function protocolCodes(thrown: unknown): ReadonlySet<number> {
  const codes = new Set<number>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (typeof value !== "object" || value === null) return;
    for (const name of ["code", "apiCode", "errorCode"]) {
      const code: unknown = Reflect.get(value, name);
      if (typeof code === "number" && code !== 0) codes.add(code);
    }
    for (const name of ["errors", "cause", "error", "groups", "partitions"])
      visit(Reflect.get(value, name));
  };
  visit(thrown);
  return codes;
}
