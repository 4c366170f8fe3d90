// Every client that is not a library of Node, against one server: npm run test:clients [-- --bootstrap HOST:PORT] [--only NAME]
//
// A client is one small program. It gets the bootstrap address as its last argument and prints one line per
// step: `ok NAME` or `FAILED NAME: reason`.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { quickGroups, startServer } from "../servers.ts";
import { libraries } from "./libraries.ts";

interface ClientProgram {
  readonly name: string;
  /** Brings what the program needs; does nothing when it is there. */
  readonly install: readonly string[];
  readonly command: readonly string[];
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

const programs: readonly ClientProgram[] = [
  {
    name: "kcat",
    install: [here("./install.sh"), "kcat"],
    command: [process.execPath, here("./kcat.ts")],
  },
  ...Object.keys(libraries).map((name) => ({
    name,
    install: [here("./install.sh"), name],
    command: [process.execPath, here("./matrix.ts"), name],
  })),
];

const stepMsMax = 300_000;

interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly ms: number;
}

const { values: given } = parseArgs({
  options: { bootstrap: { type: "string" }, only: { type: "string" } },
});
const chosen = programs.filter(({ name }) => given.only === undefined || name === given.only);
if (chosen.length === 0) throw new Error(`--only: no client is named ${given.only}`);

const outcomes: Outcome[] = [];
if (given.bootstrap === undefined) await againstOurs();
else for (const program of chosen) outcomes.push(await run(program, given.bootstrap));
summarise(outcomes);

/** A server that does not start, or does not end as it should, fails like a program. */
async function againstOurs(): Promise<void> {
  const startMs = performance.now();
  try {
    await using server = await startServer({ args: quickGroups });
    for (const program of chosen) outcomes.push(await run(program, server.bootstrap));
  } catch (error) {
    say(`server: FAILED ${error instanceof Error ? error.message : String(error)}`);
    outcomes.push({ name: "server", passed: 0, failed: 1, ms: performance.now() - startMs });
  }
}

async function run(program: ClientProgram, address: string): Promise<Outcome> {
  const { name, install, command } = program;
  const startMs = performance.now();
  let passed = 0;
  let failed = 0;
  const count = (line: string): void => {
    if (line.startsWith("ok ")) passed += 1;
    if (line.startsWith("FAILED ")) failed += 1;
  };
  const fail = (what: string): void => {
    failed += 1;
    say(`${name}: FAILED ${what}`);
  };
  const installed = await child(name, install, () => undefined);
  if (installed !== 0) {
    fail(`installation: ${install.join(" ")} ended with ${installed}`);
  } else {
    const ended = await child(name, [...command, address], count);
    // A program that dies in the middle, or says nothing, must not look like one that passed.
    if (ended !== 0 && failed === 0) fail(`${command.join(" ")} ended with ${ended}`);
    if (passed + failed === 0) fail("the program ran no step");
  }
  return { name, passed, failed, ms: performance.now() - startMs };
}

/** Runs a command and passes its lines on, each with the name before it; gives how it ended. */
async function child(
  name: string,
  [file = "", ...args]: readonly string[],
  onLine: (line: string) => void,
): Promise<number | string> {
  const { promise, resolve } = Promise.withResolvers<number | string>();
  const started = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], timeout: stepMsMax });
  createInterface({ input: started.stdout }).on("line", (line) => {
    onLine(line);
    say(`${name}: ${line}`);
  });
  createInterface({ input: started.stderr }).on("line", (line) => say(`${name}: | ${line}`));
  started.on("error", (error) => resolve(error.message));
  started.on("close", (code, signal) => resolve(code ?? signal ?? "no exit code"));
  return promise;
}

function summarise(rows: readonly Outcome[]): void {
  say("");
  say(
    `${"client".padEnd(20)} ${"passed".padStart(6)} ${"failed".padStart(6)} ${"seconds".padStart(8)}`,
  );
  for (const { name, passed, failed, ms } of rows) {
    const counts = `${String(passed).padStart(6)} ${String(failed).padStart(6)}`;
    say(`${name.padEnd(20)} ${counts} ${(ms / 1_000).toFixed(1).padStart(8)}`);
  }
  const sum = (pick: (row: Outcome) => number): number =>
    rows.reduce((total, row) => total + pick(row), 0);
  const failed = sum((row) => row.failed);
  say(`${sum((row) => row.passed)} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
