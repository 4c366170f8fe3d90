/** Appending records and reading them, one request at a time. */
import type { AppendConditions, Broker, TopicWriter } from "../broker/index.ts";
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import { NdjsonIngest } from "./ndjson-ingest.ts";
import { PartitionReading } from "./partition-reading.ts";
import { invalid, refuse, RequestFault } from "./problem.ts";
import { offsetsOf, rangeOf } from "./range-offsets.ts";
import { ndjsonType, sendRecords } from "./record-answer.ts";
import { RecordEncoder } from "./record-encoder.ts";
import { type ParsedRecord, RecordParser, stored } from "./record-parser.ts";
import type { Request } from "./request.ts";
import type { Route } from "./router.ts";
import { partitionOf, topicOf } from "./topic-finder.ts";
import { outOfRange } from "../values/index.ts";

/** Largest body that is read whole, and largest line of one that is not. */
export const bodyBytesMax = 16 * 1024 * 1024;

/** Records of one answer where the client names no limit and wants an array. */
const arrayRecordsDefault = 1_000;

const json = { "content-type": "application/json" } as const;
const rawType = "application/octet-stream";
const ndjsonTypes = new Set([ndjsonType, "application/ndjson", "application/jsonl"]);
/** What curl says of whatever it sends is no form here either. */
const jsonTypes = new Set(["", "application/json", "application/x-www-form-urlencoded"]);

export interface RecordDoor {
  readonly env: Env;
  readonly broker: Broker;
}

export class RecordRoutes {
  readonly #env: Env;
  readonly #broker: Broker;
  readonly #parser = new RecordParser();

  constructor({ env, broker }: RecordDoor) {
    this.#env = env;
    this.#broker = broker;
  }

  get routes(): readonly Route[] {
    return [
      {
        method: "POST",
        path: "/topics/{topic}/records",
        handle: (request) => this.#append(request),
      },
      {
        method: "GET",
        path: "/topics/{topic}/partitions/{partition}/records",
        handle: (request) => this.#read(request),
      },
      {
        method: "GET",
        path: "/topics/{topic}/partitions/{partition}/records/{offset}",
        handle: (request) => this.#readOne(request),
      },
      {
        method: "GET",
        path: "/topics/{topic}/keys/{key}",
        handle: (request) => this.#readKey(request),
      },
    ];
  }

  // hot: once for every request that appends; guarded by bench/http.
  async #append(request: Request): Promise<void> {
    const { contentType } = request;
    if (ndjsonTypes.has(contentType)) return this.#ingest(request);
    if (contentType === rawType) return this.#appendRaw(request);
    if (!jsonTypes.has(contentType) && !contentType.endsWith("+json")) {
      const known = `application/json, ${ndjsonType} or application/octet-stream`;
      refuse(
        request.exchange,
        415,
        `"${contentType.slice(0, 100)}" is not taken here: send ${known}`,
      );
      return;
    }
    request.allow("partition", "expectedOffset", "expectedLastOffset");
    const body = await request.body(bodyBytesMax);
    const writer = await this.#writerFor(request.param("topic"));
    const parsed = this.#parser.oneOrMany(body);
    if (Array.isArray(parsed)) await this.#appendMany(request, writer, parsed);
    else await this.#appendOne(request, writer, parsed);
  }

  async #appendOne(request: Request, writer: TopicWriter, record: ParsedRecord): Promise<void> {
    const conditions = conditionsOf(request);
    const partition = placeOf(request, writer, record, conditions);
    const offset = await writer.append(partition, stored(record, writer.nowMs), conditions);
    request.exchange.answer(
      200,
      { ...json, etag: `"${offset + 1}"` },
      `{"partition":${partition},"offset":${offset}}\n`,
    );
  }

  async #appendRaw(request: Request): Promise<void> {
    request.allow("key", "partition", "timestamp", "expectedOffset", "expectedLastOffset");
    const key = request.query("key");
    const record = {
      key: key === undefined ? undefined : Buffer.from(key),
      value: await request.body(bodyBytesMax),
      timestamp: request.numberQuery("timestamp"),
      headers: [],
      partition: undefined,
    };
    const writer = await this.#writerFor(request.param("topic"));
    await this.#appendOne(request, writer, record);
  }

  /** Each partition gets its records in one batch: all of them or none. */
  async #appendMany(
    request: Request,
    writer: TopicWriter,
    records: readonly ParsedRecord[],
  ): Promise<void> {
    const conditions = conditionsOf(request);
    if (conditions.expectedLastOffset !== undefined) {
      throw invalid("expectedLastOffset", `"expectedLastOffset" is for a single record`);
    }
    const byPartition = placed(request, writer, records, conditions);
    const offsets: { partition: number; offset: number }[] = [];
    const appending = [...byPartition].map(async ([partition, indexes]) => {
      const own = indexes.flatMap((index) => {
        const record = records[index];
        return record === undefined ? [] : [stored(record, writer.nowMs)];
      });
      const base = await writer.appendAll(partition, own, conditions);
      for (const [nth, index] of indexes.entries()) {
        offsets[index] = { partition, offset: base + nth };
      }
    });
    const settled = await Promise.allSettled(appending);
    const failed = settled.find((each) => each.status === "rejected");
    if (failed === undefined) {
      request.exchange.answer(200, json, `${JSON.stringify({ offsets })}\n`);
      return;
    }
    const { code, message } = LogError.from(failed.reason);
    const acknowledged = offsets.filter((each) => each !== undefined).length;
    throw new RequestFault(code, message, { acknowledged });
  }

  async #ingest(request: Request): Promise<void> {
    request.allow("partition", "lines");
    const lines = request.query("lines") ?? "records";
    if (lines !== "records" && lines !== "values") {
      throw invalid("lines", `"lines" is records or values, not "${lines.slice(0, 100)}"`);
    }
    const writer = await this.#writerFor(request.param("topic"));
    const partition = request.numberQuery("partition");
    if (partition !== undefined) writer.lane(partition);
    const isStreamed = request.accepts(ndjsonType);
    const options = { lines, partition, isStreamed, lineBytesMax: bodyBytesMax } as const;
    new NdjsonIngest(request.exchange, writer, options).start();
  }

  async #read(request: Request): Promise<void> {
    request.allow("range", "limit");
    const { name, partition } = this.#partitionOf(request);
    const range = rangeOf(request.query("range") ?? "start");
    const isArray = !request.accepts(ndjsonType);
    const limit = request.numberQuery("limit") ?? (isArray ? arrayRecordsDefault : undefined);
    const nowMs = this.#env.clock.wallMs();
    const { start, end = partition.highWatermark } = await offsetsOf(name, partition, range, nowMs);
    const bounded = Math.min(end, partition.highWatermark);
    const reading = new PartitionReading(partition, start, { end: bounded, limit });
    await sendRecords(request.exchange, reading, isArray ? "array" : "lines");
  }

  async #readOne(request: Request): Promise<void> {
    request.allow();
    const offset = request.numberParam("offset");
    const { name, partition } = this.#partitionOf(request);
    await this.#sendOne(request, name, partition, offset);
  }

  /** The newest record of a key. */
  async #readKey(request: Request): Promise<void> {
    request.allow("partition");
    const topic = topicOf(this.#broker, request.param("topic"));
    const writer = this.#broker.writer(topic);
    const key = request.param("key");
    const bytes = Buffer.from(key);
    const index = request.numberQuery("partition") ?? writer.partitionFor(bytes);
    const partition = partitionOf(topic, index);
    const offset = await writer.lastOffset(index, bytes);
    if (offset === undefined) {
      const message = `${topic.name}/${index} has no record of the key "${key.slice(0, 100)}"`;
      throw new RequestFault("offset_out_of_range", message, { status: 404 });
    }
    await this.#sendOne(request, `${topic.name}/${index}`, partition, offset);
  }

  // oxlint-disable-next-line max-params -- which record, and of what
  async #sendOne(
    request: Request,
    name: string,
    partition: Partition,
    offset: number,
  ): Promise<void> {
    const { exchange } = request;
    const { logStartOffset: start, highWatermark: end } = partition;
    if (offset < start || offset >= end) {
      const { code, message } = outOfRange(name, offset, { start, end });
      throw new RequestFault(code, message, { status: 404 });
    }
    const etag = `"${offset}"`;
    const headers = { etag, "cache-control": "no-cache", "x-content-type-options": "nosniff" };
    if (request.header("if-none-match") === etag) {
      exchange.answer(304, headers, "");
      return;
    }
    const reading = new PartitionReading(partition, offset, { end: offset + 1, limit: 1 });
    const isRaw = request.accepts(rawType);
    const encoder = new RecordEncoder();
    const found: { value: Uint8Array | undefined }[] = [];
    await reading.step((cursor) => {
      const value = cursor.value();
      // The memory of a read is used again when it is over.
      found.push({ value: value === undefined ? undefined : Buffer.from(value) });
      if (!isRaw) encoder.record(partition.index, cursor);
    });
    const [record] = found;
    if (record === undefined) {
      const message = `${name}: the record at offset ${offset} was compacted away`;
      throw new RequestFault("offset_out_of_range", message, { status: 404 });
    }
    if (isRaw) {
      exchange.answer(200, { ...headers, "content-type": rawType }, record.value ?? "");
      return;
    }
    encoder.ascii("\n");
    exchange.answer(200, { ...headers, ...json }, encoder.take());
  }

  /** As for clients of Kafka, a topic is made where the settings say so. */
  async #writerFor(name: string): Promise<TopicWriter> {
    const known = this.#broker.topicNamed(name);
    if (known !== undefined) return this.#broker.writer(known);
    const { errorCode, errorMessage } = await this.#broker.autoCreateTopic(name);
    if (errorCode !== undefined) throw new LogError(errorCode, errorMessage ?? errorCode);
    return this.#broker.writer(topicOf(this.#broker, name));
  }

  /** @throws LogError topic_not_found, partition_not_found */
  #partitionOf(request: Request): { readonly name: string; readonly partition: Partition } {
    const topic = topicOf(this.#broker, request.param("topic"));
    const index = request.numberParam("partition");
    const partition = partitionOf(topic, index);
    return { name: `${topic.name}/${index}`, partition };
  }
}

/** `If-Match` and `expectedOffset` say the same; see docs/http.md. @throws RequestFault */
function conditionsOf(request: Request): AppendConditions {
  const match = request.header("if-match");
  const expectedOffset = request.numberQuery("expectedOffset");
  const last = request.query("expectedLastOffset");
  const expectedLastOffset = last === "none" ? last : request.numberQuery("expectedLastOffset");
  if (match === undefined) return { expectedOffset, expectedLastOffset };
  const quoted = /^"(\d{1,16})"$/.exec(match)?.[1];
  if (quoted === undefined || expectedOffset !== undefined) {
    const message = `"If-Match" is the offset that the first record must get, in quotes like "42", and stands in place of "expectedOffset"`;
    throw invalid("If-Match", message);
  }
  return { expectedOffset: Number(quoted), expectedLastOffset };
}

/** The partition of a record. @throws RequestFault, LogError */
// oxlint-disable-next-line max-params -- where, what, and on which condition
function placeOf(
  request: Request,
  writer: TopicWriter,
  record: Pick<ParsedRecord, "partition" | "key">,
  { expectedOffset }: AppendConditions,
): number {
  const asked = request.numberQuery("partition");
  const own = record.partition ?? asked;
  if (asked !== undefined && own !== asked) {
    throw invalid("partition", `the record names partition ${own}, and the query ${asked}`);
  }
  if (own !== undefined) return own;
  return expectedOffset === undefined
    ? writer.partitionFor(record.key)
    : writer.onlyPartition("an expected offset");
}

/** For each partition, the indexes of its records. Those without a key stay together. */
// oxlint-disable-next-line max-params -- as placeOf
function placed(
  request: Request,
  writer: TopicWriter,
  records: readonly ParsedRecord[],
  conditions: AppendConditions,
): Map<number, number[]> {
  const byPartition = new Map<number, number[]>();
  let unkeyed: number | undefined;
  for (const [index, record] of records.entries()) {
    const isUnplaced = record.partition === undefined && record.key === undefined;
    const partition =
      isUnplaced && unkeyed !== undefined ? unkeyed : placeOf(request, writer, record, conditions);
    if (isUnplaced) unkeyed = partition;
    const indexes = byPartition.get(partition);
    if (indexes === undefined) byPartition.set(partition, [index]);
    else indexes.push(index);
  }
  if (conditions.expectedOffset !== undefined && byPartition.size > 1) {
    throw invalid("expectedOffset", "an expected offset is for records of one partition");
  }
  // Before anything is appended.
  for (const partition of byPartition.keys()) writer.lane(partition);
  return byPartition;
}
