// How long a restart takes: with how much is stored, and with how much came after the last checkpoint.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { freshDirectory, removeDirectory, startCordwood } from "../server/brokers.ts";
import { runLoad } from "../server/programs.ts";
import type { Bound } from "./bound.ts";
import { at } from "./strain.ts";

/** A checkpoint is made when the log grew by this much. */
const checkpointBytes = 256 * 2 ** 20;
/** What each server of the curve finds behind its last checkpoint. */
const tailBytes = 16 * 2 ** 20;
const checkpointsOfCurve = [0, 1, 4, 8];
/** Restarts of the curve may differ by this. */
const slopeMsMax = 100;
/** Most that a server finds behind its last checkpoint, or nearly. */
const longTails = [
  { name: "224 MiB of 16 KiB batches", args: ["-fill", String(224 * 2 ** 20)] },
  { name: "450,000 batches of one record", args: ["-fill", "76500000", "-records", "1"] },
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

/** As much behind the last checkpoint as there can be. */
export async function restartTails(load: string): Promise<Bound[]> {
  const bounds: Bound[] = [];
  for (const { name, args } of longTails) {
    const { ms } = await restartAfter(load, [args]);
    bounds.push({
      what: `restart with ${name} to recover`,
      figure: ms,
      limit: longTailMsMax,
      unit: "ms",
    });
  }
  return bounds;
}

/** Writes step by step, each when the last one's checkpoint is done; then the quickest of a few restarts: what is slower is others' doing. */
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
  const times: number[] = [];
  for (let restart = 0; restart < restarts; restart += 1) {
    const again = await startCordwood({ durability: "os", directory });
    times.push(again.startMs);
    // At once: it wrote nothing that a clean end would have to save.
    await again.stop("SIGKILL");
  }
  removeDirectory(directory);
  return { ms: Math.min(...times), storedMb };
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
