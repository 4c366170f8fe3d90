// The benchmark of gRPC: npm run bench:grpc [-- options]. See docs/performance.md.
import { parseArgs } from "node:util";

import { create, toBinary } from "@bufbuild/protobuf";

import { CreateTopicRequestSchema } from "../../../src/proto/index.ts";
import { type Durability, startCordwood } from "../../server/brokers.ts";
import { describeMachine, lookAtMachine, memoryOf } from "../../server/machine.ts";
import { buildGo, buildServer, runOrExplain, runProgram } from "../../server/programs.ts";
import { say } from "../../server/report.ts";

interface Workload {
  readonly name: string;
  readonly does: string;
  /** For the load generator. */
  readonly args: readonly string[];
  /** Records each second that issue 7 asks for, with durability os. */
  readonly goal?: number;
}

const workloads: readonly Workload[] = [
  {
    name: "unary",
    does: "Append with one record of 100 bytes, 64 calls in flight on one connection",
    args: ["unary"],
    goal: 20_000,
  },
  {
    name: "unary-8",
    does: "the same over 8 connections, 8 calls in flight on each",
    args: ["unary", "-connections", "8", "-in-flight", "8"],
  },
  {
    name: "append-stream",
    does: "one AppendStream, one record of 100 bytes a message, 1,024 messages not acknowledged",
    args: ["append", "-in-flight", "1024"],
    goal: 150_000,
  },
  {
    name: "append-batches",
    does: "one AppendStream, 100 records of 100 bytes a message, 100 messages not acknowledged",
    args: ["append", "-records", "100", "-in-flight", "100"],
  },
  {
    name: "read",
    does: "Read of 2,000,000 records of 100 bytes, again and again",
    args: ["read"],
  },
];

const help = `npm run bench:grpc -- [options]

  --only NAME,NAME…   workloads of these names
  --runs N            runs of each workload; the median is printed (3)
  --secs N            length of what is measured in a run (2)
  --warm-secs N       warm-up within each run (1)
  --durability D      os or fsync (os)
  --no-build          take dist as it is

Workloads:
${workloads.map(({ name, does }) => `  ${name.padEnd(16)} ${does}`).join("\n")}
`;

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

/** What the load generator prints. */
interface LoadResult {
  readonly secs: number;
  readonly calls: number;
  readonly records: number;
  readonly bytes: number;
  /** Processor seconds of the server. */
  readonly serverCpu: number;
  /** Milliseconds; 0 where calls are not told apart. */
  readonly p50: number;
  readonly p99: number;
}

interface Measured extends LoadResult {
  readonly rssMb: number;
}

if (given.help) say(help);
else await runOrExplain(main);

async function main(): Promise<void> {
  const names = given.only?.split(",");
  const chosen = workloads.filter(({ name }) => names?.includes(name) ?? true);
  say(describeMachine(await lookAtMachine()));
  const load = buildGo("grpc", import.meta.dirname);
  if (!given["no-build"]) buildServer();
  const durability: Durability = given.durability === "fsync" ? "fsync" : "os";
  say(`\ndurability ${durability}\n`);
  say("workload           records/s      MB/s   server CPU   µs/record   p50 ms   p99 ms   RSS MB");
  for (const workload of chosen) {
    const runs: Measured[] = [];
    for (let run = 0; run < Number(given.runs); run++) {
      runs.push(await measure(load, workload, durability));
    }
    report(
      workload,
      runs.toSorted((left, right) => left.records - right.records),
    );
  }
}

function report({ name, goal }: Workload, sorted: readonly Measured[]): void {
  const median = sorted[Math.floor(sorted.length / 2)];
  if (median === undefined) return;
  const { secs, records, bytes, serverCpu, p50, p99, rssMb } = median;
  const columns = [
    name.padEnd(16),
    Math.round(records / secs)
      .toLocaleString("en")
      .padStart(11),
    (bytes / 1e6 / secs).toFixed(1).padStart(9),
    `${Math.round((serverCpu / secs) * 100)} %`.padStart(12),
    ((serverCpu * 1e6) / records).toFixed(2).padStart(11),
    (p50 === 0 ? "" : p50.toFixed(2)).padStart(8),
    (p99 === 0 ? "" : p99.toFixed(2)).padStart(8),
    Math.round(rssMb).toString().padStart(8),
  ];
  const isMet = goal !== undefined && records / secs >= goal;
  const verdict =
    goal === undefined
      ? ""
      : `   goal ${goal.toLocaleString("en")} records/s: ${isMet ? "met" : "MISSED"}`;
  say(columns.join(" ") + verdict);
}

async function measure(
  load: string,
  workload: Workload,
  durability: Durability,
): Promise<Measured> {
  const server = await startCordwood({ durability });
  const { http, pid } = server;
  if (http === undefined || pid === undefined) throw new Error("the server has no HTTP port");
  try {
    await createTopic(http);
    const times = ["-warm", `${given["warm-secs"]}s`, "-length", `${given.secs}s`];
    const args = [...workload.args, "-at", http, "-pid", String(pid), ...times];
    const output = await runProgram(load, args);
    // The program is this benchmark's own: what it prints is what the interface says.
    const result: LoadResult = JSON.parse(output);
    return { ...result, rssMb: memoryOf(pid).rssMb };
  } finally {
    await server.stop();
  }
}

async function createTopic(http: string): Promise<void> {
  const body = toBinary(
    CreateTopicRequestSchema,
    create(CreateTopicRequestSchema, { topic: "load", partitionCount: 1 }),
  );
  const url = `http://${http}/cordwood.v1.TopicService/CreateTopic`;
  const headers = { "content-type": "application/proto" };
  const response = await fetch(url, { method: "POST", headers, body: new Uint8Array(body) });
  if (!response.ok) throw new Error(await response.text());
}
