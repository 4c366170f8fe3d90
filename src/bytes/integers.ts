import { LogError } from "../errors/index.ts";

const TWO_32 = 0x1_0000_0000;

// Byte by byte, because a DataView for each small piece of a receive buffer is an allocation; whoever
// reads many in one place takes `memoryOf`. Positions are the caller's to check.

/** Big-endian signed 32-bit integer at `position`. */
export function int32At(bytes: Uint8Array, position: number): number {
  return (
    (at(bytes, position) << 24) |
    (at(bytes, position + 1) << 16) |
    (at(bytes, position + 2) << 8) |
    at(bytes, position + 3)
  );
}

/** Big-endian unsigned 32-bit integer at `position`. */
export function uint32At(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position) >>> 0;
}

/** A view of larger memory is not kept: it keeps the memory. */
const VIEWED_BYTES_MAX = 4 << 20;
/** The last two: of a batch, and of the frame that it goes into. */
let newer: DataView = new DataView(new ArrayBuffer(0));
let older = newer;

/**
 * A view of all the memory that `bytes` lie in; they begin at their `byteOffset`. A number takes a
 * quarter of the time through it that it takes byte by byte. The last two views are kept, since a piece
 * of memory usually has many batches.
 */
// hot: twice for every batch that is read.
export function memoryOf(bytes: Uint8Array): DataView {
  const { buffer } = bytes;
  if (newer.buffer === buffer) return newer;
  const isKnown = older.buffer === buffer;
  const view = isKnown ? older : new DataView(buffer);
  if (!isKnown && buffer.byteLength > VIEWED_BYTES_MAX) return view;
  older = newer;
  newer = view;
  return view;
}

export function putInt16(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 8;
  bytes[position + 1] = value;
}

/** Also for unsigned values below 2^32. */
export function putInt32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 24;
  bytes[position + 1] = value >> 16;
  bytes[position + 2] = value >> 8;
  bytes[position + 3] = value;
}

/** `value` is a safe integer. */
export function putInt64(bytes: Uint8Array, position: number, value: number): void {
  putInt32(bytes, position, Math.floor(value / TWO_32));
  putInt32(bytes, position + 4, value);
}

/**
 * Big-endian signed 64-bit integer of a view.
 * @throws LogError batch_corrupt where it is no safe integer.
 */
export function readInt64(view: DataView, position: number): number {
  return safe(view.getInt32(position) * TWO_32 + view.getUint32(position + 4), position);
}

/** `value` is a safe integer. */
export function writeInt64(view: DataView, position: number, value: number): void {
  view.setInt32(position, Math.floor(value / TWO_32));
  view.setInt32(position + 4, value);
}

function at(bytes: Uint8Array, position: number): number {
  return bytes[position] ?? 0;
}

function safe(value: number, position: number): number {
  // Values past 2^53 are rounded here, but never back into the safe range.
  if (Number.isSafeInteger(value)) return value;
  throw new LogError("batch_corrupt", `the 64-bit integer at ${position} is beyond 2^53`);
}
