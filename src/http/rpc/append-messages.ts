/**
 * The messages of the append calls, read and written without an object for each field. They are those
 * of proto/cordwood/v1/log.proto; the generated code is their oracle in a test.
 */
import type { AppendConditions, ProducerSequence, StoredRecord } from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import type { RecordHeader } from "../../records/index.ts";
import { ProtobufReader } from "./protobuf-reader.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** An AppendRequest or AppendStreamRequest. */
export interface AppendCall {
  /** Empty where a stream goes on with the topic before. */
  readonly topic: string;
  readonly partition: number | undefined;
  readonly records: readonly StoredRecord[];
  readonly conditions: AppendConditions;
  readonly producer: ProducerSequence | undefined;
}

/** Records that are one after another in the request and in the log. */
export interface AppendedRun {
  readonly partition: number;
  readonly offset: number;
  readonly count: number;
}

const noConditions: AppendConditions = {};
const noHeaders: readonly RecordHeader[] = Object.freeze([]);

/**
 * Keys and values are views. `nowMs` is the time of records that have none.
 * @throws LogError protocol_violation.
 */
// hot: once for every append; bench/http.
export function readAppend(bytes: Uint8Array, nowMs: number): AppendCall {
  const reader = new ProtobufReader(bytes);
  let topic = "";
  let partition: number | undefined;
  const records: StoredRecord[] = [];
  let expectedOffset: number | undefined;
  let expectedLastOffset: number | "none" | undefined;
  let producer: ProducerSequence | undefined;
  while (reader.next()) {
    const { field } = reader;
    if (field === 1) topic = reader.string();
    else if (field === 2) partition = reader.integer();
    else if (field === 3) records.push(readRecord(reader.message(), nowMs));
    else if (field === 4) expectedOffset = reader.integer();
    else if (field === 5) expectedLastOffset = reader.integer();
    else if (field === 6) expectedLastOffset = reader.message() && "none";
    else if (field === 7) producer = readProducer(reader.message());
  }
  const hasConditions = expectedOffset !== undefined || expectedLastOffset !== undefined;
  const conditions = hasConditions ? { expectedOffset, expectedLastOffset } : noConditions;
  return { topic, partition, records, conditions, producer };
}

function readRecord(reader: ProtobufReader, nowMs: number): StoredRecord {
  let key: Uint8Array | undefined;
  let value: Uint8Array | undefined;
  let headers: RecordHeader[] | undefined;
  let timestamp = nowMs;
  while (reader.next()) {
    const { field } = reader;
    if (field === 1) key = reader.bytes();
    else if (field === 2) value = reader.bytes();
    else if (field === 3) (headers ??= []).push(readHeader(reader.message()));
    else if (field === 4) timestamp = reader.integer();
  }
  return { timestamp, key, value, headers: headers ?? noHeaders };
}

function readHeader(reader: ProtobufReader): RecordHeader {
  let key = "";
  let value: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.field === 1) key = reader.string();
    else if (reader.field === 2) value = reader.bytes();
  }
  return { key, value };
}

function readProducer(reader: ProtobufReader): ProducerSequence {
  let producerId = 0;
  let producerEpoch = 0;
  let baseSequence = 0;
  while (reader.next()) {
    if (reader.field === 1) producerId = reader.integer();
    else if (reader.field === 2) producerEpoch = reader.integer();
    else if (reader.field === 3) baseSequence = reader.integer();
  }
  const isInRange =
    producerId >= 0 &&
    producerEpoch >= 0 &&
    producerEpoch < 2 ** 15 &&
    baseSequence >= 0 &&
    baseSequence < 2 ** 31;
  if (isInRange) return { producerId, producerEpoch, baseSequence };
  throw new LogError(
    "invalid_argument",
    `producer ${producerId}, epoch ${producerEpoch}, sequence ${baseSequence}: ask InitProducer for an identity, and count records from 0`,
  );
}

/** An AppendResponse or AppendStreamResponse, behind `headBytes` for an envelope. */
export function writeRuns(runs: readonly AppendedRun[], headBytes: number): Buffer {
  const writer = new ProtobufWriter(headBytes + 32 * runs.length);
  writer.reserve(headBytes);
  for (const { partition, offset, count } of runs) {
    writer.byte(0x0a);
    const length = writer.reserve(1);
    const start = writer.size;
    writer.place(partition, offset);
    writer.byte(0x18);
    writer.varint(count);
    // Three numbers are shorter than 128 bytes.
    writer.patchByte(length, writer.size - start);
  }
  return writer.take();
}
