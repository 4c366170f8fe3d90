/**
 * Bytes and nothing else: checksums, integers, variable-length integers, UUIDs, growing writers,
 * bounded readers, pooled memory.
 *
 * Promises that a reader never passes the end it was given, that a 64-bit integer either fits a
 * safe `number` or is refused, and that pooled memory is lent to one holder at a time. Knows no
 * format and no protocol. Start reading at {@link ByteReader}.
 */
export { BufferPool, type BufferPoolLimits } from "./buffer-pool.ts";
export { ByteReader } from "./byte-reader.ts";
export { ByteWriter } from "./byte-writer.ts";
export { crc32c } from "./crc32c.ts";
export {
  int32At,
  memoryOf,
  putInt16,
  putInt32,
  putInt64,
  readInt64,
  uint32At,
  writeInt64,
} from "./integers.ts";
export { NIL_UUID, uuidToString, writeUuid } from "./uuid.ts";
export { putVarint, putVarlong, varintSize, varlongSize } from "./varint.ts";
