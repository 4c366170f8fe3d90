import { isUtf8 } from "node:buffer";

import { LogError } from "../errors/index.ts";
import { paint } from "./paint.ts";
import type { ShownRecord } from "./place.ts";
import { type Json, type OutputFormat, printable } from "./rows.ts";

/** Where a record lies; the rest it says itself. */
interface RecordSource {
  readonly topic: string;
  readonly partition: number;
}

/** Takes the pieces of a printed record. */
export interface Sink {
  text(text: string): void;
  bytes(bytes: Uint8Array): void;
}

/** Prints a record; what goes before, between and behind them all is the writer's. */
export interface RecordPrinter {
  readonly separator: string;
  begin(sink: Sink): void;
  record(sink: Sink, source: RecordSource, record: ShownRecord): void;
  end(sink: Sink): void;
}

export interface RecordFormat {
  readonly output: OutputFormat;
  /** Given by the user in place of an output format. */
  readonly template: string | undefined;
  /** Whether values that are JSON are shown as what they hold. */
  readonly parsesJson: boolean;
  readonly hasColor: boolean;
}

/** @throws LogError invalid_argument */
export function recordPrinter(format: RecordFormat): RecordPrinter {
  if (format.template !== undefined) return templatePrinter(format.template);
  if (format.output === "raw") return rawPrinter;
  if (format.output === "table") return tablePrinter(format.hasColor);
  return jsonPrinter(format.output === "json", format.parsesJson);
}

const lineBreak = Buffer.from("\n");

function nothing(): void {}

/** Values alone, each with a line break. */
const rawPrinter: RecordPrinter = {
  separator: "",
  begin: nothing,
  record(sink, _, record) {
    const value = record.value();
    if (value !== undefined) sink.bytes(value);
    sink.bytes(lineBreak);
  },
  end: nothing,
};

function jsonPrinter(isOneDocument: boolean, parsesJson: boolean): RecordPrinter {
  return {
    separator: isOneDocument ? ",\n" : "",
    begin(sink) {
      if (isOneDocument) sink.text("[\n");
    },
    record(sink, source, record) {
      sink.text(JSON.stringify(recordJson(source, record, parsesJson)));
      if (!isOneDocument) sink.text("\n");
    },
    end(sink) {
      if (isOneDocument) sink.text("\n]\n");
    },
  };
}

/** A record as JSON has it. Bytes that are no text are `{"base64": ...}`. */
function recordJson(
  source: RecordSource,
  record: ShownRecord,
  parsesJson: boolean,
): { readonly [name: string]: Json } {
  return {
    topic: source.topic,
    partition: source.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    key: bytesJson(record.key()),
    headers: headersJson(record),
    value: parsesJson ? parsedJson(record.value()) : bytesJson(record.value()),
  };
}

/** A text where the bytes are one in UTF-8, else `{"base64": ...}`; null where there are none. */
export function bytesJson(bytes: Uint8Array | undefined): Json {
  if (bytes === undefined) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return isUtf8(buffer) ? buffer.toString("utf8") : { base64: buffer.toString("base64") };
}

/** What is no JSON stays the text that it is. */
function parsedJson(bytes: Uint8Array | undefined): Json {
  const text = bytesJson(bytes);
  if (typeof text !== "string") return text;
  try {
    const parsed: Json = JSON.parse(text);
    return parsed;
  } catch {
    return text;
  }
}

/** By name; a name that comes more than once has a list of its values. */
function headersJson(record: ShownRecord): { readonly [name: string]: Json } {
  const headers = record.headers();
  if (headers.length === 0) return noHeaders;
  const byName = new Map<string, Json[]>();
  for (const { key, value } of headers) {
    const values = byName.get(key);
    if (values === undefined) byName.set(key, [bytesJson(value)]);
    else values.push(bytesJson(value));
  }
  const entries = [...byName].map(([name, values]): [string, Json] => [
    name,
    values.length === 1 ? (values[0] ?? null) : values,
  ]);
  return Object.fromEntries(entries);
}

const noHeaders: { readonly [name: string]: Json } = {};

/** A line for each record, in columns that are wide enough for most. */
function tablePrinter(hasColor: boolean): RecordPrinter {
  const title = [
    "PARTITION".padEnd(9),
    "OFFSET".padStart(10),
    "TIMESTAMP".padEnd(24),
    "KEY",
    "VALUE",
  ];
  return {
    separator: "",
    begin(sink) {
      sink.text(`${paint(title.join("  "), "bold", hasColor)}\n`);
    },
    record(sink, source, record) {
      const where = [
        String(source.partition).padEnd(9),
        String(record.offset).padStart(10),
        timeText(record.timestamp).padEnd(24),
      ].join("  ");
      const key = paint(cellOf(record.key()), "cyan", hasColor);
      sink.text(`${paint(where, "dim", hasColor)}  ${key}  ${cellOf(record.value())}\n`);
    },
    end: nothing,
  };
}

function cellOf(bytes: Uint8Array | undefined): string {
  const json = bytesJson(bytes);
  if (json === null) return "-";
  return printable(typeof json === "string" ? json : JSON.stringify(json));
}

function timeText(timestampMs: number): string {
  // The largest time that a date can be.
  const isTime = timestampMs >= 0 && timestampMs <= 8.64e15;
  return isTime ? new Date(timestampMs).toISOString() : String(timestampMs);
}

type Piece = (sink: Sink, source: RecordSource, record: ShownRecord) => void;

const pieces: Readonly<Record<string, Piece>> = {
  t: (sink, source) => sink.text(source.topic),
  p: (sink, source) => sink.text(String(source.partition)),
  o: (sink, _, record) => sink.text(String(record.offset)),
  T: (sink, _, record) => sink.text(String(record.timestamp)),
  k: (sink, _, record) => sink.bytes(record.key() ?? empty),
  s: (sink, _, record) => sink.bytes(record.value() ?? empty),
  K: (sink, _, record) => sink.text(String(record.key()?.length ?? -1)),
  S: (sink, _, record) => sink.text(String(record.value()?.length ?? -1)),
  h: (sink, _, record) => writeHeaders(sink, record),
  "%": (sink) => sink.text("%"),
};

const empty = new Uint8Array(0);

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "0": "\0",
  "\\": "\\",
};

/** For the help of the commands. */
export const templateHelp = `
Templates: %t topic, %p partition, %o offset, %k key, %s value, %T timestamp in ms, %h headers,
  %K and %S bytes of key and value (-1: none), %% percent; \\n \\t \\r \\0 \\\\ \\xHH.`;

function templatePrinter(template: string): RecordPrinter {
  const parts = parseTemplate(template);
  return {
    separator: "",
    begin: nothing,
    record(sink, source, record) {
      for (const part of parts) part(sink, source, record);
    },
    end: nothing,
  };
}

function parseTemplate(template: string): Piece[] {
  const parts: Piece[] = [];
  const found = /%(.?)|\\x([0-9a-fA-F]{2})|\\(.)|[^%\\]+|\\$/gsu;
  for (const [whole, piece, hex, escaped] of template.matchAll(found)) {
    if (piece !== undefined) parts.push(pieceOf(piece));
    else if (hex !== undefined) parts.push(bytesPiece(Uint8Array.of(Number.parseInt(hex, 16))));
    else
      parts.push(
        bytesPiece(Buffer.from(escaped === undefined ? whole : (escapes[escaped] ?? whole))),
      );
  }
  return parts;
}

function pieceOf(letter: string): Piece {
  const piece = Object.hasOwn(pieces, letter) ? pieces[letter] : undefined;
  if (piece !== undefined) return piece;
  const known = Object.keys(pieces)
    .map((name) => `%${name}`)
    .join(" ");
  throw new LogError(
    "invalid_argument",
    `%${letter} means nothing in a template; known are ${known}`,
  );
}

function bytesPiece(bytes: Uint8Array): Piece {
  return (sink) => sink.bytes(bytes);
}

/** `name=value,name=value`; a header without a value has no equals sign. */
function writeHeaders(sink: Sink, record: ShownRecord): void {
  for (const [index, { key, value }] of record.headers().entries()) {
    sink.text(index === 0 ? key : `,${key}`);
    if (value === undefined) continue;
    sink.text("=");
    sink.bytes(value);
  }
}
