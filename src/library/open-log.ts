/** Opens one log of bytes, to write or to read beside the process that writes. */
import type { Env } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { topicSettings } from "../values/index.ts";
import { type Engine, ensureTopic, type FileLimits, openEngine } from "./engine.ts";
import { refuseFault } from "./faults.ts";
import { Log, type LogDurability } from "./log.ts";
import { LogReader } from "./log-reader.ts";
import { storePlace } from "./store-url.ts";

/** The topic that a log is, so that everything which works on stores works on it. */
const LOG_TOPIC = "log";

const BATCH_BYTES = 16 << 10;
const CACHE_BYTES = 64 << 20;
const RECORD_BYTES_MAX = 64 << 20;
const POLL_MS = 50;

export interface LogOptions {
  /** See {@link LogDurability}. Default `fsync`. */
  readonly durability?: LogDurability | undefined;
  readonly readonly?: false | undefined;
  /** What is kept: by age and size, segment by segment; and the newest so many records. Default: everything. */
  readonly retention?:
    | { readonly ms?: number; readonly bytes?: number; readonly records?: number }
    | undefined;
  /** Keep the newest record of each key only, by work in the background, and records without a key. {@link Log.compact} works without it. */
  readonly compact?: boolean | LogCompaction | undefined;
  /** Sizes and times of files. */
  readonly files?: FileLimits | undefined;
  /** Records are gathered into batches of about this size, each with one checksum. Smaller ones make reads at random quicker. Default 16 KiB. */
  readonly batchBytes?: number | undefined;
  /** A batch, and so a record, is never larger. Default 64 MiB. */
  readonly recordBytesMax?: number | undefined;
  /** Memory for batches that reads at random have met. Default 64 MiB. */
  readonly cacheBytes?: number | undefined;
  /** The time in milliseconds since 1970, for the times of records and for what is kept. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** Told once when nothing can be made durable any more. */
  readonly onFailure?: ((error: LogError) => void) | undefined;
}

/** How a log is compacted, and what the background may take for it. */
export interface LogCompaction {
  /** How long the last record of a deleted key is kept, so that who reads from the start is told. Default one day. */
  readonly tombstoneMs?: number | undefined;
  /** Records are left alone for so long. Default 0. */
  readonly lagMs?: number | undefined;
  /** The background begins when more than this share of the bytes is not compacted. Default 0.5. */
  readonly dirtyRatio?: number | undefined;
  /** What the background reads per second at most; it takes half of the thread in any case. Default: no further limit. */
  readonly bytesPerSecondMax?: number | undefined;
  /** Memory for keys; where they need more, the log is gone through several times. Default 128 MiB. */
  readonly keyBytesMax?: number | undefined;
  /** How often the background looks. Default 15 s. */
  readonly everyMs?: number | undefined;
}

export interface LogReaderOptions {
  readonly readonly: true;
  /** See {@link LogOptions.cacheBytes}. */
  readonly cacheBytes?: number | undefined;
  /** How often `follow` looks for more. Default 50 ms. */
  readonly pollMs?: number | undefined;
}

/** @throws LogError directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt, invalid_argument. */
export async function openLogToWrite(
  machine: Env,
  place: string,
  options: LogOptions = {},
): Promise<Log> {
  const { durability = "fsync", files, batchBytes = BATCH_BYTES } = options;
  if (!Number.isInteger(batchBytes) || batchBytes < 1024 || batchBytes > 1 << 20) {
    throw new LogError(
      "invalid_argument",
      `batchBytes ${batchBytes} is not within 1 KiB and 1 MiB`,
    );
  }
  const compaction = typeof options.compact === "object" ? options.compact : {};
  const made: { log?: Log } = {};
  const engine = await openEngine(machine, place, {
    durability: durability === "fsync" ? "fsync" : "os",
    files,
    syncsNow: true,
    settings: given(compaction, {
      bytesPerSecondMax: "log.cleaner.io.max.bytes.per.second",
      keyBytesMax: "log.cleaner.dedupe.buffer.size",
      everyMs: "log.cleaner.backoff.ms",
    }),
    clock: options.clock,
    onFatal(error) {
      made.log?.fail(error);
      options.onFailure?.(error);
    },
  });
  try {
    const topic = {
      retention: options.retention,
      compact: options.compact !== undefined && options.compact !== false,
      settings: {
        "max.message.bytes": String(options.recordBytesMax ?? RECORD_BYTES_MAX),
        ...given(compaction, {
          tombstoneMs: "delete.retention.ms",
          lagMs: "min.compaction.lag.ms",
          dirtyRatio: "min.cleanable.dirty.ratio",
        }),
      },
    };
    const { partitions } = await ensureTopic(engine.broker, LOG_TOPIC, topic);
    const partition = partitions[0]?.owned();
    invariant(partition !== undefined && partitions.length === 1, "a log has one partition");
    await applySettings(engine.broker, topicSettings(topic));
    made.log = new Log({
      place,
      engine,
      partition,
      durability,
      batchBytes,
      cacheBytes: options.cacheBytes ?? CACHE_BYTES,
      recordsMax: options.retention?.records ?? Infinity,
    });
    return made.log;
  } catch (error) {
    await engine.broker.close();
    throw error;
  }
}

/** @throws LogError format_unknown, format_newer, data_corrupt, topic_not_found. */
export function openLogToRead(machine: Env, url: string, options: LogReaderOptions): LogReader {
  const place = storePlace(url);
  if (place.kind === "memory") {
    throw new LogError("unsupported", "a log in memory has one user: open it to write");
  }
  return new LogReader({
    env: machine,
    directory: place.path,
    topic: LOG_TOPIC,
    cacheBytes: options.cacheBytes ?? CACHE_BYTES,
    pollMs: options.pollMs ?? POLL_MS,
  });
}

/** What the log keeps may change from one opening to the next. */
async function applySettings(
  broker: Engine["broker"],
  wanted: ReadonlyMap<string, string>,
): Promise<void> {
  const resource = { kind: "topic", name: LOG_TOPIC } as const;
  const [described] = broker.describeConfigs([{ ...resource, names: [...wanted.keys()] }]);
  const current = new Map(described?.settings.map(({ name, value }) => [name, value]));
  const changes = [...wanted]
    .filter(([name, value]) => current.get(name) !== value)
    .map(([name, value]) => ({ kind: "set", name, value }) as const);
  if (changes.length === 0) return;
  const [changed] = await broker.alterConfigs([{ ...resource, changes }]);
  refuseFault(changed);
}

/** The options that are given, under the names of the settings that they stand for. */
function given(
  compaction: LogCompaction,
  names: Partial<Record<keyof LogCompaction, string>>,
): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [option, value] of Object.entries(compaction)) {
    const name = new Map(Object.entries(names)).get(option);
    if (name !== undefined && value !== undefined) settings[name] = String(value);
  }
  return settings;
}
