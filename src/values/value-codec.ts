/** How values become bytes and come back. */
import { LogError } from "../errors/index.ts";

/** A codec of the user's own. `decode` gets a view of memory that stays as it is. */
export interface ValueCodec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** The codecs that are there. */
export type CodecName = "json" | "string" | "bytes";

/**
 * How text becomes UTF-8 and comes back, of bytes that come in a `B`. A program in Node reads it out of
 * a Buffer several times as fast as a browser's decoder does, and so each brings its own.
 */
export interface TextForm<in B = Uint8Array> {
  encode(text: string): Uint8Array;
  decodeAt(bytes: B, start: number, end: number): string;
  /** The same for who does not keep it: it may be a piece of a longer text. */
  pieceAt(bytes: B, start: number, end: number): string;
  viewAt(bytes: B, start: number, end: number): Uint8Array;
}

/** What a value is before it is stored: bytes, or text that becomes UTF-8 where it is stored. */
export type EncodedValue = Uint8Array | string;

/** A codec that reads in place: a view for each record would cost more than most decoding. */
export interface PlacedCodec<in B = Uint8Array> {
  encode(value: unknown): EncodedValue;
  decodeAt(bytes: B, start: number, end: number): unknown;
}

/** @throws LogError invalid_argument where `codec` is neither a known name nor a codec. */
export function placedCodec<B>(
  codec: CodecName | ValueCodec<unknown>,
  texts: TextForm<B>,
): PlacedCodec<B> {
  if (typeof codec === "string") return namedCodec(codec, texts);
  return {
    // A topic is typed by its codec, so what comes here is what the codec takes.
    encode: (value) => codec.encode(value),
    decodeAt: (from, start, end) => codec.decode(texts.viewAt(from, start, end)),
  };
}

function namedCodec<B>(name: CodecName, texts: TextForm<B>): PlacedCodec<B> {
  switch (name) {
    case "json":
      return {
        encode: jsonOf,
        decodeAt: (bytes, start, end) => JSON.parse(texts.pieceAt(bytes, start, end)),
      };
    case "string":
      return {
        encode(value) {
          if (typeof value === "string") return value;
          throw notEncodable(`a string is expected, not ${typeof value}`);
        },
        decodeAt: (bytes, start, end) => texts.decodeAt(bytes, start, end),
      };
    case "bytes":
      return {
        encode(value) {
          if (value instanceof Uint8Array) return value;
          throw notEncodable(
            `a Uint8Array is expected, not ${typeof value}; name a codec or a schema`,
          );
        },
        decodeAt: (bytes, start, end) => texts.viewAt(bytes, start, end),
      };
    default: {
      const given: string = name;
      throw new LogError("invalid_argument", `codec "${given}" is not one of json, string, bytes`);
    }
  }
}

function jsonOf(value: unknown): string {
  const text = JSON.stringify(value);
  if (text === undefined) throw notEncodable(`${typeof value} has no form in JSON`);
  return text;
}

function notEncodable(why: string): LogError {
  return new LogError("schema_mismatch", why);
}
