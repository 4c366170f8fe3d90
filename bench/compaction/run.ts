// Compaction of one log: `npm run bench:compaction`.
//
// Each case in a process of its own: its peak of memory is its own, and nobody else's heap is in it.
// `--records N` and `--runs N`; the median of the runs is printed.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { openLog } from "../../src/index.ts";

const { values: flags } = parseArgs({
  options: {
    records: { type: "string", default: "2000000" },
    runs: { type: "string", default: "3" },
    case: { type: "string" },
    dir: { type: "string", default: tmpdir() },
  },
});
const records = Number(flags.records);

/** What is compacted: how large a record is, how many keys there are, and how much memory those may take. */
interface Case {
  readonly name: string;
  readonly valueBytes: number;
  /** Of the records, how many are the last of their key. */
  readonly keyShare: number;
  readonly keyBytesMax: number;
}

const cases: readonly Case[] = [
  { name: "100 B, a tenth is left", valueBytes: 100, keyShare: 0.1, keyBytesMax: 128 << 20 },
  { name: "100 B, nine tenths are left", valueBytes: 100, keyShare: 0.9, keyBytesMax: 128 << 20 },
  { name: "1 KiB, half is left", valueBytes: 1024, keyShare: 0.5, keyBytesMax: 128 << 20 },
  {
    name: "100 B, half is left, 8 MiB for keys",
    valueBytes: 100,
    keyShare: 0.5,
    keyBytesMax: 8 << 20,
  },
];

interface Figures {
  readonly megabytesPerSecond: number;
  readonly nanosecondsPerRecord: number;
  /** Of all threads, so that a busy machine counts less. */
  readonly cpuNanosecondsPerRecord: number;
  readonly passes: number;
  readonly peakMegabytes: number;
  readonly stallMsMax: number;
}

if (flags.case === undefined) {
  for (const one of cases) print(one);
} else {
  const chosen = cases.find(({ name }) => name === flags.case);
  if (chosen === undefined) throw new Error(`no case "${flags.case}"`);
  process.stdout.write(JSON.stringify(await measure(chosen)));
}

function print({ name }: Case): void {
  const runs = Array.from({ length: Number(flags.runs) }, (): Figures => {
    const args = [import.meta.filename, "--case", name, "--records", flags.records];
    return JSON.parse(
      execFileSync(process.execPath, [...args, "--dir", flags.dir], { encoding: "utf8" }),
    );
  });
  const median = (of: (run: Figures) => number): number =>
    runs.map(of).toSorted((left, right) => left - right)[Math.floor(runs.length / 2)] ?? Number.NaN;
  const figures = [
    `${median((run) => run.megabytesPerSecond).toFixed(0)} MB/s`,
    `${median((run) => run.nanosecondsPerRecord).toFixed(0)} ns a record, of CPU ${median((run) => run.cpuNanosecondsPerRecord).toFixed(0)}`,
    `${median((run) => run.passes)} passes`,
    `memory ${median((run) => run.peakMegabytes).toFixed(0)} MB more`,
    `longest stall ${median((run) => run.stallMsMax).toFixed(1)} ms`,
  ];
  process.stdout.write(`${name}: ${figures.join(", ")}\n`);
}

async function measure(one: Case): Promise<Figures> {
  const directory = mkdtempSync(join(flags.dir, "cordwood-bench-"));
  try {
    await fill(directory, one);
    return await compact(directory, one);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function fill(directory: string, { valueBytes, keyShare }: Case): Promise<void> {
  const count = Math.floor((records * 100) / valueBytes);
  const keys = Math.max(1, Math.floor(count * keyShare));
  await using log = await openLog(directory, { durability: "buffered" });
  const value = Buffer.alloc(valueBytes, "value ");
  for (let index = 0; index < count; index++) {
    // Every key comes again after all the others, in an order without a pattern.
    const key = Buffer.from(`key-${(index * 7_919) % keys}`);
    log.append(value, { key });
    if (index % 10_000 === 0) await log.flush();
  }
  await log.checkpoint();
}

async function compact(directory: string, { keyBytesMax }: Case): Promise<Figures> {
  await using log = await openLog(directory, { compact: { keyBytesMax, everyMs: 1 << 30 } });
  const before = process.memoryUsage().rss;
  let peak = before;
  let stallMsMax = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    const now = performance.now();
    stallMsMax = Math.max(stallMsMax, now - last - 1);
    last = now;
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 1);
  const cpuBefore = process.cpuUsage();
  const report = await log.compact();
  const cpu = process.cpuUsage(cpuBefore);
  clearInterval(watch);
  const seconds = report.tookMs / 1000;
  return {
    megabytesPerSecond: report.bytesRead / 1e6 / seconds,
    nanosecondsPerRecord: (report.tookMs * 1e6) / log.endOffset,
    cpuNanosecondsPerRecord: ((cpu.user + cpu.system) * 1000) / log.endOffset,
    passes: report.passes,
    peakMegabytes: (peak - before) / 1e6,
    stallMsMax,
  };
}
