import { apiNames, apis } from "./registry.ts";

/** The page `docs/kafka-compatibility.md`: what the registry offers, as a table. */
export function compatibilityPage(): string {
  const rows = apiNames.map((name) => {
    const { key, versionMin, versionMax, flexibleSince } = apis[name];
    const versions = versionMin === versionMax ? `${versionMin}` : `${versionMin}-${versionMax}`;
    const flexible = Number.isFinite(flexibleSince) ? `${flexibleSince}` : "never";
    return `| ${key} | ${name} | ${versions} | ${flexible} |`;
  });
  return `# Kafka compatibility

The requests that the Kafka port answers, printed from the registry of messages
(\`src/kafka/registry.ts\`): \`UPDATE=1\` with \`src/kafka/compatibility.test.ts\` writes it again. A client
asks for this list with ApiVersions and takes, for each key, the highest version that both sides know;
the ranges are those of a Kafka 4.x broker. An ApiVersions request of an unknown version is answered
with error 35 as version 0, with the range of that one key. Any other key or version closes the
connection, with the reason among the server's events.

Flexible versions have compact lengths and tagged fields. ApiVersions lists Produce from version 0 on, as
Kafka 4 does, because librdkafka otherwise thinks that the broker knows no compression; it is spoken from 3 on.

| key | name | versions | flexible from |
|---|---|---|---|
${rows.join("\n")}

## Compaction

Topics with \`compact\` in their \`cleanup.policy\` are compacted in the background by \`delete.retention.ms\`,
\`min.compaction.lag.ms\`, \`max.compaction.lag.ms\`, \`min.cleanable.dirty.ratio\` and the broker's \`log.cleaner.enable\`,
\`log.cleaner.backoff.ms\`, \`log.cleaner.dedupe.buffer.size\` and \`log.cleaner.io.max.bytes.per.second\`. Records without a
key are refused by such a topic (INVALID_RECORD). What differs: records without a key that were there before stay; what
is not in a segment yet (by default for up to five minutes) counts as Kafka's active segment; the offsets of removed
records belong to the batch behind them, so a client that goes on from the last record it was given always gets further;
the last record of a partition stays, even a tombstone whose time is over.

## Retention

\`retention.ms\` and \`retention.bytes\` let go the oldest parts of segments, as with Kafka. A part spans seven days of the
times of its records at most, whatever \`segment.ms\` says, and what is not in a segment yet stays. A setting that Kafka does
not have, \`cordwood.retention.records\`, keeps the newest so many offsets of each partition, exactly.
`;
}
