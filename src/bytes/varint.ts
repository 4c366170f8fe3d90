// Variable-length integers as protocol buffers define them: seven bits a byte, least significant
// first. Signed ones are zig-zag coded. What lies beyond 32 bits is done by division, because the
// bit operators stop there.

/** Bytes of an unsigned varint; `value` is an integer from 0 up to 2^53. */
export function unsignedVarintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Bytes of a zig-zag varint; `value` is a signed 32-bit integer. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Bytes of a zig-zag varlong; `value` is a safe integer. */
export function varlongSize(value: number): number {
  if (value === value >> 0) return varintSize(value);
  // The sign takes one bit of the first byte, so six are left for the magnitude there.
  const magnitude = value < 0 ? -(value + 1) : value;
  return 1 + unsignedVarintSize(Math.floor(magnitude / 0x40));
}

/** Writes `value` (0 up to 2^53) and answers the position behind it. */
export function putUnsignedVarint(bytes: Uint8Array, position: number, value: number): number {
  let rest = value;
  let next = position;
  for (; rest >= 0x8000_0000; rest = Math.floor(rest / 0x80)) bytes[next++] = (rest % 0x80) | 0x80;
  for (; rest >= 0x80; rest >>>= 7) bytes[next++] = (rest & 0x7f) | 0x80;
  bytes[next++] = rest;
  return next;
}

/** Writes the signed 32-bit `value` and answers the position behind it. */
export function putVarint(bytes: Uint8Array, position: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let next = position;
  for (; rest >= 0x80; rest >>>= 7) bytes[next++] = (rest & 0x7f) | 0x80;
  bytes[next++] = rest;
  return next;
}

/** Writes the safe integer `value` and answers the position behind it. */
export function putVarlong(bytes: Uint8Array, position: number, value: number): number {
  if (value === value >> 0) return putVarint(bytes, position, value);
  const isNegative = value < 0;
  const magnitude = isNegative ? -(value + 1) : value;
  bytes[position] = 0x80 | ((magnitude % 0x40) << 1) | (isNegative ? 1 : 0);
  return putUnsignedVarint(bytes, position + 1, Math.floor(magnitude / 0x40));
}
