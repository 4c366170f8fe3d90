import { eachRecord, type RecordChunk } from "../kafka/index.ts";
import { RecordCursor } from "../records/index.ts";
import type { RecordFlags } from "./consume.ts";
import { showsColor } from "./paint.ts";
import { type RecordPrinter, recordPrinter, type Sink } from "./record-format.ts";
import { standardFormat } from "./rows.ts";
import type { Session } from "./session.ts";

/** Prints the records of one chunk after another, and knows how far it came. */
export class RecordWriter {
  readonly #printer: RecordPrinter;
  readonly #sink: Sink;
  readonly #cursor = new RecordCursor();
  #count = 0;

  constructor(printer: RecordPrinter, sink: Sink) {
    this.#printer = printer;
    this.#sink = sink;
  }

  /** Records printed so far. */
  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#printer.begin(this.#sink);
  }

  end(): void {
    this.#printer.end(this.#sink);
  }

  /** Adds a record that was printed elsewhere. */
  printed(record: Uint8Array): void {
    if (this.#count++ > 0) this.#sink.text(this.#printer.separator);
    this.#sink.bytes(record);
  }

  /** Prints the records, but none beyond `countMax` in all; answers the offset behind what is worked off. */
  chunk(chunk: RecordChunk, countMax = Infinity): number {
    const printer = this.#printer;
    const sink = this.#sink;
    let next = chunk.start;
    if (this.#count >= countMax) return next;
    const isWhole = eachRecord(chunk, this.#cursor, (cursor) => {
      if (this.#count > 0) sink.text(printer.separator);
      printer.record(sink, chunk, cursor);
      next = cursor.offset + 1;
      return ++this.#count < countMax;
    });
    return isWhole ? Math.min(chunk.nextOffset, chunk.end) : next;
  }
}

/** A writer to the session's output, as the flags want it. */
export function writerFor(session: Session, flags: RecordFlags): RecordWriter {
  return new RecordWriter(printerFor(session, flags), session.output);
}

export function printerFor(session: Session, flags: RecordFlags): RecordPrinter {
  const { isTerminal } = session.output;
  return recordPrinter({
    output: flags.output ?? standardFormat(isTerminal),
    template: flags.format,
    parsesJson: flags.json,
    hasColor: isTerminal && showsColor(process.stdout),
  });
}
