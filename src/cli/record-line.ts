// A record as one line of JSON, from which it can be made again, byte for byte.
//
//   {"partition":0,"offset":12,"timestamp":1764144000000,"key":"o-1","headers":[["source","web"]],"value":"..."}
//
// Keys and values, of headers too, are texts where their bytes are UTF-8, else {"base64":"..."}, and
// null where there are none. Headers are a list, because their order and their repetition count.
import { isUtf8 } from "node:buffer";

import type { OutgoingRecord } from "../kafka/index.ts";
import { BadLine } from "./lines.ts";
import type { ShownRecord } from "./place.ts";
import { bytesJson } from "./record-format.ts";

export function lineOfRecord(partition: number, record: ShownRecord): string {
  return JSON.stringify({
    partition,
    offset: record.offset,
    timestamp: record.timestamp,
    key: bytesJson(record.key()),
    headers: record.headers().map(({ key, value }) => [key, bytesJson(value)]),
    value: bytesJson(record.value()),
  });
}

const fields = new Set(["topic", "partition", "offset", "timestamp", "key", "headers", "value"]);

/** The record that a line stands for. Its offset is not kept. @throws BadLine saying what is wrong. */
export function recordOfLine(line: Uint8Array): OutgoingRecord {
  const found = objectOf(line);
  const unknown = Object.keys(found).find((name) => !fields.has(name));
  if (unknown !== undefined) throw new BadLine(`a record has no field "${unknown}"`);
  if (!("value" in found)) throw new BadLine("there is no value; null stands for a deletion");
  return {
    partition: integerOf("partition", found["partition"], 0),
    timestampMs: integerOf("timestamp", found["timestamp"], -1),
    key: bytesOf("the key", found["key"]),
    headers: headersOf(found["headers"]),
    value: bytesOf("the value", found["value"]),
  };
}

function objectOf(line: Uint8Array): Readonly<Record<string, unknown>> {
  if (!isUtf8(line)) throw new BadLine("this is no UTF-8");
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString();
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (thrown) {
    throw new BadLine(`this is no JSON: ${thrown instanceof Error ? thrown.message : ""}`);
  }
  if (isObject(found)) return found;
  throw new BadLine("a record is an object");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function integerOf(name: string, value: unknown, min: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min) return value;
  throw new BadLine(`${name} is ${JSON.stringify(value)}; expected a whole number from ${min} on`);
}

function bytesOf(what: string, value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") {
    // Half a surrogate pair has no bytes in UTF-8.
    if (!value.isWellFormed()) throw new BadLine(`${what} is no well-formed text`);
    return Buffer.from(value);
  }
  if (isObject(value) && typeof value["base64"] === "string" && Object.keys(value).length === 1) {
    const bytes = Buffer.from(value["base64"], "base64");
    if (bytes.toString("base64") === value["base64"]) return bytes;
    throw new BadLine(`${what} is no base64: ${JSON.stringify(value["base64"]).slice(0, 60)}`);
  }
  throw new BadLine(
    `${what} is ${JSON.stringify(value).slice(0, 60)}; expected a text, {"base64":"..."} or null`,
  );
}

function headersOf(value: unknown): OutgoingRecord["headers"] {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw new BadLine("headers are a list of [name, value]");
  return value.map((header: unknown) => {
    const isPair = Array.isArray(header) && header.length === 2 && typeof header[0] === "string";
    if (!isPair) throw new BadLine(`a header is ${JSON.stringify(header)}; expected [name, value]`);
    const name: string = header[0];
    if (!name.isWellFormed()) throw new BadLine("a header's name is no well-formed text");
    return { key: name, value: bytesOf(`the header "${name}"`, header[1]) };
  });
}
