// The n-th call fails, bits rot, random sequences against a model: npm run test:faults
//
// Scaled by --sequences N, --damages N, --step N (each N-th bit is flipped), --calls N (the first N calls fail,
// one after the other), --seed S; one family alone with --only calls|bits|damage|model. `--first` stops at a failure.
import { parseArgs } from "node:util";

import {
  damageAtRandom,
  flipEveryBit,
  flipEveryBitOfBackup,
  layouts,
  makeSubject,
  type Verdict,
} from "./bit-rot.ts";
import { failCall, faults, shortenRead } from "./nth-call.ts";
import { playSequence } from "./reference.ts";

const { values: given } = parseArgs({
  options: {
    sequences: { type: "string", default: "100000" },
    damages: { type: "string", default: "10000" },
    step: { type: "string", default: "1" },
    calls: { type: "string", default: "Infinity" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    first: { type: "boolean", default: false },
  },
});
const seed = Number(given.seed);
let passed = 0;
let failed = 0;
let told = 0;

const families: Readonly<Record<string, () => Promise<string>>> = {
  calls: failCalls,
  bits: flipBits,
  damage: damage,
  model: playModel,
};
for (const [name, run] of Object.entries(families)) {
  if (given.only !== undefined && given.only !== name) continue;
  const started = performance.now();
  const report = await run();
  say(`${name}: ${report}, ${Math.round((performance.now() - started) / 1000)} s`);
  if (isOver()) break;
}
say(`seed ${seed}`);
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function failCalls(): Promise<string> {
  const counts: string[] = [];
  const limit = Number(given.calls);
  for (const { name, run } of [
    ...faults.map((fault) => ({ name: fault.name, run: (n: number) => failCall(fault, n) })),
    { name: "short read", run: shortenRead },
  ]) {
    let n = 0;
    let isHit = true;
    while (isHit && n < limit && !isOver()) {
      isHit = await attempt(`${name} at call ${n + 1}`, true, () => run(n + 1));
      if (isHit) n++;
    }
    counts.push(`${name} ${n}`);
  }
  return `each call failed in turn (${counts.join(", ")})`;
}

async function flipBits(): Promise<string> {
  const counts = new Map<string, number>();
  for (const layout of layouts) {
    const subject = await makeSubject(2, 1, layout);
    await flipEveryBit(subject, Number(given.step), (kind, verdict, what) => {
      tell(counts, `${kind} ${what}`, kind, verdict);
    });
  }
  await flipEveryBitOfBackup(await makeSubject(2, 1), Number(given.step), (kind, verdict, what) => {
    tell(counts, `${kind} of a backup ${what}`, `backup's ${kind}`, verdict);
  });
  return `flipped bits (${listed(counts)})`;
}

async function damage(): Promise<string> {
  const counts = new Map<string, number>();
  const subject = await makeSubject(15, 20);
  for (let i = 0; i < Number(given.damages) && !isOver(); i++) {
    await damageAtRandom(subject, seed + i, (kind, verdict, what) => {
      tell(counts, what, kind, verdict);
    });
  }
  return `random damages (${listed(counts)})`;
}

async function playModel(): Promise<string> {
  const count = Number(given.sequences);
  let done = 0;
  for (; done < count && !isOver(); done++) {
    await attempt(`sequence ${seed + done}`, undefined, () => playSequence(seed + done));
  }
  return `${done} sequences against the model`;
}

async function attempt<T>(name: string, fallback: T, run: () => Promise<T>): Promise<T> {
  try {
    const value = await run();
    passed++;
    return value;
  } catch (error) {
    fail(name, error);
    return fallback;
  }
}

// oxlint-disable-next-line max-params -- a verdict and where it is counted
function tell(
  counts: Map<string, number>,
  what: string,
  kind: string,
  verdict: Verdict | Error,
): void {
  const key = `${kind} ${verdict instanceof Error ? "FAILED" : verdict}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
  if (verdict instanceof Error) fail(what, verdict);
  else passed++;
}

function fail(name: string, error: unknown): void {
  failed++;
  if (told++ >= 20) return;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
  say(`FAILED ${name}: ${error instanceof Error ? error.message : String(error)} ${cause}`);
}

function isOver(): boolean {
  return given.first && failed > 0;
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${what} ${count}`).join(", ");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
