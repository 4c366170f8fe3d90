/** How values become bytes and come back. */
import { LogError } from "../errors/index.ts";

/** A codec of the user's own. `decode` gets a view of memory that stays as it is. */
export interface ValueCodec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** The codecs that are there. */
export type CodecName = "json" | "string" | "bytes";

/** A codec that reads in place: a view for each record would cost more than most decoding. */
export interface PlacedCodec {
  encode(value: unknown): Uint8Array;
  decodeAt(bytes: Buffer, start: number, end: number): unknown;
}

const json: PlacedCodec = {
  encode(value) {
    const text = JSON.stringify(value);
    if (text === undefined) throw notEncodable(`${typeof value} has no form in JSON`);
    return Buffer.from(text);
  },
  decodeAt: (bytes, start, end) => JSON.parse(bytes.toString("utf8", start, end)),
};

const string: PlacedCodec = {
  encode(value) {
    if (typeof value !== "string") throw notEncodable(`a string is expected, not ${typeof value}`);
    return Buffer.from(value);
  },
  decodeAt: (bytes, start, end) => bytes.toString("utf8", start, end),
};

const bytes: PlacedCodec = {
  encode(value) {
    if (value instanceof Uint8Array) return value;
    throw notEncodable(`a Uint8Array is expected, not ${typeof value}; name a codec or a schema`);
  },
  decodeAt: (from, start, end) => new Uint8Array(from.buffer, from.byteOffset + start, end - start),
};

const codecs: Readonly<Record<CodecName, PlacedCodec>> = { json, string, bytes };

/** @throws LogError invalid_argument where `codec` is neither a known name nor a codec. */
export function placedCodec<T>(codec: CodecName | ValueCodec<T>): PlacedCodec {
  if (typeof codec === "string") {
    const known = codecs[codec];
    if (known !== undefined) return known;
    const names = Object.keys(codecs).join(", ");
    const given: string = codec;
    throw new LogError("invalid_argument", `codec "${given}" is not one of ${names}`);
  }
  return {
    // A topic is typed by its codec, so what comes here is what the codec takes.
    encode: (value) => codec.encode(vouched(value)),
    decodeAt: (from, start, end) =>
      codec.decode(new Uint8Array(from.buffer, from.byteOffset + start, end - start)),
  };
}

/** A value whose type the compiler cannot follow, because it was bytes in between: whoever calls says why it holds. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names the type
export function vouched<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- that is what it is for
  return value as T;
}

function notEncodable(why: string): LogError {
  return new LogError("schema_mismatch", why);
}
