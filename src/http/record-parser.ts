/** Reads records out of JSON, without touching the values in it. */
import { isUtf8 } from "node:buffer";

import type { StoredRecord } from "../broker/index.ts";
import type { RecordHeader } from "../records/index.ts";
import { JsonFault, JsonScanner } from "./json-scanner.ts";
import { invalid, RequestFault } from "./problem.ts";

const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** Records of one array at most; a longer one belongs into a stream. */
const ARRAY_RECORDS_MAX = 100_000;

/** A record that was asked to be appended. Its bytes are views of the body. */
export interface ParsedRecord {
  /** Undefined takes the time of the append. */
  readonly timestamp: number | undefined;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  readonly headers: readonly RecordHeader[];
  /** Undefined leaves it to the key. */
  readonly partition: number | undefined;
}

const fieldNames = [
  "value",
  "text",
  "base64",
  "key",
  "keyBase64",
  "headers",
  "timestamp",
  "partition",
] as const;
type FieldName = (typeof fieldNames)[number];

const noHeaders: readonly RecordHeader[] = [];

/** Made once, used for one body after another. */
// hot: once for every record that is appended as JSON; guarded by bench/http.
export class RecordParser {
  readonly #scanner = new JsonScanner();
  /** Start and end of each field of {@link fieldNames}, start -1 where it is absent. */
  readonly #starts = new Int32Array(fieldNames.length);
  readonly #ends = new Int32Array(fieldNames.length);

  /** The record that is all of `bytes[start, end)`. @throws RequestFault invalid_argument */
  one(bytes: Uint8Array, start = 0, end = bytes.length): ParsedRecord {
    return this.#scan(bytes, start, end, () => {
      const record = this.#record("");
      this.#mustEnd();
      return record;
    });
  }

  /** The records of a body: one object, or an array of them. @throws RequestFault invalid_argument, limit_exceeded */
  oneOrMany(bytes: Uint8Array): ParsedRecord | ParsedRecord[] {
    return this.#scan(bytes, 0, bytes.length, () => {
      const scanner = this.#scanner;
      const isArray = scanner.peek() === OPEN_ARRAY;
      const parsed = isArray ? this.#array() : this.#record("");
      this.#mustEnd();
      return parsed;
    });
  }

  /** Checks that all of `bytes[start, end)` is one value. @throws RequestFault invalid_argument */
  value(bytes: Uint8Array, start: number, end: number): void {
    this.#scan(bytes, start, end, () => {
      this.#scanner.value();
      this.#mustEnd();
    });
  }

  #scan<T>(bytes: Uint8Array, start: number, end: number, scan: () => T): T {
    this.#scanner.reset(bytes, start, end);
    try {
      const scanned = scan();
      if (this.#scanner.hasNonAscii && !isUtf8(bytes.subarray(start, end))) {
        throw new RequestFault("invalid_argument", "the JSON is not in UTF-8");
      }
      return scanned;
    } catch (thrown) {
      if (!(thrown instanceof JsonFault)) throw thrown;
      const at = thrown.position - start;
      throw new RequestFault("invalid_argument", `malformed JSON at byte ${at}: ${thrown.message}`);
    }
  }

  #mustEnd(): void {
    if (this.#scanner.peek() !== -1) throw this.#scanner.fault("something follows the value");
  }

  #array(): ParsedRecord[] {
    const scanner = this.#scanner;
    const records: ParsedRecord[] = [];
    scanner.expect(OPEN_ARRAY);
    if (scanner.takes(CLOSE_ARRAY)) return records;
    do {
      if (records.length === ARRAY_RECORDS_MAX) {
        const message = `an array of more than ${ARRAY_RECORDS_MAX} records: send them as application/x-ndjson, which has no limit`;
        throw new RequestFault("invalid_argument", message, { limit: ARRAY_RECORDS_MAX });
      }
      records.push(this.#record(`[${records.length}].`));
    } while (scanner.takes(COMMA));
    scanner.expect(CLOSE_ARRAY);
    return records;
  }

  /** `path` is what names of fields begin with in complaints. */
  #record(path: string): ParsedRecord {
    const scanner = this.#scanner;
    const starts = this.#starts;
    if (scanner.peek() !== OPEN_OBJECT) {
      const where = path === "" ? "a record" : path.slice(0, -1);
      const details = path === "" ? {} : { field: path.slice(0, -1) };
      const message = `${where} is an object such as {"value": 1}`;
      throw new RequestFault("invalid_argument", message, details);
    }
    scanner.position++;
    starts.fill(-1);
    if (!scanner.takes(CLOSE_OBJECT)) {
      do {
        const field = this.#fieldAt(path);
        scanner.expect(COLON);
        starts[field] = scanner.value();
        this.#ends[field] = scanner.position;
      } while (scanner.takes(COMMA));
      scanner.expect(CLOSE_OBJECT);
    }
    return {
      timestamp: this.#timestamp(path),
      key: this.#key(path),
      value: this.#value(path),
      headers: (starts[5] ?? -1) < 0 ? noHeaders : headersOf(this.#parsed("headers"), path),
      partition: this.#partition(path),
    };
  }

  /** Index of the field whose name is next. */
  #fieldAt(path: string): number {
    const start = this.#scanner.string();
    const name = this.#text(start + 1, this.#scanner.position - 1);
    const field = fieldNames.findIndex((known) => known === name);
    if (field < 0) {
      const hint = name === "offset" ? "; the log gives offsets, leave it out" : "";
      throw invalid(
        path + name,
        `unknown field "${name.slice(0, 100)}"${hint}; a record has ${fieldNames.join(", ")}`,
      );
    }
    if ((this.#starts[field] ?? -1) >= 0) throw invalid(path + name, `"${name}" is given twice`);
    return field;
  }

  #value(path: string): Uint8Array | undefined {
    const { bytes } = this.#scanner;
    const given =
      Number(this.#has("value")) + Number(this.#has("text")) + Number(this.#has("base64"));
    if (given !== 1) {
      const message =
        given === 0
          ? `a record has "value" (JSON), "text" or "base64"; a value of null deletes its key`
          : `a record has one of "value", "text" and "base64", not ${given}`;
      throw invalid(`${path}value`, message);
    }
    if (this.#has("text")) return this.#string("text", path);
    if (this.#has("base64")) return this.#base64("base64", path);
    const start = this.#starts[0] ?? 0;
    const end = this.#ends[0] ?? 0;
    // Of all values that are four bytes long and begin with n there is one.
    const isNull = end - start === 4 && bytes[start] === 0x6e;
    return isNull ? undefined : bytes.subarray(start, end);
  }

  #key(path: string): Uint8Array | undefined {
    if (this.#has("keyBase64")) {
      if (this.#has("key"))
        throw invalid(`${path}key`, `a record has "key" or "keyBase64", not both`);
      return this.#base64("keyBase64", path);
    }
    if (!this.#has("key") || this.#raw("key") === "null") return undefined;
    return this.#string("key", path);
  }

  #timestamp(path: string): number | undefined {
    if (!this.#has("timestamp")) return undefined;
    const given = this.#parsed("timestamp");
    // oxlint-disable-next-line no-restricted-globals -- parses a text; no clock is read
    const timestamp = typeof given === "string" ? Date.parse(given) : given;
    if (Number.isSafeInteger(timestamp)) return Number(timestamp);
    throw invalid(
      `${path}timestamp`,
      `"timestamp" is milliseconds since 1970 or a time like "2026-11-20T08:00:00Z", not ${this.#raw("timestamp").slice(0, 100)}`,
    );
  }

  #partition(path: string): number | undefined {
    if (!this.#has("partition")) return undefined;
    const partition = this.#parsed("partition");
    if (Number.isSafeInteger(partition) && Number(partition) >= 0) return Number(partition);
    throw invalid(
      `${path}partition`,
      `"partition" is a number from 0 on, not ${this.#raw("partition").slice(0, 100)}`,
    );
  }

  #has(name: FieldName): boolean {
    return (this.#starts[fieldNames.indexOf(name)] ?? -1) >= 0;
  }

  #raw(name: FieldName): string {
    const field = fieldNames.indexOf(name);
    return this.#text(this.#starts[field] ?? 0, this.#ends[field] ?? 0);
  }

  #parsed(name: FieldName): unknown {
    return JSON.parse(this.#raw(name));
  }

  /** Bytes of a string: a view of the body where nothing in it is escaped. */
  #string(name: FieldName, path: string): Uint8Array {
    const { bytes } = this.#scanner;
    const field = fieldNames.indexOf(name);
    const start = this.#starts[field] ?? 0;
    const end = this.#ends[field] ?? 0;
    if (bytes[start] !== 0x22) {
      throw invalid(path + name, `"${name}" is a string, not ${this.#raw(name).slice(0, 100)}`);
    }
    const inside = bytes.subarray(start + 1, end - 1);
    return inside.includes(0x5c) ? Buffer.from(String(this.#parsed(name))) : inside;
  }

  #base64(name: FieldName, path: string): Uint8Array {
    const given = this.#parsed(name);
    if (typeof given === "string") {
      const bytes = decodeBase64(given);
      if (bytes !== undefined) return bytes;
    }
    throw invalid(path + name, `"${name}" is not base64 (RFC 4648, section 4, with padding)`);
  }

  #text(start: number, end: number): string {
    const { bytes } = this.#scanner;
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
  }
}

/** Undefined where the text is none. */
export function decodeBase64(text: string): Buffer | undefined {
  const isBase64 = text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  return isBase64 ? Buffer.from(text, "base64") : undefined;
}

/** `{"name": "text", "other": ["twice", null, {"base64": "AA=="}]}` */
function headersOf(given: unknown, path: string): RecordHeader[] {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalid(`${path}headers`, `"headers" is an object of names and values`);
  }
  return Object.entries(given).flatMap(([key, value]: [string, unknown]) => {
    const values: unknown[] = Array.isArray(value) ? value : [value];
    return values.map((each) => ({ key, value: headerValue(each, `${path}headers.${key}`) }));
  });
}

function headerValue(given: unknown, path: string): Uint8Array | undefined {
  if (given === null) return undefined;
  if (typeof given === "string") return Buffer.from(given);
  if (typeof given === "object" && "base64" in given && Object.keys(given).length === 1) {
    const bytes = typeof given.base64 === "string" ? decodeBase64(given.base64) : undefined;
    if (bytes !== undefined) return bytes;
  }
  throw invalid(path, `a header is a string, null, {"base64": "..."}, or an array of them`);
}

/** With the time of the append where it has none of its own. */
export function stored(record: ParsedRecord, nowMs: number): StoredRecord {
  const { timestamp = nowMs, key, value, headers } = record;
  return { timestamp, key, value, headers };
}
