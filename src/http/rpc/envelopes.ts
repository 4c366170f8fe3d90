/** Messages of a stream, each behind five bytes: flags and length. The same in gRPC, gRPC-Web and Connect. */
import { gunzipSync } from "node:zlib";

import { LogError } from "../../errors/index.ts";
import { rpcLimits } from "./limits.ts";

export const ENVELOPE_BYTES = 5;
const COMPRESSED = 1;

/** How a client compresses its messages. */
export type Encoding = "identity" | "gzip";

/** Finds whole messages in the pieces of a body. */
// hot: once for every message of an append stream.
export class EnvelopeReader {
  readonly #encoding: Encoding;
  readonly #take: (message: Uint8Array) => void;
  /** Pieces of a message that is not whole yet. */
  #pieces: Uint8Array[] = [];
  #size = 0;
  /** Bytes until there is something to do with the pieces. */
  #needed = ENVELOPE_BYTES;

  constructor(encoding: Encoding, take: (message: Uint8Array) => void) {
    this.#encoding = encoding;
    this.#take = take;
  }

  /** Whether the body may end here. */
  get isBetween(): boolean {
    return this.#size === 0;
  }

  /** @throws LogError protocol_violation, record_too_large, unsupported_compression; and what `take` throws. */
  push(piece: Uint8Array): void {
    if (this.#size === 0) {
      this.#parse(piece);
      return;
    }
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size < this.#needed) return;
    const joined = Buffer.concat(this.#pieces, this.#size);
    this.#pieces = [];
    this.#size = 0;
    this.#parse(joined);
  }

  #parse(bytes: Uint8Array): void {
    let position = 0;
    this.#needed = ENVELOPE_BYTES;
    while (bytes.length - position >= ENVELOPE_BYTES) {
      const length = lengthAt(bytes, position + 1);
      refuseLarge(length);
      const start = position + ENVELOPE_BYTES;
      if (bytes.length - start < length) {
        this.#needed = ENVELOPE_BYTES + length;
        break;
      }
      const flags = bytes[position] ?? 0;
      position = start + length;
      this.#take(opened(bytes.subarray(start, position), flags, this.#encoding));
    }
    if (position === bytes.length) return;
    this.#pieces = [bytes.subarray(position)];
    this.#size = bytes.length - position;
  }
}

/** The message of a body that has just one. @throws LogError as {@link EnvelopeReader.push}. */
export function onlyMessage(body: Uint8Array, encoding: Encoding): Uint8Array {
  const length = body.length < ENVELOPE_BYTES ? 0 : lengthAt(body, 1);
  if (body.length !== ENVELOPE_BYTES + length) {
    throw new LogError(
      "protocol_violation",
      `one message is expected; there are ${body.length} bytes, and the message has ${length} behind its ${ENVELOPE_BYTES}`,
    );
  }
  refuseLarge(length);
  return opened(body.subarray(ENVELOPE_BYTES), body[0] ?? 0, encoding);
}

/** @throws LogError protocol_violation, record_too_large. */
export function inflated(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: rpcLimits.messageBytesMax });
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge("more", thrown);
    throw new LogError("protocol_violation", "the message is not what gzip makes", {
      cause: thrown,
    });
  }
}

function opened(bytes: Uint8Array, flags: number, encoding: Encoding): Uint8Array {
  if (flags === 0) return bytes;
  if (flags !== COMPRESSED) {
    throw new LogError("protocol_violation", `a message with the flags ${flags}, which are none`);
  }
  if (encoding === "gzip") return inflated(bytes);
  throw new LogError(
    "protocol_violation",
    "a message says that it is compressed, and the call names no compression",
  );
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 0x100_0000 +
    (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  );
}

function refuseLarge(length: number): void {
  if (length > rpcLimits.messageBytesMax) throw tooLarge(String(length));
}

function tooLarge(bytes: string, cause?: unknown): LogError {
  return new LogError(
    "record_too_large",
    `a message of ${bytes} bytes; ${rpcLimits.messageBytesMax} are allowed. Send fewer records at once.`,
    { cause },
  );
}

/** Fills in the five bytes before a message without compression. */
export function sealEnvelope(message: Buffer, flags = 0): Buffer {
  message[0] = flags;
  message.writeUInt32BE(message.length - ENVELOPE_BYTES, 1);
  return message;
}
