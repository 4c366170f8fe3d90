import type { TextForm } from "../values/index.ts";

/** Text by Node's Buffer, which decodes in place. */
export const bufferTexts: TextForm<Buffer> = {
  encode: (text) => Buffer.from(text),
  decodeAt: (bytes, start, end) => bytes.toString("utf8", start, end),
};
