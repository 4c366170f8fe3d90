// The benchmark of gRPC: npm run bench:grpc [-- options]. See docs/performance.md.
import { create, toBinary } from "@bufbuild/protobuf";

import { CreateTopicRequestSchema } from "../../../src/proto/index.ts";
import { startCordwood } from "../../server/brokers.ts";
import { memoryOf } from "../../server/machine.ts";
import { buildGo, runProgram } from "../../server/programs.ts";
import { say } from "../../server/report.ts";
import { type Round, runRounds } from "../rounds.ts";

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

await runRounds({
  command: "bench:grpc",
  workloads,
  head: "workload           records/s      MB/s   server CPU   µs/record   p50 ms   p99 ms   RSS MB",
  measure,
  rateOf: ({ records }: Measured) => records,
  report,
});

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
  { args }: Workload,
  { durability, secs, warmSecs }: Round,
): Promise<Measured> {
  const load = buildGo("grpc", import.meta.dirname);
  const server = await startCordwood({ durability });
  const { http, pid } = server;
  if (http === undefined || pid === undefined) throw new Error("the server has no HTTP port");
  try {
    await createTopic(http);
    const times = ["-warm", `${warmSecs}s`, "-length", `${secs}s`];
    const at = ["-at", http, "-pid", String(pid)];
    const output = await runProgram(load, [...args, ...at, ...times]);
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
