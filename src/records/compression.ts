import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";

import { LogError } from "../errors/index.ts";
import { lz4Compress, lz4Decompress } from "./lz4.ts";
import { snappyCompress, snappyDecompress } from "./snappy.ts";

/** The compressions of the batch format, each at the number it has in the attributes. */
export const codecNames = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

export type Codec = (typeof codecNames)[number];

/** What one batch may grow to when nobody says otherwise. */
export const INFLATED_BYTES_MAX = 128 * 1024 * 1024;

/** 8 MiB: what a decoder must offer by RFC 8878, and more than any level used for batches asks for. */
const ZSTD_WINDOW_LOG_MAX = 23;

// Real batches shrink by single digits, repetitive ones by a hundred. What claims more than this is
// believed only up to a size that harms nobody.
const INFLATION_RATIO_MAX = 256;
const INFLATION_FREE_BYTES = 16 * 1024 * 1024;

const compressors: Readonly<Record<Codec, (bytes: Uint8Array) => Uint8Array>> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  snappy: snappyCompress,
  lz4: lz4Compress,
  zstd: (bytes) => zstdCompressSync(bytes),
};

/** Each stops at `sizeMax` bytes, or before. */
const decompressors: Readonly<Record<Codec, (bytes: Uint8Array, sizeMax: number) => Uint8Array>> = {
  none: (bytes) => bytes,
  gzip: (bytes, sizeMax) => gunzipSync(bytes, { maxOutputLength: Math.max(sizeMax, 1) }),
  snappy: snappyDecompress,
  lz4: lz4Decompress,
  zstd: (bytes, sizeMax) =>
    zstdDecompressSync(bytes, {
      maxOutputLength: Math.max(sizeMax, 1),
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
    }),
};

/**
 * Compresses the records of a batch as clients of every language expect them: gzip, snappy in xerial
 * chunks, an LZ4 frame with independent blocks, zstd.
 */
export function compress(codec: Codec, bytes: Uint8Array): Uint8Array {
  return compressors[codec](bytes);
}

/**
 * The bytes before compression, `bytesMax` at most, whatever the input claims.
 * @throws LogError limit_exceeded where they would be more, or grow by more than any real batch does;
 *   batch_corrupt where the input is malformed or cut.
 */
export function decompress(codec: Codec, bytes: Uint8Array, bytesMax: number): Uint8Array {
  const ratioMax = Math.max(INFLATION_FREE_BYTES, bytes.length * INFLATION_RATIO_MAX);
  const sizeMax = Math.min(bytesMax, ratioMax);
  const inflated = inflate(codec, bytes, sizeMax);
  if (inflated.length > sizeMax) throw tooLarge(codec, sizeMax);
  return inflated;
}

function inflate(codec: Codec, bytes: Uint8Array, sizeMax: number): Uint8Array {
  try {
    return decompressors[codec](bytes, sizeMax);
  } catch (thrown) {
    throw inflateError(codec, sizeMax, thrown);
  }
}

function inflateError(codec: Codec, sizeMax: number, thrown: unknown): LogError {
  if (thrown instanceof LogError) return thrown;
  if (!(thrown instanceof Error)) return LogError.from(thrown);
  const code = "code" in thrown ? thrown.code : undefined;
  if (code === "ERR_BUFFER_TOO_LARGE") return tooLarge(codec, sizeMax);
  if (code === "ZSTD_error_frameParameter_windowTooLarge") {
    return new LogError("limit_exceeded", "zstd: a window above 8 MiB", { cause: thrown });
  }
  return new LogError("batch_corrupt", `${codec}: ${thrown.message}`, { cause: thrown });
}

function tooLarge(codec: Codec, sizeMax: number): LogError {
  return new LogError("limit_exceeded", `${codec}: more than ${sizeMax} bytes when decompressed`);
}
