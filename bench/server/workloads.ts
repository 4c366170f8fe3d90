// What is done to a broker, and what is expected of Cordwood: the figures of docs/performance.md.
import type { Durability } from "./brokers.ts";

/** One run's or several runs' figures; what a workload does not have is absent. */
export interface Figures {
  /** In the workload's unit, a second. */
  readonly rate?: number | undefined;
  /** Server CPU: milliseconds a MB, or microseconds a request or message. */
  readonly cost?: number | undefined;
  readonly p50?: number | undefined;
  readonly p99?: number | undefined;
  readonly p999?: number | undefined;
  readonly serverCores?: number | undefined;
  readonly loadCores?: number | undefined;
  readonly rssMb?: number | undefined;
  readonly startMs?: number | undefined;
}

export interface Goal {
  readonly figure: keyof Figures;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Workload {
  readonly name: string;
  readonly does: string;
  readonly driver: "load" | "franz" | "rdkafka" | "start";
  /** Arguments of the driver. */
  readonly args: readonly string[];
  readonly unit: "MB" | "req" | "rec" | "msg" | "";
  /** What the server's CPU time is divided by. */
  readonly costOf: "ms/MB" | "µs/req" | "";
  /** A workload without this is run with both. */
  readonly durability?: Durability;
  /** Where more is to be written than by others, and for longer. */
  readonly bytesMax?: number;
  readonly secs?: number;
  /** For the durability named, `os` where none is. */
  readonly goals: readonly Goal[];
  /** What the comparison with Kafka looks at; rates are better when higher, the others when lower. */
  readonly headline: keyof Figures;
  /** How many times better than Kafka the headline is to be. */
  readonly timesGoal: number;
}

/** Beside Kafka: at most this share of its CPU for the same work, and of its memory. */
export const shareOfKafkaMax = 1 / 3;

const megabytes = { driver: "load", unit: "MB", costOf: "ms/MB", headline: "rate" } as const;
const requests = { driver: "load", unit: "req", costOf: "µs/req", headline: "rate" } as const;

/** One partition for each connection, so that none waits for another at a lock. */
function connections(count: number): readonly string[] {
  return ["-connections", String(count), "-partitions", String(count)];
}

function smallRecords(count: number, goals: readonly Goal[]): Workload {
  return {
    ...megabytes,
    name: `produce-100b-c${count}`,
    does: `100 B records in 16 KiB batches, ${count} connections, 5 in flight`,
    args: ["produce", ...connections(count), "-value", "100", "-batch", "16384"],
    goals,
    timesGoal: 4,
  };
}

function largeBatches(count: number, goals: readonly Goal[]): Workload {
  return {
    ...megabytes,
    name: `produce-1k-c${count}`,
    does: `1 KiB records in 1 MiB batches, ${count} connections, 5 in flight`,
    args: ["produce", ...connections(count), "-value", "1024", "-batch", "1048576"],
    goals,
    timesGoal: 1,
  };
}

function synced(count: number, goals: readonly Goal[]): Workload {
  const one = ["-value", "1024", "-records", "1", "-in-flight", "1"];
  return {
    ...requests,
    name: `fsync-c${count}`,
    does: `one 1 KiB record a request, ${count} connections, one in flight, on the disk when acknowledged`,
    args: ["produce", ...connections(count), ...one],
    durability: "fsync",
    goals,
    timesGoal: 1,
  };
}

function fetched(count: number, goals: readonly Goal[]): Workload {
  return {
    ...megabytes,
    name: `fetch-c${count}`,
    does: `1 MB a request, ${count} connections, one in flight, out of 256 MiB of 16 KiB batches`,
    args: ["fetch", ...connections(count)],
    goals,
    timesGoal: 1,
  };
}

/** A real client, which is the limit itself. */
function client(driver: "franz" | "rdkafka", valueBytes: number): Workload {
  const size = valueBytes === 100 ? "" : "-1k";
  return {
    name: `${driver}-produce${size}`,
    does: `${driver === "franz" ? "franz-go" : "librdkafka"} with its defaults, records of ${valueBytes} B, one partition`,
    driver,
    args: [driver === "franz" ? "-value" : "-s", String(valueBytes)],
    unit: "MB",
    costOf: "ms/MB",
    goals: [],
    headline: "rate",
    timesGoal: 1.7,
  };
}

export const workloads: readonly Workload[] = [
  smallRecords(1, []),
  smallRecords(4, [
    { figure: "rate", atLeast: 450 },
    { figure: "cost", atMost: 2 },
  ]),
  smallRecords(16, []),
  {
    ...smallRecords(4, []),
    name: "produce-sustained",
    does: "as produce-100b-c4 for 8 s and up to 6 GB: the server makes its checkpoints meanwhile",
    bytesMax: 6_000_000_000,
    secs: 8,
    timesGoal: 1,
  },
  largeBatches(1, []),
  largeBatches(4, [
    { figure: "rate", atLeast: 300 },
    { figure: "cost", atMost: 3.5 },
  ]),
  largeBatches(16, []),
  {
    ...requests,
    name: "single-c16",
    does: "one 100 B record a request, 16 connections, 32 in flight",
    args: ["produce", ...connections(16), "-records", "1", "-in-flight", "32"],
    goals: [
      { figure: "rate", atLeast: 120_000 },
      { figure: "cost", atMost: 7 },
    ],
    timesGoal: 3,
  },
  {
    ...requests,
    name: "partitions-500",
    does: "500 partitions, batches of ten 100 B records, 50 partitions a request, 4 connections, 5 in flight",
    args: "produce -connections 4 -partitions 500 -per-request 50 -records 10".split(" "),
    unit: "rec",
    costOf: "ms/MB",
    goals: [{ figure: "rate", atLeast: 1_200_000 }],
    timesGoal: 10,
  },
  synced(1, [{ figure: "rate", atLeast: 2_000 }]),
  synced(16, [{ figure: "rate", atLeast: 15_000 }]),
  synced(64, [{ figure: "rate", atLeast: 30_000 }]),
  fetched(1, [
    { figure: "rate", atLeast: 1_000 },
    { figure: "cost", atMost: 0.6 },
  ]),
  fetched(4, []),
  {
    ...requests,
    name: "latency-one",
    does: "1 KiB messages end to end, the next one sent when the last one was consumed",
    args: ["latency", "-value", "1024"],
    unit: "msg",
    goals: [
      { figure: "p50", atMost: 0.15 },
      { figure: "p99", atMost: 1 },
    ],
    headline: "p99",
    timesGoal: 1,
  },
  {
    ...requests,
    name: "latency-10k",
    does: "1 KiB messages end to end, 10,000 a second",
    args: ["latency", "-value", "1024", "-rate", "10000"],
    unit: "msg",
    goals: [
      { figure: "p50", atMost: 0.4 },
      { figure: "p99", atMost: 4 },
      { figure: "p999", atMost: 10 },
    ],
    headline: "p99",
    timesGoal: 1,
  },
  {
    name: "start",
    does: "an empty directory: start of the process to the first accepted connection; memory after one idle second",
    driver: "start",
    args: [],
    unit: "",
    costOf: "",
    goals: [
      { figure: "startMs", atMost: 150 },
      { figure: "rssMb", atMost: 90 },
    ],
    headline: "startMs",
    timesGoal: 1,
  },
  client("rdkafka", 100),
  client("rdkafka", 1_024),
  client("franz", 100),
  client("franz", 1_024),
];

/** Whether a goal is reached; undefined where there is no figure. */
export function isMet(goal: Goal, figures: Figures): boolean | undefined {
  const figure = figures[goal.figure];
  if (figure === undefined) return undefined;
  if (goal.atLeast !== undefined) return figure >= goal.atLeast;
  return figure <= (goal.atMost ?? Infinity);
}

/** Goals were set for one durability: with the other one a workload has none. */
export function goalsFor(workload: Workload, durability: Durability): readonly Goal[] {
  return (workload.durability ?? "os") === durability ? workload.goals : [];
}
