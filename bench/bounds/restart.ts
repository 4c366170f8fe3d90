// How long a restart takes: with how much is stored, and with how much came after the last checkpoint.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { freshDirectory, removeDirectory, startCordwood } from "../server/brokers.ts";
import { runLoad } from "../server/programs.ts";
import type { Bound } from "./bound.ts";
import { at } from "./strain.ts";

/** A checkpoint is made when the log grew by this much and there is a lull. */
const checkpointBytes = 256 * 2 ** 20;
/** What each server of the curve finds behind its last checkpoint. */
const tailBytes = 16 * 2 ** 20;
const checkpointsOfCurve = [0, 1, 4, 8];
/** Restarts of the curve may differ by this. */
const slopeMsMax = 100;
const singleRecords = "-records 1 -connections 16 -partitions 16 -in-flight 32".split(" ");
/** Most that a server finds behind its last checkpoint, or nearly. */
const longTails = [
  { name: "960 MiB of 16 KiB batches", args: ["write", "-fill", String(960 * 2 ** 20)] },
  {
    name: "450,000 batches of one record",
    args: ["produce", "-bytes", "76500000", "-length", "60s", "-warm", "0s", ...singleRecords],
  },
];
const longTailMsMax = 2_000;
const restarts = 5;

/** The same tail behind stores of several sizes: the curve is flat. */
export async function restartCurve(load: string, say: (line: string) => void): Promise<Bound[]> {
  const times: number[] = [];
  for (const checkpoints of checkpointsOfCurve) {
    const chunks = Array<number>(checkpoints).fill(checkpointBytes);
    const steps = [...chunks, tailBytes].map((bytes) => ["-fill", String(bytes)]);
    const { ms, storedMb } = await restartAfter(load, steps);
    say(
      `  restart of a store of ${Math.round(storedMb).toLocaleString("en")} MB: ${ms.toFixed(0)} ms`,
    );
    times.push(ms);
  }
  const [first = 0] = times;
  const slope = Math.max(...times) - first;
  return [
    {
      what: "restart, the slowest store against the smallest",
      figure: slope,
      limit: slopeMsMax,
      unit: "ms",
    },
  ];
}

/** As much behind the last checkpoint as there can be: the server is killed before there is a lull. */
export async function restartTails(load: string): Promise<Bound[]> {
  const bounds: Bound[] = [];
  for (const { name, args } of longTails) {
    const directory = await withoutCheckpoint(load, args);
    const ms = await restartMs(directory);
    removeDirectory(directory);
    bounds.push({
      what: `restart with ${name} to recover`,
      figure: ms,
      limit: longTailMsMax,
      unit: "ms",
    });
  }
  return bounds;
}

/** A directory whose server wrote all of it without a lull; on a busy machine it may take some tries. */
// oxlint-disable-next-line max-params -- what runs and how
async function withoutCheckpoint(
  load: string,
  args: readonly string[],
  tries = 5,
): Promise<string> {
  const directory = freshDirectory("restart");
  const server = await startCordwood({ durability: "os", directory });
  await runLoad(load, [...args, ...at(server)]);
  await server.stop("SIGKILL");
  if (readdirSync(join(directory, "checkpoints")).length === 0) return directory;
  removeDirectory(directory);
  if (tries === 1) throw new Error(`there was always a checkpoint: ${args.join(" ")}`);
  return withoutCheckpoint(load, args, tries - 1);
}

/** Writes step by step, each when the last one's checkpoint is done; then restarts. */
async function restartAfter(
  load: string,
  steps: readonly (readonly string[])[],
): Promise<{ readonly ms: number; readonly storedMb: number }> {
  const directory = freshDirectory("restart");
  const server = await startCordwood({ durability: "os", directory });
  for (const step of steps) {
    await runLoad(load, ["write", ...at(server), ...step]);
    await quiet(directory);
  }
  const storedMb = sizeOf(directory) / 1e6;
  await server.stop("SIGTERM");
  const ms = await restartMs(directory);
  removeDirectory(directory);
  return { ms, storedMb };
}

/** The quickest of a few restarts: what is slower is others' doing. */
async function restartMs(directory: string): Promise<number> {
  const times: number[] = [];
  for (let restart = 0; restart < restarts; restart += 1) {
    const again = await startCordwood({ durability: "os", directory });
    times.push(again.startMs);
    // At once: it wrote nothing that a clean end would have to save.
    await again.stop("SIGKILL");
  }
  return Math.min(...times);
}

/** Waits until the directory stays as it is: a checkpoint that was due is done then. */
async function quiet(directory: string): Promise<void> {
  let size = -1;
  let since = 0;
  while (since < 5) {
    await delay(200);
    const now = sizeOf(directory);
    since = now === size ? since + 1 : 0;
    size = now;
  }
}

function sizeOf(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    // A file that goes meanwhile counts nothing.
    bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}
