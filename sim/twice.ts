// The same seeds twice: in this process, in another one, and with two other versions of Node.
//
//   npm run sim:twice -- --seeds 200 --with 22,26
//
// The other versions are installed from the registry, once, below node_modules.
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import { runWorld } from "./world.ts";

const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

/** The program of another version of Node. */
function nodeOf(version: string): string {
  const prefix = join(import.meta.dirname, "../node_modules/.cache/nodes", version);
  const node = join(prefix, "node_modules", platform, "bin/node");
  if (!existsSync(node)) {
    mkdirSync(prefix, { recursive: true });
    const quietly = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--silent"];
    execFileSync("npm", ["install", "--prefix", prefix, ...quietly, `${platform}@${version}`]);
  }
  return node;
}

/** Trace hashes of `count` seeds from `first` on. */
export async function hashesHere(first: number, count: number): Promise<string[]> {
  const hashes: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    hashes.push(`${seed} ${(await runWorld(seed)).trace}`);
  }
  return hashes;
}

/** The same from a process of its own. */
export async function hashesThere(node: string, first: number, count: number): Promise<string[]> {
  const path = new URL("run.ts", import.meta.url).pathname;
  const args = [path, "--hashes", "--seeds", String(count), "--seed", String(first)];
  const { stdout } = await promisify(execFile)(node, args, { encoding: "utf8", env: {} });
  return stdout.split("\n").filter((line) => /^\d+ [0-9a-f]{16}$/.test(line));
}

if (import.meta.main) {
  const { values: given } = parseArgs({
    options: {
      seeds: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      with: { type: "string", default: "22,26" },
    },
  });
  const [first, count] = [Number(given.seed), Number(given.seeds)];
  const versions = given.with.split(",").filter((version) => version !== "");
  const twiceHere = async (): Promise<[string[], string[]]> => [
    await hashesHere(first, count),
    await hashesHere(first, count),
  ];
  const nodes = [process.execPath, ...versions.map(nodeOf)];
  const [[here, again], ...there] = await Promise.all([
    twiceHere(),
    ...nodes.map((node) => hashesThere(node, first, count)),
  ]);
  let failed = 0;
  const compare = (name: string, hashes: readonly string[]): void => {
    const others = here.filter((hash, i) => hashes[i] !== hash);
    if (others.length > 0) failed++;
    process.stdout.write(
      `${name}: ${hashes.length} traces, ${others.length} differ ${others.slice(0, 5).join(", ")}\n`,
    );
  };
  compare(`Node ${process.versions.node}, once more`, again);
  for (const [i, node] of nodes.entries()) {
    const name = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    compare(`another process, Node ${name}`, there[i] ?? []);
  }
  process.stdout.write(`${2 + versions.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}
