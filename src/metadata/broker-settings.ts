import { has, kept, used } from "./setting-row.ts";
import type { Setting } from "./settings-table.ts";

const int32Max = "2147483647";
const int64Max = "9223372036854775807";
const startOnly = { isReadOnly: true };

/**
 * The settings of a broker that tools ask for: names, types, defaults and ranges as Kafka 4 has
 * them, but for the replication factors, which are 1 because a partition here has one copy.
 */
export const brokerSettingRows: readonly Setting[] = [
  // Who the broker is and where it listens: given at start.
  used(has("broker.id", "int"), "Number of this broker.", { ...startOnly, min: -1 }),
  used(has("node.id", "int"), "Number of this broker.", { ...startOnly, min: 0 }),
  used(has("listeners", "list"), "Addresses on which the broker listens.", startOnly),
  used(
    has("advertised.listeners", "list"),
    "Addresses that clients are told to connect to.",
    startOnly,
  ),
  used(has("log.dirs", "list"), "Directory of the store.", startOnly),

  // Topics.
  used(
    has("auto.create.topics.enable", "boolean", "true"),
    "Whether a topic that does not exist is made when a client asks for its metadata and allows it.",
    startOnly,
  ),
  used(has("delete.topic.enable", "boolean", "true"), "Whether topics can be deleted.", startOnly),
  used(
    has("num.partitions", "int", "1"),
    "Partitions of a topic whose maker does not say how many.",
    { ...startOnly, min: 1 },
  ),
  kept(
    has("default.replication.factor", "int", "1"),
    "Copies of each partition of a topic whose maker does not say how many.",
    { ...startOnly, min: 1 },
  ),
  kept(has("min.insync.replicas", "int", "1"), "Default of the topics' `min.insync.replicas`.", {
    min: 1,
  }),
  kept(
    has("unclean.leader.election.enable", "boolean", "false"),
    "Default of the topics' `unclean.leader.election.enable`.",
  ),

  // Records.
  used(
    has("message.max.bytes", "int", "1048588"),
    "Largest batch of records that is accepted where the topic does not say, in bytes.",
    { min: 0 },
  ),
  used(
    has("log.message.timestamp.type", "string", "CreateTime"),
    "Default of the topics' `message.timestamp.type`.",
    { choices: ["CreateTime", "LogAppendTime"] },
  ),
  used(
    has("log.message.timestamp.before.max.ms", "long", int64Max),
    "Default of the topics' `message.timestamp.before.max.ms`.",
    { min: 0 },
  ),
  used(
    has("log.message.timestamp.after.max.ms", "long", "3600000"),
    "Default of the topics' `message.timestamp.after.max.ms`.",
    { min: 0 },
  ),
  kept(
    has("compression.type", "string", "producer"),
    "Default of the topics' `compression.type`.",
    {
      choices: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
    },
  ),
  kept(has("compression.gzip.level", "int", "-1"), "Default of the topics' level.", {
    min: -1,
    max: 9,
  }),
  kept(has("compression.lz4.level", "int", "9"), "Default of the topics' level.", {
    min: 1,
    max: 17,
  }),
  kept(has("compression.zstd.level", "int", "3"), "Default of the topics' level.", {
    min: -131_072,
    max: 22,
  }),

  // How long records stay.
  used(has("log.cleanup.policy", "list", "delete"), "Default of the topics' `cleanup.policy`.", {
    choices: ["delete", "compact"],
  }),
  used(
    has("log.retention.ms", "long"),
    "Default of the topics' `retention.ms`; without a value the minutes count, then the hours.",
    { min: -1 },
  ),
  used(
    has("log.retention.minutes", "int"),
    "The same in minutes; without a value the hours count.",
    startOnly,
  ),
  used(has("log.retention.hours", "int", "168"), "The same in hours.", startOnly),
  used(has("log.retention.bytes", "long", "-1"), "Default of the topics' `retention.bytes`.", {
    min: -1,
  }),
  used(
    has("log.retention.check.interval.ms", "long", "300000"),
    "How often the broker looks for records to remove.",
    { ...startOnly, min: 1 },
  ),
  kept(
    has("log.local.retention.bytes", "long", "-2"),
    "Default of the topics' `local.retention.bytes`.",
    { min: -2 },
  ),
  kept(
    has("log.local.retention.ms", "long", "-2"),
    "Default of the topics' `local.retention.ms`.",
    {
      min: -2,
    },
  ),

  // Compaction.
  used(
    has("log.cleaner.enable", "boolean", "true"),
    "Whether topics with `compact` in their `cleanup.policy` are compacted in the background.",
  ),
  used(
    has("log.cleaner.backoff.ms", "long", "15000"),
    "How long the background waits before it looks again for what is to be compacted.",
    { ...startOnly, min: 1 },
  ),
  used(
    has("log.cleaner.dedupe.buffer.size", "long", "134217728"),
    "Memory for the keys of a partition that is compacted, in bytes, taken as they need it; where they need more, the partition is gone through several times.",
    { min: 1_024, max: 2 ** 31 },
  ),
  used(
    has("log.cleaner.io.max.bytes.per.second", "double", "1.7976931348623157E308"),
    "How much compaction in the background reads, in bytes per second. It never takes more than half of the thread that serves clients.",
    { min: 1, max: Number.MAX_VALUE },
  ),
  used(
    has("log.cleaner.delete.retention.ms", "long", "86400000"),
    "Default of the topics' `delete.retention.ms`.",
    { min: 0 },
  ),
  used(
    has("log.cleaner.max.compaction.lag.ms", "long", int64Max),
    "Default of the topics' `max.compaction.lag.ms`.",
    { min: 1 },
  ),
  used(
    has("log.cleaner.min.cleanable.ratio", "double", "0.5"),
    "Default of the topics' `min.cleanable.dirty.ratio`.",
    { min: 0, max: 1 },
  ),
  used(
    has("log.cleaner.min.compaction.lag.ms", "long", "0"),
    "Default of the topics' `min.compaction.lag.ms`.",
    { min: 0 },
  ),

  // Files.
  kept(has("log.segment.bytes", "int", "1073741824"), "Default of the topics' `segment.bytes`.", {
    min: 1_048_576,
  }),
  kept(
    has("log.segment.delete.delay.ms", "long", "60000"),
    "Default of the topics' `file.delete.delay.ms`.",
    { min: 0 },
  ),
  kept(
    has("log.roll.ms", "long"),
    "Default of the topics' `segment.ms`; without a value the hours count.",
    {
      min: 1,
    },
  ),
  kept(has("log.roll.hours", "int", "168"), "The same in hours.", { ...startOnly, min: 1 }),
  kept(
    has("log.roll.jitter.ms", "long"),
    "Default of the topics' `segment.jitter.ms`; without a value the hours count.",
    { min: 0 },
  ),
  kept(has("log.roll.jitter.hours", "int", "0"), "The same in hours.", { ...startOnly, min: 0 }),
  kept(
    has("log.index.interval.bytes", "int", "4096"),
    "Default of the topics' `index.interval.bytes`.",
    { min: 0 },
  ),
  kept(
    has("log.index.size.max.bytes", "int", "10485760"),
    "Default of the topics' `segment.index.bytes`.",
    { min: 4 },
  ),
  kept(
    has("log.flush.interval.messages", "long", int64Max),
    "Default of the topics' `flush.messages`.",
    { min: 1 },
  ),
  kept(has("log.flush.interval.ms", "long"), "Default of the topics' `flush.ms`.", { min: 0 }),
  kept(
    has("log.flush.scheduler.interval.ms", "long", int64Max),
    "How often a broker looks for logs to force to the device.",
    startOnly,
  ),
  kept(has("log.preallocate", "boolean", "false"), "Default of the topics' `preallocate`."),

  // Groups.
  used(
    has("group.initial.rebalance.delay.ms", "int", "3000"),
    "How long an empty group waits for more members before its first rebalance ends.",
    { ...startOnly, min: 0 },
  ),
  used(
    has("group.max.session.timeout.ms", "int", "1800000"),
    "Longest session timeout that a member may ask for.",
    { ...startOnly, min: 1 },
  ),
  used(
    has("group.min.session.timeout.ms", "int", "6000"),
    "Shortest session timeout that a member may ask for.",
    { ...startOnly, min: 1 },
  ),
  used(has("group.max.size", "int", int32Max), "Most members of one group.", {
    ...startOnly,
    min: 1,
  }),
  used(
    has("offset.metadata.max.bytes", "int", "4096"),
    "Most bytes of metadata that a client may store with an offset.",
    { ...startOnly, min: 0 },
  ),
  used(
    has("offsets.retention.minutes", "int", "10080"),
    "How long the offsets of a group without members are kept.",
    { ...startOnly, min: 1 },
  ),
  used(
    has("offsets.retention.check.interval.ms", "long", "600000"),
    "How often the broker looks for offsets to remove.",
    { ...startOnly, min: 1 },
  ),
  used(
    has("offsets.topic.num.partitions", "int", "50"),
    "Partitions of the topic that keeps the offsets of groups.",
    { ...startOnly, min: 1 },
  ),
  kept(
    has("offsets.topic.replication.factor", "int", "1"),
    "Copies of the topic that keeps the offsets of groups.",
    { ...startOnly, min: 1 },
  ),

  // Producers and connections.
  used(
    has("producer.id.expiration.ms", "int", "86400000"),
    "How long a partition remembers a producer that sends nothing.",
    { min: 1 },
  ),
  used(has("fetch.max.bytes", "int", "57671680"), "Most bytes that one fetch is answered with.", {
    ...startOnly,
    min: 1024,
  }),
  used(
    has("max.incremental.fetch.session.cache.slots", "int", "1000"),
    "Most fetch sessions that the broker keeps.",
    { ...startOnly, min: 0 },
  ),
  used(has("socket.request.max.bytes", "int", "104857600"), "Largest request in bytes.", {
    ...startOnly,
    min: 1,
  }),
  used(has("max.connections", "int", int32Max), "Most connections at one time.", { min: 0 }),
  used(
    has("connections.max.idle.ms", "long", "600000"),
    "How long a connection may be silent before it is closed.",
    startOnly,
  ),
];
