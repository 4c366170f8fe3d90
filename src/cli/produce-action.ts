import { createReadStream } from "node:fs";

import { LogError } from "../errors/index.ts";
import type { Acks, OutgoingRecord } from "../kafka/index.ts";
import { BadLine, linesOf } from "./lines.ts";
import type { PlaceProducer } from "./place.ts";
import type { ProduceFlags } from "./produce.ts";
import type { Row } from "./rows.ts";
import { counted, type Session, withSession } from "./session.ts";

const acksOf: Readonly<Record<ProduceFlags["acks"], Acks>> = {
  all: "all",
  "1": "leader",
  "0": "none",
};
const FILE_CHUNK_BYTES = 256 * 1024;
const PROGRESS_MS = 500;
const CLEAR_LINE = "\r\u001b[K";

/** Writes every line of the files, or of stdin, and says how many they were. */
export async function produce(
  topic: string,
  files: readonly string[],
  flags: ProduceFlags,
): Promise<void> {
  if (flags.key !== undefined && flags.keyFrom !== undefined) {
    throw new LogError("invalid_argument", "--key and --key-from exclude each other");
  }
  await withSession(flags, { mayCreate: true }, (session) =>
    writeLines(session, { topic, files, flags, makeRecord: recordMaker(flags) }),
  );
}

/** What a line stands for. @throws BadLine */
type MakeRecord = (line: Uint8Array) => OutgoingRecord;

export interface LinesToWrite {
  readonly topic: string;
  /** None is stdin. */
  readonly files: readonly string[];
  readonly flags: Pick<ProduceFlags, "acks" | "codec" | "output">;
  readonly makeRecord: MakeRecord;
}

/** Makes a record of every line, writes them, and says how many they were: those before a bad line too. */
export async function writeLines(session: Session, lines: LinesToWrite): Promise<void> {
  const { topic, files, flags, makeRecord } = lines;
  const { acks, codec } = flags;
  const producer = await session.client.produce(topic, { acks: acksOf[acks], codec });
  const writing = new LineWriting(session, producer, makeRecord);
  try {
    for (const file of files.length === 0 ? ["-"] : files) await writing.file(file);
  } finally {
    // What was taken is written, also when the reading ended early.
    try {
      await writing.finish();
    } finally {
      session.print(receiptRows(producer), flags.output);
    }
  }
}

/** Lines on their way from files to a topic. */
class LineWriting {
  readonly #session: Session;
  readonly #producer: PlaceProducer;
  readonly #makeRecord: MakeRecord;
  readonly #startedMs: number;
  #shownMs: number;
  #records = 0;
  #bytes = 0;
  /** In the file that is read now. */
  #lineNumber = 0;

  constructor(session: Session, producer: PlaceProducer, makeRecord: MakeRecord) {
    this.#session = session;
    this.#producer = producer;
    this.#makeRecord = makeRecord;
    this.#startedMs = session.env.clock.monotonicMs();
    this.#shownMs = this.#startedMs;
  }

  /** Takes all lines of a file, or those that came before a signal. */
  async file(name: string): Promise<void> {
    const { signal } = this.#session;
    const stream =
      name === "-" ? process.stdin : createReadStream(name, { highWaterMark: FILE_CHUNK_BYTES });
    const stop = (): void => void stream.destroy();
    signal.addEventListener("abort", stop, { once: true });
    this.#lineNumber = 0;
    try {
      for await (const lines of linesOf(stream)) {
        if (signal.aborted) return;
        await this.#take(lines);
        this.#show();
      }
    } catch (thrown) {
      if (!signal.aborted) throw lineError(thrown, name, this.#lineNumber);
    } finally {
      signal.removeEventListener("abort", stop);
      stream.destroy();
    }
  }

  /** Waits until all is written, and says how much that was. */
  async finish(): Promise<void> {
    await this.#producer.flush();
    const ms = this.#session.env.clock.monotonicMs() - this.#startedMs;
    const seconds = Math.max(ms / 1_000, 0.001);
    const rate = Math.round(this.#records / seconds);
    const size = megabytes(this.#bytes);
    if (process.stderr.isTTY) process.stderr.write(CLEAR_LINE);
    const taken = `${counted(this.#records, "record")}, ${size}, in ${seconds.toFixed(2)} s`;
    this.#session.say(`${taken} (${rate}/s)`);
  }

  async #take(lines: readonly Uint8Array[]): Promise<void> {
    for (const line of lines) {
      this.#lineNumber++;
      const room = this.#producer.send(this.#makeRecord(line));
      this.#records++;
      this.#bytes += line.length;
      if (room !== undefined) await room;
    }
  }

  #show(): void {
    if (!process.stderr.isTTY) return;
    const nowMs = this.#session.env.clock.monotonicMs();
    if (nowMs - this.#shownMs < PROGRESS_MS) return;
    this.#shownMs = nowMs;
    process.stderr.write(`${CLEAR_LINE}${this.#records} records, ${megabytes(this.#bytes)}`);
  }
}

/** Names the place where the input is wrong. */
function lineError(thrown: unknown, file: string, lineNumber: number): unknown {
  const isOfLine = thrown instanceof LogError && thrown.code === "partition_not_found";
  if (thrown instanceof BadLine || isOfLine) {
    const where = file === "-" ? `line ${lineNumber}` : `${file}:${lineNumber}`;
    const code = isOfLine ? thrown.code : "invalid_argument";
    return new LogError(code, `${where}: ${thrown.message}`, { cause: thrown });
  }
  if (thrown instanceof LogError || !(thrown instanceof Error) || !("code" in thrown))
    return thrown;
  return new LogError("invalid_argument", `cannot read ${file}: ${thrown.message}`, {
    cause: thrown,
  });
}

function recordMaker(flags: ProduceFlags): MakeRecord {
  const { partition, keyFrom } = flags;
  const fixedKey = flags.key === undefined ? undefined : Buffer.from(flags.key);
  const headers = flags.header.map(([key, value]) => ({ key, value: Buffer.from(value) }));
  if (keyFrom === undefined) return (value) => ({ key: fixedKey, value, headers, partition });
  const path = keyFrom.split(".");
  return (value) => ({ key: keyOf(value, keyFrom, path), value, headers, partition });
}

function keyOf(line: Uint8Array, field: string, path: readonly string[]): Uint8Array {
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString();
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new BadLine("this is no JSON, which --key-from needs");
  }
  // A field may have dots in its own name.
  const whole = memberOf(found, field);
  for (const name of path) found = memberOf(found, name);
  const key = whole ?? found;
  if (key === undefined || key === null) throw new BadLine(`there is no field ${field}`);
  return Buffer.from(typeof key === "string" ? key : JSON.stringify(key));
}

function memberOf(value: unknown, name: string): unknown {
  const isObject = typeof value === "object" && value !== null;
  return isObject && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}

function receiptRows(producer: PlaceProducer): Row[] {
  return producer.receipts().map(({ partition, recordCount, firstOffset, nextOffset }) => ({
    topic: producer.topic,
    partition,
    records: recordCount,
    firstOffset,
    lastOffset: nextOffset === undefined ? undefined : nextOffset - 1,
  }));
}

function megabytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
