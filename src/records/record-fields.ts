/** Fields of a record whose length stands before them, and its headers: sizes, and how they are written. */
import { ByteWriter, putVarint, varintSize } from "../bytes/index.ts";
import type { RecordHeader } from "../values/index.ts";

/** Bytes of a length and what it counts; -1 is the length of what is absent. */
export function fieldSize(field: Uint8Array | undefined): number {
  return field === undefined ? 1 : varintSize(field.length) + field.length;
}

/** Answers the position behind the field. */
export function putField(
  bytes: Uint8Array,
  position: number,
  field: Uint8Array | undefined,
): number {
  if (field === undefined) return putVarint(bytes, position, -1);
  const at = putVarint(bytes, position, field.length);
  bytes.set(field, at);
  return at + field.length;
}

export function headersSize(headers: readonly RecordHeader[]): number {
  // Most records have none, and walking nothing costs 20 ns where the list is frozen.
  if (headers.length === 0) return 1;
  let size = varintSize(headers.length);
  for (const { key, value } of headers) {
    const keyBytes = ByteWriter.stringSize(key);
    size += varintSize(keyBytes) + keyBytes + fieldSize(value);
  }
  return size;
}

/** Answers the position behind the last header. */
export function putHeaders(
  bytes: Buffer,
  position: number,
  headers: readonly RecordHeader[],
): number {
  let at = putVarint(bytes, position, headers.length);
  if (headers.length === 0) return at;
  for (const { key, value } of headers) {
    at = putVarint(bytes, at, ByteWriter.stringSize(key));
    at += bytes.write(key, at);
    at = putField(bytes, at, value);
  }
  return at;
}
