import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import { dumpStore, listStore, verifyStore } from "../storage/index.ts";
import { directoryPath } from "./directory-path.ts";
import type { OutputFlags } from "./options.ts";
import { paint, showsColor } from "./paint.ts";
import { formatRows, formatTable, type Row, standardFormat } from "./rows.ts";
import { counted, type Speaking, withOutput } from "./session.ts";
import type { DumpFlags } from "./storage.ts";

/** A table needs to see all its rows; of so many it is made at a time. */
const TABLE_ROWS = 1_000;
const PROGRESS_MS = 500;
const CLEAR_LINE = "\r\u001b[K";

export async function listStorage(directory: string, flags: OutputFlags): Promise<void> {
  await withOutput(async (speaking) => {
    const { disk } = nodeEnv();
    const { files, partitions, ...store } = listStore(disk, directoryPath(directory));
    const fileRows: Row[] = files.map((file) => ({ ...file }));
    const partitionRows = partitions.map((partition) => ({ ...partition }));
    const format = flags.output ?? standardFormat(speaking.output.isTerminal);
    if (format === "table") {
      const hasColor = showsColor(process.stdout);
      const title = paint(store.storeId, "bold", hasColor);
      const made = new Date(store.createdMs).toISOString();
      // The groups' topic alone has dozens of partitions that were never written to.
      const used = partitionRows.filter(({ endOffset }) => endOffset !== 0);
      const tables = [fileRows, used].map((rows) => formatTable(rows, hasColor));
      speaking.output.text(`${title}  made ${made}\n\n${tables.join("\n")}`);
      const empty = partitionRows.length - used.length;
      if (empty > 0) speaking.say(`${counted(empty, "partition")} without a record`);
    } else if (format === "json") {
      speaking.print([{ ...store, files: fileRows, partitions: partitionRows }], format);
    } else {
      const rows = [
        { row: "store", ...store },
        ...fileRows.map((row) => ({ row: "file", ...row })),
        ...partitionRows.map((row) => ({ row: "partition", ...row })),
      ];
      speaking.print(rows, format);
    }
  });
}

export async function dumpStorage(directory: string, flags: DumpFlags): Promise<void> {
  await withOutput(async (speaking) => {
    const { disk } = nodeEnv();
    const problems = new Problems(speaking);
    const batches = dumpStore(disk, directoryPath(directory), (what) => problems.add(what));
    const format = flags.output ?? standardFormat(speaking.output.isTerminal);
    const all: Row[] = [];
    for (const batch of batches) {
      if (flags.topicId !== undefined && batch.topicId !== flags.topicId) continue;
      if (flags.partition !== undefined && batch.partition !== flags.partition) continue;
      all.push({ ...batch });
      // One document cannot be printed in portions.
      if (format !== "json" && all.length >= TABLE_ROWS) {
        await printPortion(speaking, all.splice(0), format);
      }
    }
    await printPortion(speaking, all, format);
    problems.mustBeNone();
  });
}

async function printPortion(
  speaking: Speaking,
  rows: readonly Row[],
  format: Parameters<typeof formatRows>[1],
): Promise<void> {
  speaking.print(rows, format);
  await speaking.output.drained();
  speaking.signal.throwIfAborted();
}

export async function verifyStorage(directory: string, flags: OutputFlags): Promise<void> {
  await withOutput(async (speaking) => {
    const { clock, disk } = nodeEnv();
    let shownMs = clock.monotonicMs();
    const { problems: found, ...checked } = verifyStore(disk, directoryPath(directory), (bytes) => {
      if (!process.stderr.isTTY || clock.monotonicMs() - shownMs < PROGRESS_MS) return;
      shownMs = clock.monotonicMs();
      process.stderr.write(`${CLEAR_LINE}${(bytes / 1_000_000).toFixed(1)} MB checked`);
    });
    if (process.stderr.isTTY) process.stderr.write(CLEAR_LINE);
    speaking.print([{ ...checked, problems: found.length }], flags.output);
    if (checked.isInUse) {
      speaking.say("the directory is in use: what is written meanwhile was not looked at");
    }
    const problems = new Problems(speaking);
    for (const problem of found) problems.add(problem);
    problems.mustBeNone();
  });
}

/** What is wrong with a store: said as it is found, and the reason for the exit code in the end. */
class Problems {
  readonly #speaking: Speaking;
  #count = 0;

  constructor(speaking: Speaking) {
    this.#speaking = speaking;
  }

  add(what: string): void {
    this.#count++;
    this.#speaking.say(paint(what, "red", showsColor(process.stderr)));
  }

  mustBeNone(): void {
    if (this.#count > 0) throw new LogError("data_corrupt", counted(this.#count, "problem"));
  }
}
