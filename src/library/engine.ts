/** The engine of the server, opened inside a program. */
import { Broker, type OpenTopic } from "../broker/index.ts";
import { type Env, MemoryDisk } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import type { Codec } from "../records/index.ts";
import { type NewTopicOptions, topicSettings, vouched } from "../values/index.ts";
import { refuseFault } from "./faults.ts";
import { storePlace } from "./store-url.ts";

/** Sizes and times of a store's files. */
export interface FileLimits {
  /** A segment is closed at this size. Default 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** A segment never has more records, but for a batch that has more by itself. Default: no limit. */
  readonly segmentRecords?: number | undefined;
  /**
   * No segment that a partition has for itself goes on past a multiple of this time since 1970, and
   * small ones are merged with those of the same span only; the time is that of the records. Retention
   * by age lets whole spans go. Default 7 days.
   */
  readonly segmentMs?: number | undefined;
  /** A file of the write-ahead log is left for a new one at this size. Default 64 MiB. */
  readonly walFileBytes?: number | undefined;
  /** Segments are made, and the write-ahead log let go, when it has grown by this much, and from a quarter of it on as soon as little is written. Default 1 GiB. */
  readonly checkpointBytes?: number | undefined;
  /** The same by count of batches, which bounds the time of a restart. Default 500,000. */
  readonly checkpointBatches?: number | undefined;
  /** The same by age. Default 5 minutes. */
  readonly checkpointMs?: number | undefined;
}

export interface EngineOptions {
  readonly durability: "fsync" | "os";
  readonly files?: FileLimits | undefined;
  /** Whether the log is synced by a call that blocks. */
  readonly syncsNow?: boolean | undefined;
  /** Settings of the store by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly compression?: Codec | undefined;
  /** See `StoreOptions`. */
  readonly clock?: (() => number) | undefined;
  readonly onFatal: (error: LogError) => void;
}

export interface Engine {
  readonly env: Env;
  readonly broker: Broker;
  readonly directory: string;
  /** What the engine counts. */
  readonly metrics: MetricRegistry;
}

/** Where a store in memory pretends to be. */
const MEMORY_DIRECTORY = "/memory";
/** No client of a network comes to a store that is in a program. */
const nobody = { host: "localhost", port: 0 };

/** @throws LogError as `storePlace`, and invalid_argument, directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt, invalid_config. */
export async function openEngine(
  machine: Env,
  url: string,
  options: EngineOptions,
): Promise<Engine> {
  const place = storePlace(url);
  refuseUnusable(options.files ?? {});
  const isMemory = place.kind === "memory";
  const clock =
    options.clock === undefined
      ? machine.clock
      : { wallMs: options.clock, monotonicMs: () => machine.clock.monotonicMs() };
  const env = { ...machine, clock, disk: isMemory ? new MemoryDisk() : machine.disk };
  const directory = isMemory ? MEMORY_DIRECTORY : place.path;
  const metrics = new MetricRegistry();
  const broker = await Broker.open(env, {
    directory,
    metrics,
    durability: options.durability,
    compression: options.compression,
    advertised: () => nobody,
    settings: new Map(Object.entries(options.settings ?? {})),
    storage: present({ ...options.files, syncsNow: options.syncsNow }),
    onFatal: options.onFatal,
  });
  return { env, broker, directory, metrics };
}

/** The topic of that name, made where there is none. */
export async function ensureTopic(
  broker: Broker,
  name: string,
  options: NewTopicOptions,
): Promise<OpenTopic> {
  const known = broker.topicNamed(name);
  if (known !== undefined) return known;
  const partitionCount = options.partitions ?? 1;
  const settings = topicSettings(options);
  const [created] = await broker.createTopics([{ name, partitionCount, settings }]);
  // Somebody else in this program may have been quicker.
  if (created?.errorCode !== "topic_exists") refuseFault(created);
  const topic = broker.topicNamed(name);
  invariant(topic !== undefined, "a topic that was made is there");
  return topic;
}

function refuseUnusable(files: FileLimits): void {
  for (const [name, limit] of Object.entries(files)) {
    if (limit === undefined || limit > 0) continue;
    throw new LogError("invalid_argument", `files.${name} is ${limit}; give a number above 0`);
  }
}

/** What has a value, because an absent limit and an undefined one are not the same to the store. */
function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return vouched(Object.fromEntries(entries));
}
