import { int32At, putInt32 } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import { loadNativeCodec } from "./native-codec.ts";

// Two framings are in use. Java's clients write chunks behind a header of their own ("xerial"); many
// others write one bare block. Reading takes both, writing makes chunks, as the Java client does.

interface NativeSnappy {
  compressSync(bytes: Uint8Array): Uint8Array;
  uncompressSync(bytes: Uint8Array, options: { readonly asBuffer: true }): Uint8Array | string;
}

const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00);
const XERIAL_VERSION = 1;
/** Magic, version, least compatible version. */
const XERIAL_HEADER_BYTES = 16;
const CHUNK_BYTES = 32 * 1024;

/** A copy of 64 bytes takes three, so no honest block grows more. */
const INFLATION_MAX = 22;
/** Room for the length and a first literal, beside the ratio. */
const INFLATION_SLACK_BYTES = 64;

let loaded: NativeSnappy | undefined;

export function snappyCompress(bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(XERIAL_HEADER_BYTES);
  header.set(XERIAL_MAGIC);
  putInt32(header, 8, XERIAL_VERSION);
  putInt32(header, 12, XERIAL_VERSION);
  const parts: Uint8Array[] = [header];
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const block = native().compressSync(bytes.subarray(start, start + CHUNK_BYTES));
    const length = new Uint8Array(4);
    putInt32(length, 0, block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

export function snappyDecompress(bytes: Uint8Array, sizeMax: number): Uint8Array {
  if (!isXerial(bytes)) return blockDecompress(bytes, sizeMax);
  const parts: Uint8Array[] = [];
  let size = 0;
  let position = XERIAL_HEADER_BYTES;
  while (position < bytes.length) {
    if (position + 4 > bytes.length) throw malformed("a chunk's length is cut");
    const length = int32At(bytes, position);
    position += 4;
    if (length < 0 || length > bytes.length - position) throw malformed("a chunk is cut");
    const part = blockDecompress(bytes.subarray(position, position + length), sizeMax - size);
    position += length;
    size += part.length;
    parts.push(part);
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, size);
}

function isXerial(bytes: Uint8Array): boolean {
  if (bytes.length < XERIAL_HEADER_BYTES) return false;
  return XERIAL_MAGIC.every((byte, index) => bytes[index] === byte);
}

/** The size a block claims is checked before the decoder believes it. */
function blockDecompress(block: Uint8Array, sizeMax: number): Uint8Array {
  const size = claimedSize(block);
  if (size > sizeMax) {
    throw new LogError("limit_exceeded", `snappy: ${size} bytes where ${sizeMax} are allowed`);
  }
  if (size > block.length * INFLATION_MAX + INFLATION_SLACK_BYTES) {
    throw malformed(`${block.length} bytes cannot hold ${size}`);
  }
  const inflated = native().uncompressSync(block, { asBuffer: true });
  if (typeof inflated === "string") throw malformed("the decoder gave text");
  return inflated;
}

/** A block begins with its decompressed size as a varint. */
function claimedSize(block: Uint8Array): number {
  let size = 0;
  for (let index = 0, scale = 1; index < 5; index++, scale *= 0x80) {
    const byte = block[index];
    if (byte === undefined) break;
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) return size;
  }
  throw malformed("a block without its size");
}

function malformed(reason: string): LogError {
  return new LogError("batch_corrupt", `snappy: ${reason}`);
}

function native(): NativeSnappy {
  if (loaded !== undefined) return loaded;
  const found = loadNativeCodec("snappy");
  if (!isSnappy(found)) throw new LogError("unsupported_compression", "snappy lacks its functions");
  loaded = found;
  return found;
}

function isSnappy(found: unknown): found is NativeSnappy {
  if (typeof found !== "object" || found === null) return false;
  return "compressSync" in found && "uncompressSync" in found;
}
