/** Appends a body of lines, each a record, while it arrives. */
import type { StoredRecord, TopicWriter } from "../broker/index.ts";
import type { BodyReceiver, HttpExchange } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { answerProblem, problemLine, RequestFault } from "./problem.ts";
import { ndjsonType } from "./record-answer.ts";
import { type ParsedRecord, RecordParser, stored } from "./record-parser.ts";

/** A batch is handed over at this size; a larger record goes alone. */
const batchBytes = 64 * 1024;
/** What a batch and each record in it take beside keys, values and headers, at most. */
const batchOverheadBytes = 128;
const recordOverheadBytes = 64;
/** Bytes appended and not acknowledged yet, beyond which the client is held back. */
const underWayBytesMax = 4 * 1024 * 1024;
/** Bytes of acknowledgements that the client has not read, beyond which it is held back. */
const unsentBytesMax = 256 * 1024;

const NEWLINE = 0x0a;

export interface IngestOptions {
  /** What a line is: a record with its fields, or the value of one. */
  readonly lines: "records" | "values";
  /** Undefined leaves it to each record. */
  readonly partition: number | undefined;
  /** Whether acknowledgements are sent as they come; else a summary at the end. */
  readonly isStreamed: boolean;
  readonly lineBytesMax: number;
}

/** Records of one partition that will be one batch. */
interface Batch {
  readonly partition: number;
  readonly records: StoredRecord[];
  /** Line of the first of them, from 1 on. */
  readonly line: number;
  bytes: number;
}

interface Extent {
  partition: number;
  firstOffset: number;
  lastOffset: number;
  count: number;
}

/**
 * A line is appended whole or not at all, and those before it are there. What is in memory is one
 * piece of the body, at most one line that is not whole yet, and what is under way.
 */
// hot: once for every line; guarded by bench/http.
export class NdjsonIngest implements BodyReceiver {
  readonly #exchange: HttpExchange;
  readonly #writer: TopicWriter;
  readonly #options: IngestOptions;
  readonly #parser = new RecordParser();
  /** Pieces of the line that has begun. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #line = 0;
  readonly #open = new Map<number, Batch>();
  readonly #extents = new Map<number, Extent>();
  #acknowledged = 0;
  #underWay = 0;
  #underWayBytes = 0;
  #isHeldBack = false;
  #hasEnded = false;
  /** Nothing more is appended. */
  #fault: LogError | undefined;

  constructor(exchange: HttpExchange, writer: TopicWriter, options: IngestOptions) {
    this.#exchange = exchange;
    this.#writer = writer;
    this.#options = options;
  }

  start(): void {
    const { isStreamed } = this.#options;
    if (isStreamed) this.#exchange.begin(200, { "content-type": ndjsonType });
    // Who listens to acknowledgements may have nothing to say for a while.
    this.#exchange.receive(this, { bytesMax: Infinity, isOpenEnded: isStreamed });
  }

  received(bytes: Uint8Array): void {
    if (this.#fault !== undefined) return;
    let start = 0;
    try {
      for (;;) {
        const end = bytes.indexOf(NEWLINE, start);
        if (end < 0) break;
        this.#takeLine(bytes, start, end);
        start = end + 1;
      }
      this.#keep(bytes.subarray(start));
      this.#appendOpen();
    } catch (thrown) {
      this.#appendOpen();
      this.#fail(thrown);
    }
  }

  ended(): void {
    if (this.#fault !== undefined) return;
    this.#hasEnded = true;
    try {
      this.#takeLine(nothing, 0, 0);
    } catch (thrown) {
      this.#fault = LogError.from(thrown);
    }
    this.#appendOpen();
    this.#finishOnce();
  }

  failed(error: LogError): void {
    if (this.#fault === undefined) this.#fail(error);
  }

  /** The line that ends before `end`, with what has come of it before. */
  #takeLine(bytes: Uint8Array, start: number, end: number): void {
    this.#line++;
    if (this.#restBytes === 0) {
      this.#takeWhole(bytes, start, end);
      return;
    }
    this.#keep(bytes.subarray(start, end));
    const line = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    this.#takeWhole(line, 0, line.length);
  }

  #takeWhole(bytes: Uint8Array, start: number, end: number): void {
    let last = end;
    while (last > start && isSpace(bytes[last - 1] ?? 0)) last--;
    let first = start;
    while (first < last && isSpace(bytes[first] ?? 0)) first++;
    if (first === last) return;
    if (last - first > this.#options.lineBytesMax) throw this.#lineTooLong();
    this.#put(this.#parsed(bytes, first, last));
  }

  #parsed(bytes: Uint8Array, start: number, end: number): ParsedRecord {
    if (this.#options.lines === "records") return this.#parser.one(bytes, start, end);
    this.#parser.value(bytes, start, end);
    const value = bytes.subarray(start, end);
    return { key: undefined, value, timestamp: undefined, headers: [], partition: undefined };
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#rest.push(bytes);
    this.#restBytes += bytes.length;
    if (this.#restBytes <= this.#options.lineBytesMax) return;
    this.#line++;
    throw this.#lineTooLong();
  }

  #lineTooLong(): RequestFault {
    const limit = this.#options.lineBytesMax;
    return new RequestFault("record_too_large", `a line is longer than ${limit} bytes`, { limit });
  }

  #put(record: ParsedRecord): void {
    const writer = this.#writer;
    const partition = this.#placeOf(record);
    const bytes = sizeOf(record);
    const limit = Math.min(
      batchBytes,
      writer.lane(partition).partition.policy.batchBytesMax - batchOverheadBytes,
    );
    let batch = this.#open.get(partition);
    if (batch !== undefined && batch.bytes + bytes > limit) {
      this.#append(batch);
      batch = undefined;
    }
    if (batch === undefined) {
      batch = { partition, records: [], line: this.#line, bytes: 0 };
      this.#open.set(partition, batch);
    }
    batch.records.push(stored(record, writer.nowMs));
    batch.bytes += bytes;
  }

  #placeOf({ partition: own, key }: ParsedRecord): number {
    const { partition: asked } = this.#options;
    if (asked === undefined) return own ?? this.#writer.partitionFor(key);
    if (own === undefined || own === asked) return asked;
    const message = `the record names partition ${own}, and the query ${asked}`;
    throw new RequestFault("invalid_argument", message, { field: "partition" });
  }

  #appendOpen(): void {
    for (const batch of this.#open.values()) this.#append(batch);
    this.#open.clear();
  }

  #append(batch: Batch): void {
    this.#underWay++;
    this.#underWayBytes += batch.bytes;
    if (this.#underWayBytes > underWayBytesMax) this.#holdBack();
    this.#writer.appendAll(batch.partition, batch.records).then(
      (offset) => this.#appended(batch, offset),
      (thrown: unknown) => this.#settled(batch, thrown),
    );
  }

  #appended(batch: Batch, offset: number): void {
    const { partition, line } = batch;
    const count = batch.records.length;
    this.#acknowledged += count;
    const extent = this.#extents.get(partition);
    const lastOffset = offset + count - 1;
    if (extent === undefined) {
      this.#extents.set(partition, { partition, firstOffset: offset, lastOffset, count });
    } else {
      extent.lastOffset = lastOffset;
      extent.count += count;
    }
    if (this.#options.isStreamed) {
      this.#exchange.write(`${JSON.stringify({ partition, offset, count, line })}\n`);
      if (this.#exchange.unsentBytes > unsentBytesMax) this.#waitForReader();
    }
    this.#settled(batch);
  }

  #settled(batch: Batch, thrown?: unknown): void {
    this.#underWay--;
    this.#underWayBytes -= batch.bytes;
    if (thrown !== undefined && this.#fault === undefined) {
      const { code, message } = LogError.from(thrown);
      this.#fail(new RequestFault(code, message, { line: batch.line }));
      return;
    }
    this.#goOn();
    this.#finishOnce();
  }

  #waitForReader(): void {
    this.#holdBack();
    this.#exchange.drained().then(
      () => this.#goOn(),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  #holdBack(): void {
    this.#isHeldBack = true;
    this.#exchange.pause();
  }

  #goOn(): void {
    if (!this.#isHeldBack || this.#underWayBytes > underWayBytesMax / 2) return;
    if (this.#options.isStreamed && this.#exchange.unsentBytes > unsentBytesMax) return;
    this.#isHeldBack = false;
    this.#exchange.resume();
  }

  #fail(thrown: unknown): void {
    const error = LogError.from(thrown);
    const details = error instanceof RequestFault ? error.details : {};
    this.#fault = new RequestFault(error.code, error.message, { line: this.#line, ...details });
    this.#hasEnded = true;
    this.#rest = [];
    this.#exchange.resume();
    this.#finishOnce();
  }

  /** Answers once what became of everything is known. */
  #finishOnce(): void {
    if (!this.#hasEnded || this.#underWay > 0) return;
    const exchange = this.#exchange;
    const acknowledged = this.#acknowledged;
    const fault = this.#fault;
    if (fault !== undefined) {
      const details = fault instanceof RequestFault ? fault.details : { line: this.#line };
      const problem = new RequestFault(fault.code, fault.message, { ...details, acknowledged });
      if (!this.#options.isStreamed) {
        answerProblem(exchange, problem);
        return;
      }
      exchange.write(problemLine(problem));
      exchange.end();
      return;
    }
    const partitions = [...this.#extents.values()];
    const summary = `${JSON.stringify({ acknowledged, partitions })}\n`;
    if (this.#options.isStreamed) {
      exchange.write(summary);
      exchange.end();
    } else exchange.answer(200, { "content-type": "application/json" }, summary);
  }
}

const nothing = new Uint8Array(0);

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0d || byte === 0x09;
}

/** Bytes that a record takes in a batch, at most. */
function sizeOf({ key, value, headers }: ParsedRecord): number {
  let size = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    // A code unit of UTF-16 takes three bytes of UTF-8 at most.
    size += header.key.length * 3 + (header.value?.length ?? 0) + 16;
  }
  return size;
}
