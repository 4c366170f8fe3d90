// What the benchmarks of the HTTP port have in common: their options, and runs of each workload in a table.
import { parseArgs } from "node:util";

import type { Durability } from "../server/brokers.ts";
import { describeMachine, lookAtMachine } from "../server/machine.ts";
import { buildServer, runOrExplain } from "../server/programs.ts";
import { say } from "../server/report.ts";

export interface Round {
  readonly durability: Durability;
  readonly secs: number;
  readonly warmSecs: number;
}

export interface Rounds<Workload, Measured> {
  /** Of npm. */
  readonly command: string;
  readonly workloads: readonly Workload[];
  /** Heads of the table's columns. */
  readonly head: string;
  readonly measure: (workload: Workload, round: Round) => Promise<Measured>;
  /** By which the runs of a workload are sorted. */
  readonly rateOf: (measured: Measured) => number;
  /** Prints the row of a workload. */
  readonly report: (workload: Workload, sorted: readonly Measured[]) => void;
}

/** Measures the workloads that the command line asks for, each several times. */
export async function runRounds<
  Workload extends { readonly name: string; readonly does: string },
  Measured,
>(rounds: Rounds<Workload, Measured>): Promise<void> {
  const { values: given } = parseArgs({
    options: {
      only: { type: "string" },
      runs: { type: "string", default: "3" },
      secs: { type: "string", default: "2" },
      "warm-secs": { type: "string", default: "1" },
      durability: { type: "string", default: "os" },
      "no-build": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (given.help) {
    say(helpOf(rounds));
    return;
  }
  const names = given.only?.split(",");
  const chosen = rounds.workloads.filter(({ name }) => names?.includes(name) ?? true);
  const round: Round = {
    durability: given.durability === "fsync" ? "fsync" : "os",
    secs: Number(given.secs),
    warmSecs: Number(given["warm-secs"]),
  };
  await runOrExplain(async () => {
    say(describeMachine(await lookAtMachine()));
    if (!given["no-build"]) buildServer();
    say(`\ndurability ${round.durability}\n`);
    say(rounds.head);
    for (const workload of chosen) await runWorkload(rounds, workload, round, Number(given.runs));
  });
}

// oxlint-disable-next-line max-params -- what, how and how often
async function runWorkload<Workload, Measured>(
  { measure, rateOf, report }: Rounds<Workload, Measured>,
  workload: Workload,
  round: Round,
  count: number,
): Promise<void> {
  const runs: Measured[] = [];
  for (let run = 0; run < count; run++) runs.push(await measure(workload, round));
  report(
    workload,
    runs.toSorted((left, right) => rateOf(left) - rateOf(right)),
  );
}

function helpOf({
  command,
  workloads,
}: {
  readonly command: string;
  readonly workloads: readonly { readonly name: string; readonly does: string }[];
}): string {
  return `npm run ${command} -- [options]

  --only NAME,NAME…   workloads of these names
  --runs N            runs of each workload; the median is printed (3)
  --secs N            length of what is measured in a run (2)
  --warm-secs N       warm-up within each run (1)
  --durability D      os or fsync (os)
  --no-build          take dist as it is

Workloads:
${workloads.map(({ name, does }) => `  ${name.padEnd(16)} ${does}`).join("\n")}
`;
}
