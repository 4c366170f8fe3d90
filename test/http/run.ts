// Real clients of the HTTP port, each against a server of its own: npm run test:http [-- --only NAME]
//
// A client is one file of test/http/clients. It brings what it needs, and prints one line a step: `ok NAME` or
// `FAILED NAME: reason`.
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const clientMsMax = 900_000;

interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly ms: number;
}

const { values: given } = parseArgs({ options: { only: { type: "string" } } });
const files = globSync(join(import.meta.dirname, "clients/*.ts")).toSorted();
const chosen = files.filter((file) => given.only === undefined || nameOf(file) === given.only);
if (chosen.length === 0) throw new Error(`--only: no client is named ${given.only}`);

const outcomes: Outcome[] = [];
for (const file of chosen) outcomes.push(await run(file));
for (const { name, passed, failed, ms } of outcomes) {
  say(`${name.padEnd(24)} ${passed} passed, ${failed} failed, ${(ms / 1_000).toFixed(1)} s`);
}
const failures = sum((one) => one.failed);
say(`${sum((one) => one.passed)} passed, ${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;

async function run(file: string): Promise<Outcome> {
  const name = nameOf(file);
  const startMs = performance.now();
  let passed = 0;
  let failed = 0;
  const child = spawn(process.execPath, [file], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: clientMsMax,
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("ok ")) passed++;
    if (line.startsWith("FAILED ")) failed++;
    say(`${name}: ${line}`);
  });
  createInterface({ input: child.stderr }).on("line", (line) => say(`${name}: | ${line}`));
  const { promise, resolve } = Promise.withResolvers<number | string>();
  child.on("error", (error) => resolve(error.message));
  child.on("close", (code, signal) => resolve(code ?? signal ?? "no exit code"));
  const ended = await promise;
  // A client that dies in the middle, or says nothing, must not look like one that passed.
  if ((ended !== 0 && failed === 0) || passed + failed === 0) {
    failed++;
    say(`${name}: FAILED ended with ${ended} after ${passed} steps`);
  }
  return { name, passed, failed, ms: performance.now() - startMs };
}

function nameOf(file: string): string {
  return basename(file, ".ts");
}

function sum(pick: (outcome: Outcome) => number): number {
  return outcomes.reduce((total, outcome) => total + pick(outcome), 0);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
