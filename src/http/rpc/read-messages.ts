/** The messages that a reading sends, written straight from where the records lie; see proto/cordwood/v1/log.proto. */
import type { RecordCursor, RecordHeader } from "../../records/index.ts";
import { ProtobufWriter, varintBytes } from "./protobuf-writer.ts";

/** A place in one partition. */
export interface PartitionOffset {
  readonly partition: number;
  readonly offset: number;
}

/** Writes one ReadResponse or TailResponse after another, each behind `headBytes` for an envelope. */
// hot: once for every record that is read; bench/http.
export class ReadMessageWriter {
  readonly #writer = new ProtobufWriter(96 * 1024);
  readonly #headBytes: number;
  #recordCount = 0;

  constructor(headBytes: number) {
    this.#headBytes = headBytes;
    this.#writer.reserve(headBytes);
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  get size(): number {
    return this.#writer.size - this.#headBytes;
  }

  /** Adds the record that `cursor` stands on. */
  record(cursor: RecordCursor, partition: number): void {
    this.#recordCount++;
    const writer = this.#writer;
    writer.byte(0x0a);
    writeRecord(writer, cursor, partition);
  }

  /** Adds a record as {@link encodeRecord} made it. */
  encoded(record: Uint8Array): void {
    this.#recordCount++;
    this.#writer.byte(0x0a);
    this.#writer.raw(record);
  }

  next(offsets: readonly PartitionOffset[]): void {
    this.#offsets(0x12, offsets);
  }

  end(offsets: readonly PartitionOffset[]): void {
    this.#offsets(0x1a, offsets);
  }

  /** The message, which is the caller's from now on. */
  take(): Buffer {
    const message = this.#writer.take();
    this.#recordCount = 0;
    this.#writer.reserve(this.#headBytes);
    return message;
  }

  #offsets(tag: number, offsets: readonly PartitionOffset[]): void {
    const writer = this.#writer;
    for (const { partition, offset } of offsets) {
      writer.byte(tag);
      const length = writer.reserve(1);
      const start = writer.size;
      writer.place(partition, offset);
      writer.patchByte(length, writer.size - start);
    }
  }
}

/** The record that `cursor` stands on, with its length before it. */
export function encodeRecord(cursor: RecordCursor, partition: number): Buffer {
  const writer = new ProtobufWriter(256);
  writeRecord(writer, cursor, partition);
  return writer.take();
}

function writeRecord(writer: ProtobufWriter, cursor: RecordCursor, partition: number): void {
  const { keyStart, valueStart, offset, timestamp } = cursor;
  const keyBytes = cursor.keyEnd - keyStart;
  const valueBytes = cursor.valueEnd - valueStart;
  const headers = cursor.headerCount === 0 ? undefined : cursor.headers();
  let size = 0;
  if (keyStart >= 0) size += 1 + varintBytes(keyBytes) + keyBytes;
  if (valueStart >= 0) size += 1 + varintBytes(valueBytes) + valueBytes;
  if (timestamp !== 0) size += 1 + varintBytes(timestamp);
  if (offset !== 0) size += 1 + varintBytes(offset);
  if (partition !== 0) size += 1 + varintBytes(partition);
  if (headers !== undefined) size += headersBytes(headers);
  writer.varint(size);
  if (keyStart >= 0) {
    writer.byte(0x0a);
    writer.varint(keyBytes);
    writer.raw(cursor.bytes, keyStart, cursor.keyEnd);
  }
  if (valueStart >= 0) {
    writer.byte(0x12);
    writer.varint(valueBytes);
    writer.raw(cursor.bytes, valueStart, cursor.valueEnd);
  }
  if (headers !== undefined) writeHeaders(writer, headers);
  writeInteger(writer, 0x20, timestamp);
  writeInteger(writer, 0x28, offset);
  writeInteger(writer, 0x30, partition);
}

function writeInteger(writer: ProtobufWriter, tag: number, value: number): void {
  if (value === 0) return;
  writer.byte(tag);
  writer.int64(value);
}

function headerBytes({ key, value }: RecordHeader): number {
  const nameBytes = Buffer.byteLength(key);
  const name = nameBytes === 0 ? 0 : 1 + varintBytes(nameBytes) + nameBytes;
  return name + (value === undefined ? 0 : 1 + varintBytes(value.length) + value.length);
}

function headersBytes(headers: readonly RecordHeader[]): number {
  let size = 0;
  for (const header of headers) {
    const bytes = headerBytes(header);
    size += 1 + varintBytes(bytes) + bytes;
  }
  return size;
}

function writeHeaders(writer: ProtobufWriter, headers: readonly RecordHeader[]): void {
  for (const header of headers) {
    writer.byte(0x1a);
    writer.varint(headerBytes(header));
    const name = Buffer.from(header.key);
    if (name.length > 0) {
      writer.byte(0x0a);
      writer.varint(name.length);
      writer.raw(name);
    }
    if (header.value === undefined) continue;
    writer.byte(0x12);
    writer.varint(header.value.length);
    writer.raw(header.value);
  }
}
