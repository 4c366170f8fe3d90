// The benchmark of the server: npm run bench [-- options]. See docs/performance.md.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import {
  type Broker,
  brokerAt,
  type Durability,
  freshDirectory,
  removeDirectory,
  startCordwood,
} from "./brokers.ts";
import { type Bench, compareWithKafka } from "./compare.ts";
import { describeMachine, lookAtMachine } from "./machine.ts";
import { type Drivers, type Measured, measuredOf, runStart, runWorkload } from "./measure.ts";
import { type SelfTime, type SelfTimes, selfTimes } from "./profile.ts";
import { buildFranz, buildLoad, buildRdkafka, buildServer, runOrExplain } from "./programs.ts";
import { say, sayHead, sayMeasured } from "./report.ts";
import { type Figures, type Workload, workloads } from "./workloads.ts";

const help = `npm run bench -- [options]

  --only NAME,NAME…      workloads whose name is, or begins with, one of these
  --runs N               measured runs of each workload; medians are printed (3)
  --secs N               length of what is measured in a run (2)
  --warm-secs N          warm-up within each run (1)
  --durability D         os, fsync, or both (os,fsync); with --kafka os, and fsync for what is about it
  --against HOST:PORT    measure any broker that runs already; --pid N to know its CPU and memory
  --kafka                run Apache Kafka beside Cordwood, in turn, and print ratios
  --cpu-prof             print where the server's time goes instead
  --json FILE            write every run's figures
  --no-build             take dist as it is

Workloads:
${workloads.map(({ name, does }) => `  ${name.padEnd(20)} ${does}`).join("\n")}
`;

const { values: given } = parseArgs({
  options: {
    only: { type: "string" },
    runs: { type: "string", default: "3" },
    secs: { type: "string", default: "2" },
    "warm-secs": { type: "string", default: "1" },
    durability: { type: "string" },
    against: { type: "string" },
    pid: { type: "string" },
    kafka: { type: "boolean", default: false },
    "cpu-prof": { type: "boolean", default: false },
    json: { type: "string" },
    "no-build": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

/** Of a profile, so many functions are printed. */
const profileRowsMax = 24;

if (given.help) say(help);
else await runOrExplain(main);

async function main(): Promise<void> {
  const runs = positive("--runs", given.runs);
  const times = {
    secs: positive("--secs", given.secs),
    warmSecs: positive("--warm-secs", given["warm-secs"]),
  };
  const durabilities = durabilitiesOf(given.durability);
  const chosen = chosenWorkloads();
  const machine = await lookAtMachine();
  say(describeMachine(machine));
  const drivers = driversFor(chosen);
  if (given.against === undefined && !given["no-build"]) buildServer();
  const bench = { runs, ...times, drivers };
  const all: Measured[] = [];
  for (const durability of durabilities) {
    const fitting = chosen.filter((one) => isFor(one, durability));
    if (fitting.length === 0) continue;
    if (given["cpu-prof"]) await profileAll(fitting, durability, bench);
    else if (given.kafka) all.push(...(await compareWithKafka(fitting, durability, bench)));
    else all.push(...(await measureAll(fitting, durability, bench)));
  }
  if (given.json === undefined) return;
  const measured = all.map(({ workload, ...rest }) => ({ workload: workload.name, ...rest }));
  writeFileSync(given.json, `${JSON.stringify({ machine, given, measured }, undefined, 2)}\n`);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} ${text}: a number above 0 is expected`);
  return value;
}

/** Beside Kafka, whose runs take as long again, a workload has one durability unless more are asked for. */
function isFor({ durability }: Workload, wanted: Durability): boolean {
  const isOne = given.kafka && given.durability === undefined;
  return (durability ?? (isOne ? "os" : wanted)) === wanted;
}

function durabilitiesOf(text = "os,fsync"): Durability[] {
  return text.split(",").map((one) => {
    if (one !== "os" && one !== "fsync") throw new Error(`--durability ${one}: os or fsync`);
    return one;
  });
}

/** All that need no foreign client, unless clients are compared or named. */
function chosenWorkloads(): readonly Workload[] {
  const names = given.only?.split(",");
  if (names === undefined) {
    return given.kafka ? workloads : workloads.filter(({ driver }) => !isClient(driver));
  }
  const chosen = names.flatMap((wanted) => {
    const exact = workloads.filter(({ name }) => name === wanted);
    const found =
      exact.length > 0 ? exact : workloads.filter(({ name }) => name.startsWith(wanted));
    if (found.length === 0) throw new Error(`no workload is called ${wanted}; --help lists them`);
    return found;
  });
  return workloads.filter((one) => chosen.includes(one));
}

function isClient(driver: Workload["driver"]): boolean {
  return driver === "franz" || driver === "rdkafka";
}

function driversFor(chosen: readonly Workload[]): Drivers {
  const needs = (driver: Workload["driver"]): boolean =>
    chosen.some((one) => one.driver === driver);
  return {
    load: buildLoad(),
    franz: needs("franz") ? buildFranz() : undefined,
    rdkafka: needs("rdkafka") ? buildRdkafka() : undefined,
  };
}

/** Each run has a fresh server and an empty directory, unless somebody else's server is measured. */
async function measureAll(
  chosen: readonly Workload[],
  durability: Durability,
  bench: Bench,
): Promise<Measured[]> {
  sayHead(durability);
  const all: Measured[] = [];
  for (const workload of chosen) {
    if (workload.driver === "start" && given.against !== undefined) continue;
    const runs: Figures[] = [];
    // The first run warms up the machine: pages that its host has to give back, files in the cache.
    for (let run = 0; run <= bench.runs; run += 1) {
      const figures = await runOnce(workload, durability, bench);
      if (run > 0) runs.push(figures);
    }
    const measured = measuredOf({
      workload,
      durability,
      broker: given.against ?? "cordwood",
      runs,
    });
    sayMeasured(measured);
    all.push(measured);
  }
  return all;
}

async function runOnce(workload: Workload, durability: Durability, bench: Bench): Promise<Figures> {
  if (workload.driver === "start") return runStart(() => startCordwood({ durability }));
  const isShared = given.against !== undefined;
  const broker = isShared ? otherBroker(given.against ?? "") : await startCordwood({ durability });
  try {
    return (await runWorkload(broker, workload, { ...bench, durability, isShared })).figures;
  } finally {
    await broker.stop();
  }
}

function otherBroker(bootstrap: string): Broker {
  return brokerAt(bootstrap, given.pid === undefined ? undefined : Number(given.pid));
}

async function profileAll(
  chosen: readonly Workload[],
  durability: Durability,
  bench: Bench,
): Promise<void> {
  for (const workload of chosen) {
    if (workload.driver === "start") continue;
    const profiles = freshDirectory("profile");
    const nodeArgs = ["--cpu-prof", `--cpu-prof-dir=${profiles}`, "--cpu-prof-interval=500"];
    const broker = await startCordwood({ durability, nodeArgs });
    const run = await runWorkload(broker, workload, { ...bench, durability, isShared: false });
    await broker.stop("SIGTERM");
    const times = selfTimes(profiles, run.result);
    removeDirectory(profiles);
    sayProfile(`${workload.name}, durability ${durability}`, times);
  }
}

function sayProfile(what: string, { functions, rooms, idleShare }: SelfTimes): void {
  const idle = Math.round(idleShare * 100);
  say(`\n${what}: idle, or reading sockets, ${idle} %; of the rest, self time by room`);
  for (const time of rooms.slice(0, profileRowsMax)) sayTime(time);
  say("and by function");
  for (const time of functions.slice(0, profileRowsMax)) sayTime(time);
}

function sayTime({ name, share }: SelfTime): void {
  say(`  ${(share * 100).toFixed(1).padStart(5)} %  ${name}`);
}
