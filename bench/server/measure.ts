// One run of one workload against one broker, and what several runs come to.
import { setTimeout as delay } from "node:timers/promises";

import type { Broker, Durability } from "./brokers.ts";
import { memoryOf } from "./machine.ts";
import { type LoadResult, runLoad } from "./programs.ts";
import type { Figures, Workload } from "./workloads.ts";

/** A run writes at most this, its warm-up included, unless its workload is to write more. */
const usualBytesMax = 1_000_000_000;
/** A server that started is left alone for so long before its memory is read. */
const idleMs = 1_000;

export interface Drivers {
  readonly load: string;
  readonly franz: string | undefined;
  readonly rdkafka: string | undefined;
}

export interface RunOptions {
  readonly drivers: Drivers;
  readonly durability: Durability;
  readonly secs: number;
  readonly warmSecs: number;
  /** Whether the broker goes on after this run, so that its topic must go. */
  readonly isShared: boolean;
}

export interface Run {
  readonly figures: Figures;
  readonly result: LoadResult;
}

export async function runWorkload(
  broker: Broker,
  workload: Workload,
  options: RunOptions,
): Promise<Run> {
  const { driver } = workload;
  if (driver === "start") throw new Error("a start is not measured on a broker that runs");
  const program = options.drivers[driver];
  if (program === undefined) throw new Error(`the program of ${workload.name} was not built`);
  const configs = options.durability === "fsync" ? broker.fsyncConfigs : [];
  const args =
    driver === "rdkafka"
      ? rdkafkaArgs({ broker, workload, options, configs })
      : goArgs({ broker, workload, options, configs });
  const result = await runLoad(program, args);
  const figures = figuresOf(workload, result, broker.pid);
  if (options.isShared) await broker.settle();
  return { figures, result };
}

interface Call {
  readonly broker: Broker;
  readonly workload: Workload;
  readonly options: RunOptions;
  readonly configs: readonly string[];
}

function goArgs({ broker, workload, options, configs }: Call): string[] {
  const at = ["-bootstrap", broker.bootstrap, "-pid", String(broker.pid ?? 0)];
  const { bytesMax = usualBytesMax, secs = options.secs } = workload;
  const times = ["-warm", `${options.warmSecs}s`, "-length", `${secs}s`];
  const more = [...configs.flatMap((config) => ["-config", config]), "-bytes", String(bytesMax)];
  const drop = options.isShared ? ["-drop"] : [];
  return [...workload.args, ...at, ...times, ...more, ...drop];
}

function rdkafkaArgs({ broker, workload, options, configs }: Call): string[] {
  const at = [broker.bootstrap, `rdkafka-${Date.now()}`];
  const times = ["-w", String(options.warmSecs), "-l", String(options.secs)];
  const more = ["-b", String(usualBytesMax), "-p", String(broker.pid ?? 0)];
  const drop = options.isShared ? ["-d"] : [];
  const settings = configs.flatMap((config) => ["-c", config]);
  return [...at, ...workload.args, ...times, ...more, ...settings, ...drop];
}

function figuresOf(workload: Workload, result: LoadResult, pid: number | undefined): Figures {
  const { secs, serverCpu, p50, p99, p999 } = result;
  return {
    rate: amountOf(workload.unit, result) / secs,
    cost: serverCpu === undefined ? undefined : costOf(workload, result, serverCpu),
    p50,
    p99,
    p999,
    serverCores: serverCpu === undefined ? undefined : serverCpu / secs,
    loadCores: result.loadCpu / secs,
    rssMb: pid === undefined ? undefined : memoryOf(pid).rssMb,
  };
}

function amountOf(unit: Workload["unit"], { bytes, requests, records }: LoadResult): number {
  if (unit === "MB") return bytes / 1e6;
  return unit === "rec" ? records : requests;
}

function costOf({ costOf: per }: Workload, result: LoadResult, serverCpu: number): number {
  return per === "ms/MB"
    ? (serverCpu * 1e3) / (result.bytes / 1e6)
    : (serverCpu * 1e6) / result.requests;
}

/** Starts a broker, looks at it, and ends it. */
export async function runStart(start: () => Promise<Broker>): Promise<Figures> {
  const broker = await start();
  try {
    await delay(idleMs);
    const { pid, startMs } = broker;
    return { startMs, rssMb: pid === undefined ? undefined : memoryOf(pid).rssMb };
  } finally {
    await broker.stop();
  }
}

const figureNames = [
  "rate",
  "cost",
  "p50",
  "p99",
  "p999",
  "serverCores",
  "loadCores",
  "rssMb",
  "startMs",
] as const satisfies readonly (keyof Figures)[];

export interface Measured {
  readonly workload: Workload;
  readonly durability: Durability;
  readonly broker: string;
  readonly runs: readonly Figures[];
  readonly medians: Figures;
  /** Largest over smallest headline of the runs. */
  readonly spread: number | undefined;
}

export function measuredOf(measured: Omit<Measured, "medians" | "spread">): Measured {
  const { workload, runs } = measured;
  return { ...measured, medians: mediansOf(runs), spread: spreadOf(workload, runs) };
}

/** The median of each figure by itself. */
function mediansOf(runs: readonly Figures[]): Figures {
  const medians: Partial<Record<keyof Figures, number>> = {};
  for (const name of figureNames) {
    const values = runs.map((run) => run[name]).filter((value) => value !== undefined);
    const median = medianOf(values);
    if (median !== undefined) medians[name] = median;
  }
  return medians;
}

function medianOf(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
}

/** How far the runs lie apart: the largest over the smallest headline. */
function spreadOf(workload: Workload, runs: readonly Figures[]): number | undefined {
  const values = runs.map((run) => run[workload.headline]).filter((value) => value !== undefined);
  return values.length < 2 ? undefined : Math.max(...values) / Math.min(...values);
}
