import type { RecordFlags } from "./consume.ts";
import { showsColor } from "./paint.ts";
import type { RecordRun } from "./place.ts";
import { type RecordPrinter, recordPrinter, type Sink } from "./record-format.ts";
import { standardFormat } from "./rows.ts";
import type { Session } from "./session.ts";

/** Prints the records of one run after another, and knows how far it came. */
export class RecordWriter {
  readonly #printer: RecordPrinter;
  readonly #sink: Sink;
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
  run(run: RecordRun, countMax = Infinity): number {
    const printer = this.#printer;
    const sink = this.#sink;
    let next = run.start;
    if (this.#count >= countMax) return next;
    const isWhole = run.each((record) => {
      if (this.#count > 0) sink.text(printer.separator);
      printer.record(sink, run, record);
      next = record.offset + 1;
      return ++this.#count < countMax;
    });
    return isWhole ? run.next : next;
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
