import type { TextForm } from "../values/index.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text by what browsers have. */
export const webTexts: TextForm = {
  encode: (text) => encoder.encode(text),
  decodeAt: (bytes, start, end) => decoder.decode(bytes.subarray(start, end)),
};
