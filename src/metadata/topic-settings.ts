import { has, kept, used } from "./setting-row.ts";
import type { Setting } from "./settings-table.ts";

const int64Max = "9223372036854775807";
const minuteMs = 60_000;
const hourMs = 3_600_000;

/** The settings of a topic: names, types, defaults and ranges as Kafka 4 has them, but for those that begin with `cordwood`. */
export const topicSettingRows: readonly Setting[] = [
  used(
    has("cleanup.policy", "list", "delete"),
    "What becomes of old records: `delete` removes them by age and size, `compact` keeps the newest record of each key, both together do both.",
    { choices: ["delete", "compact"], brokerNames: ["log.cleanup.policy"] },
  ),
  kept(
    has("compression.type", "string", "producer"),
    "Compression of stored batches; `producer` stores them as they were sent.",
    {
      choices: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
      brokerNames: ["compression.type"],
    },
  ),
  kept(has("compression.gzip.level", "int", "-1"), "Level where the broker compresses by gzip.", {
    min: -1,
    max: 9,
    brokerNames: ["compression.gzip.level"],
  }),
  kept(has("compression.lz4.level", "int", "9"), "Level where the broker compresses by lz4.", {
    min: 1,
    max: 17,
    brokerNames: ["compression.lz4.level"],
  }),
  kept(has("compression.zstd.level", "int", "3"), "Level where the broker compresses by zstd.", {
    min: -131_072,
    max: 22,
    brokerNames: ["compression.zstd.level"],
  }),
  // Kafka has no such setting.
  used(
    has("cordwood.retention.records", "long", "-1"),
    "Newest offsets of a partition that are kept, whatever their age and size; -1 is without limit. Needs `delete` in `cleanup.policy`.",
    { min: -1 },
  ),
  used(
    has("delete.retention.ms", "long", "86400000"),
    "How long a tombstone stays in a compacted topic, so that a reader from the start sees the deletion.",
    { min: 0, brokerNames: ["log.cleaner.delete.retention.ms"] },
  ),
  kept(
    has("file.delete.delay.ms", "long", "60000"),
    "How long a file stays after its records were removed.",
    { min: 0, brokerNames: ["log.segment.delete.delay.ms"] },
  ),
  kept(
    has("flush.messages", "long", int64Max),
    "After how many records the log is forced to the device; durability here is a setting of the store.",
    { min: 1, brokerNames: ["log.flush.interval.messages"] },
  ),
  kept(
    has("flush.ms", "long", int64Max),
    "After what time the log is forced to the device; durability here is a setting of the store.",
    { min: 0, brokerNames: ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"] },
  ),
  kept(
    has("follower.replication.throttled.replicas", "list", ""),
    "Replicas whose replication is slowed on the side that follows.",
  ),
  kept(
    has("leader.replication.throttled.replicas", "list", ""),
    "Replicas whose replication is slowed on the side that leads.",
  ),
  kept(
    has("index.interval.bytes", "int", "4096"),
    "Bytes of records between two entries of the offset index.",
    { min: 0, brokerNames: ["log.index.interval.bytes"] },
  ),
  kept(
    has("local.retention.bytes", "long", "-2"),
    "Bytes of a partition that stay on local disks when the rest is in remote storage; -2 is the value of `retention.bytes`.",
    { min: -2, brokerNames: ["log.local.retention.bytes"] },
  ),
  kept(
    has("local.retention.ms", "long", "-2"),
    "Time that records stay on local disks when they are in remote storage too; -2 is the value of `retention.ms`.",
    { min: -2, brokerNames: ["log.local.retention.ms"] },
  ),
  used(
    has("max.compaction.lag.ms", "long", int64Max),
    "Longest time that a record of a compacted topic may stay uncompacted.",
    { min: 1, brokerNames: ["log.cleaner.max.compaction.lag.ms"] },
  ),
  used(
    has("max.message.bytes", "int", "1048588"),
    "Largest batch of records that is accepted, in bytes as sent, compressed where it is compressed.",
    { min: 0, brokerNames: ["message.max.bytes"] },
  ),
  used(
    has("message.timestamp.after.max.ms", "long", "3600000"),
    "How far a record's time may lie in the future of the broker's clock; does not matter with `LogAppendTime`.",
    { min: 0, brokerNames: ["log.message.timestamp.after.max.ms"] },
  ),
  used(
    has("message.timestamp.before.max.ms", "long", int64Max),
    "How far a record's time may lie in the past of the broker's clock; does not matter with `LogAppendTime`.",
    { min: 0, brokerNames: ["log.message.timestamp.before.max.ms"] },
  ),
  used(
    has("message.timestamp.type", "string", "CreateTime"),
    "Whose clock dates a record: the producer's, or with `LogAppendTime` the broker's when it arrives.",
    { choices: ["CreateTime", "LogAppendTime"], brokerNames: ["log.message.timestamp.type"] },
  ),
  used(
    has("min.cleanable.dirty.ratio", "double", "0.5"),
    "Share of a compacted log that must be uncompacted before it is compacted again.",
    { min: 0, max: 1, brokerNames: ["log.cleaner.min.cleanable.ratio"] },
  ),
  used(
    has("min.compaction.lag.ms", "long", "0"),
    "Shortest time that a record of a compacted topic stays uncompacted.",
    { min: 0, brokerNames: ["log.cleaner.min.compaction.lag.ms"] },
  ),
  kept(
    has("min.insync.replicas", "int", "1"),
    "How many replicas must have a record before it is acknowledged to a producer that asks for all; a partition here has one copy.",
    { min: 1, brokerNames: ["min.insync.replicas"] },
  ),
  kept(has("preallocate", "boolean", "false"), "Whether segment files are made at full size.", {
    brokerNames: ["log.preallocate"],
  }),
  kept(
    has("remote.log.copy.disable", "boolean", "false"),
    "Whether segments are no longer copied to remote storage.",
  ),
  kept(
    has("remote.log.delete.on.disable", "boolean", "false"),
    "Whether records in remote storage are deleted when it is switched off.",
  ),
  kept(
    has("remote.storage.enable", "boolean", "false"),
    "Whether segments are copied to remote storage.",
  ),
  used(
    has("retention.bytes", "long", "-1"),
    "Bytes that a partition may have before its oldest records are removed; -1 is without limit. Needs `delete` in `cleanup.policy`.",
    { min: -1, brokerNames: ["log.retention.bytes"] },
  ),
  used(
    has("retention.ms", "long", "604800000"),
    "Age at which records are removed; -1 is never. Needs `delete` in `cleanup.policy`.",
    {
      min: -1,
      brokerNames: [
        "log.retention.ms",
        ["log.retention.minutes", minuteMs],
        ["log.retention.hours", hourMs],
      ],
    },
  ),
  kept(has("segment.bytes", "int", "1073741824"), "Size at which a segment file ends.", {
    min: 1_048_576,
    brokerNames: ["log.segment.bytes"],
  }),
  kept(
    has("segment.index.bytes", "int", "10485760"),
    "Size of the index that maps offsets to positions in a segment file.",
    { min: 4, brokerNames: ["log.index.size.max.bytes"] },
  ),
  kept(
    has("segment.jitter.ms", "long", "0"),
    "Random time taken off `segment.ms`, so that segments do not all end at once.",
    { min: 0, brokerNames: ["log.roll.jitter.ms", ["log.roll.jitter.hours", hourMs]] },
  ),
  kept(has("segment.ms", "long", "604800000"), "Age at which a segment ends, full or not.", {
    min: 1,
    brokerNames: ["log.roll.ms", ["log.roll.hours", hourMs]],
  }),
  kept(
    has("unclean.leader.election.enable", "boolean", "false"),
    "Whether a replica that lacks acknowledged records may lead; no such replica exists here.",
    { brokerNames: ["unclean.leader.election.enable"] },
  ),
];
