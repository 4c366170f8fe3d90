// The same seeds twice: in this process, in another one, and with another version of Node where there is one.
//
//   node sim/twice.ts --seeds 20 --node /path/to/other/node
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";

import { runWorld } from "./world.ts";

/** Trace hashes of `count` seeds from `first` on. */
export async function hashesHere(first: number, count: number): Promise<string[]> {
  const hashes: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    hashes.push(`${seed} ${(await runWorld(seed)).trace}`);
  }
  return hashes;
}

/** The same from a process of its own. */
export function hashesThere(node: string, first: number, count: number): string[] {
  const path = new URL("run.ts", import.meta.url).pathname;
  const args = [path, "--hashes", "--seeds", String(count), "--seed", String(first)];
  const output = execFileSync(node, args, { encoding: "utf8", env: {} });
  return output.split("\n").filter((line) => /^\d+ [0-9a-f]{16}$/.test(line));
}

if (import.meta.main) {
  const { values: given } = parseArgs({
    options: { seeds: { type: "string", default: "20" }, node: { type: "string" } },
  });
  const count = Number(given.seeds);
  const here = await hashesHere(1, count);
  const others = [await hashesHere(1, count), hashesThere(process.execPath, 1, count)];
  if (given.node !== undefined) others.push(hashesThere(given.node, 1, count));
  const failed = others.filter((hashes) => hashes.join() !== here.join()).length;
  process.stdout.write(`${others.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}
