import type { TextForm } from "../values/index.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text by what browsers have. */
export const webTexts: TextForm = {
  encode: (text) => encoder.encode(text),
  decodeAt,
  pieceAt: decodeAt,
  viewAt: (bytes, start, end) => bytes.subarray(start, end),
};

function decodeAt(bytes: Uint8Array, start: number, end: number): string {
  return decoder.decode(bytes.subarray(start, end));
}
