/** Writes records as JSON, one after another into the same memory. */
import { isUtf8 } from "node:buffer";

import type { RecordCursor, RecordHeader } from "../records/index.ts";
import { JsonFault, JsonScanner } from "./json-scanner.ts";

const INITIAL_BYTES = 4 * 1024;
/** Memory kept for the next chunk; a larger one is let go. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** Bytes that the fixed parts of a record take at most: names, numbers, braces. */
const FRAME_BYTES = 256;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Text that is written front to back and taken in chunks. A value that is JSON is passed on as it is
 * stored, but for line breaks, which become spaces; other text and other bytes are marked as such.
 */
// hot: once for every record that is read as JSON; guarded by bench/http.
export class RecordEncoder {
  #out: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #size = 0;
  readonly #scanner = new JsonScanner();

  get size(): number {
    return this.#size;
  }

  /** `{"partition":0,"offset":1,"timestamp":2,"key":"k","headers":{},"value":3}`; what is absent is left out, but for the value. */
  record(partition: number, cursor: RecordCursor): void {
    this.#room(FRAME_BYTES);
    this.#ascii(
      `{"partition":${partition},"offset":${cursor.offset},"timestamp":${cursor.timestamp}`,
    );
    const key = cursor.key();
    if (key !== undefined) {
      if (isUtf8(key)) this.#text(`,"key":${JSON.stringify(textOf(key))}`);
      else this.#text(`,"keyBase64":"${base64Of(key)}"`);
    }
    if (cursor.headerCount > 0) {
      this.#text(`,"headers":${JSON.stringify(headersJson(cursor.headers()))}`);
    }
    this.#value(cursor);
    this.#room(FRAME_BYTES);
    this.#out[this.#size++] = 0x7d;
  }

  /** Text of ASCII, as what stands between records. */
  ascii(text: string): void {
    this.#room(text.length);
    this.#ascii(text);
  }

  /** Puts bytes before what was written from `at` on. */
  insert(at: number, bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#out.copyWithin(at + bytes.length, at, this.#size);
    this.#out.set(bytes, at);
    this.#size += bytes.length;
  }

  /** What was written since the last call, in memory of its own. */
  take(): Buffer {
    const taken = Buffer.from(this.#out.subarray(0, this.#size));
    this.#size = 0;
    if (this.#out.length > KEPT_BYTES_MAX) this.#out = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    return taken;
  }

  #value(cursor: RecordCursor): void {
    const value = cursor.value();
    if (value === undefined) {
      this.#ascii(`,"value":null`);
    } else if (this.#isJson(value)) {
      this.#ascii(`,"value":`);
      this.#line(value);
    } else if (isUtf8(value)) {
      this.#text(`,"text":${JSON.stringify(textOf(value))}`);
    } else {
      this.#text(`,"base64":"${base64Of(value)}"`);
    }
  }

  /** A stored `null` is no JSON here, because a value of null is the absence of one. */
  #isJson(value: Uint8Array): boolean {
    const scanner = this.#scanner;
    scanner.reset(value, 0, value.length);
    // Most text fails here, and an exception takes longer than all of the rest.
    if (!scanner.canBegin()) return false;
    try {
      const start = scanner.value();
      if (scanner.position - start === 4 && value[start] === 0x6e) return false;
      return scanner.peek() === -1 && (!scanner.hasNonAscii || isUtf8(value));
    } catch (thrown) {
      if (thrown instanceof JsonFault) return false;
      throw thrown;
    }
  }

  /** JSON on one line: a line break in it is white space, for within strings it is escaped. */
  #line(json: Uint8Array): void {
    this.#room(json.length);
    const start = this.#size;
    this.#out.set(json, start);
    this.#size += json.length;
    if (!json.includes(NEWLINE) && !json.includes(RETURN)) return;
    for (let at = start; at < this.#size; at++) {
      if (this.#out[at] === NEWLINE || this.#out[at] === RETURN) this.#out[at] = 0x20;
    }
  }

  #text(text: string): void {
    // A code unit of UTF-16 takes three bytes of UTF-8 at most.
    this.#room(text.length * 3);
    this.#size += this.#out.write(text, this.#size);
  }

  #ascii(text: string): void {
    this.#size += this.#out.write(text, this.#size, "latin1");
  }

  #room(count: number): void {
    const wanted = this.#size + count;
    if (wanted <= this.#out.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#out.length * 2));
    grown.set(this.#out.subarray(0, this.#size));
    this.#out = grown;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/** A name that is there more than once has an array. */
function headersJson(headers: readonly RecordHeader[]): Record<string, unknown> {
  const byName = new Map<string, unknown[]>();
  for (const { key, value } of headers) {
    const text = value === undefined ? null : headerJson(value);
    const values = byName.get(key);
    if (values === undefined) byName.set(key, [text]);
    else values.push(text);
  }
  return Object.fromEntries(
    [...byName].map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
  );
}

function headerJson(value: Uint8Array): unknown {
  return isUtf8(value) ? textOf(value) : { base64: base64Of(value) };
}
