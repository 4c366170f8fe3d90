// Breaks a copy of the product in one way after another, and runs the suite on it: npm run sim:mutants
//
// `--only "part of a name"` takes some of them, `--from 14` begins with the fourteenth, and
// `--steps 3` stops behind the third step of the suite. Every one must be caught.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { type Mutant, mutants } from "./list.ts";

const root = new URL("../../", import.meta.url).pathname;
/** Processor time of a step: on a busy machine one that is only slow must not count as one without an end. */
const stepCpuSecondsMax = 120;

/** From the cheapest to the dearest; the first that fails has caught it. */
const suite: readonly (readonly string[])[] = [
  ["sim/crash/run.ts", "--first", "--only", "trim,trim"],
  ["sim/crash/run.ts", "--first", "--only", "roll,kill"],
  ["sim/crash/run.ts", "--first", "--only", "retain,checkpoint-named,kill"],
  ["sim/crash/run.ts", "--first", "--only", "compact"],
  ["sim/run.ts", "--first", "--seeds", "10"],
  ["test/faults/run.ts", "--first", "--only", "calls"],
  ["test/faults/run.ts", "--first", "--only", "model", "--sequences", "400"],
  ["test/faults/run.ts", "--first", "--only", "bits", "--step", "37"],
  ["test/faults/run.ts", "--first", "--only", "damage", "--damages", "300"],
  ["sim/run.ts", "--first", "--seeds", "60"],
  ["sim/crash/run.ts", "--first", "--length", "2"],
  ["test/faults/run.ts", "--first", "--only", "bits", "--step", "5"],
  ["sim/run.ts", "--first", "--seeds", "400"],
];

const { values: given } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    from: { type: "string", default: "1" },
    steps: { type: "string", default: "Infinity" },
  },
});
/** Changes nothing, and must not be caught by what is cheap: else the copy itself is broken. */
const control: Mutant = {
  name: "nothing at all",
  file: "src/storage/store.ts",
  from: "export class Store {",
  to: "export class Store {",
};
const controlSteps = 3;

if (catcherOf(control, suite.slice(0, controlSteps)) !== undefined) {
  throw new Error("the suite fails on an unchanged copy");
}
const chosen = mutants
  .slice(Number(given.from) - 1)
  .filter(({ name }) => name.includes(given.only));
let caught = 0;
for (const mutant of chosen) {
  const started = performance.now();
  const by = catcherOf(mutant, suite.slice(0, Number(given.steps)));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (by !== undefined) caught++;
  say(`${by === undefined ? "SURVIVED" : "caught"} ${mutant.name}: ${seconds} s${by ?? ""}`);
}
say(`${caught} passed, ${chosen.length - caught} failed`);
process.exitCode = caught === chosen.length && caught > 0 ? 0 : 1;

/** What caught it; undefined where nothing did. */
function catcherOf(
  { name, file, from, to }: Mutant,
  steps: readonly (readonly string[])[],
): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "mutant-"));
  try {
    for (const part of ["src", "sim", "test/fixtures", "test/faults", "package.json"]) {
      cpSync(join(root, part), join(directory, part), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
    const path = join(directory, file);
    const text = readFileSync(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`${name}: ${file} has not "${from}" once`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
    for (const step of steps) {
      const limited = `ulimit -t ${stepCpuSecondsMax}; exec "$0" "$@"`;
      const { status, signal } = spawnSync("bash", ["-c", limited, process.execPath, ...step], {
        cwd: directory,
        stdio: "ignore",
      });
      if (status === 0) continue;
      return `, by ${step.filter((word) => word !== "--first").join(" ")}${signal === null ? "" : " (without end)"}`;
    }
    return undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
