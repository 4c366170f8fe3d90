// The benchmark of HTTP: npm run bench:http [-- options]. See docs/performance.md.
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { startCordwood } from "../server/brokers.ts";
import { memoryOf } from "../server/machine.ts";
import { say } from "../server/report.ts";
import { type Round, runRounds } from "./rounds.ts";
import type { LoadCase, LoadResult, Workload } from "./workloads.ts";
import { workloads } from "./workloads.ts";

/** Ticks of a processor that Linux counts in a second. */
const ticksPerSec = 100;

/** Of those that append while others follow. */
const appendsUnderWayMax = 32;

interface Measured extends LoadResult {
  /** Processor time of the server for each second. */
  readonly cores: number;
  readonly rssMbMax: number;
  /** Memory that came with the connections, for each of them. */
  readonly connectionKb: number;
}

await runRounds({
  command: "bench:http",
  workloads,
  head: "workload            records/s      MB/s   server CPU   µs/record   RSS MB",
  measure,
  rateOf: ({ operationsPerSec }: Measured) => operationsPerSec,
  report,
});

function report(workload: Workload, sorted: readonly Measured[]): void {
  const { name, goal, connectionKbMax } = workload;
  const median = sorted[Math.floor(sorted.length / 2)];
  if (median === undefined) return;
  if (connectionKbMax !== undefined) {
    const { connectionKb } = median;
    const verdict = connectionKb <= connectionKbMax ? "met" : "MISSED";
    const each = `${connectionKb.toFixed(1)} kB for each connection`;
    say(`${name.padEnd(16)} ${each}   goal ${connectionKbMax} kB: ${verdict}`);
    return;
  }
  const { operationsPerSec, megabytesPerSec, cores, rssMbMax } = median;
  const columns = [
    name.padEnd(16),
    Math.round(operationsPerSec).toLocaleString("en").padStart(12),
    megabytesPerSec.toFixed(1).padStart(9),
    `${Math.round(cores * 100)} %`.padStart(12),
    ((cores * 1e6) / operationsPerSec).toFixed(2).padStart(11),
    Math.round(rssMbMax).toString().padStart(8),
  ];
  const verdict =
    goal === undefined
      ? ""
      : `   goal ${goal.min.toLocaleString("en")} ${goal.of === "operationsPerSec" ? "records/s" : "MB/s"}: ${median[goal.of] >= goal.min ? "met" : "MISSED"}`;
  say(columns.join(" ") + verdict);
}

async function measure(workload: Workload, { durability, ...times }: Round): Promise<Measured> {
  const server = await startCordwood({ durability });
  const { http, pid } = server;
  if (http === undefined || pid === undefined) throw new Error("the server has no HTTP port");
  try {
    await prepare(http, workload);
    const [host = "", port = ""] = http.split(":");
    const { secs } = times;
    const load: LoadCase = { ...workload.load, ...times, host, port: Number(port) };
    const rssMb = memoryOf(pid).rssMb;
    const loading = startLoad(load);
    await loading.ready;
    const connectionKb = ((memoryOf(pid).rssMb - rssMb) * 1e3) / load.connections;
    const stopping = new AbortController();
    const appending = append(http, workload.appendsPerSec ?? 0, stopping.signal);
    await sleep(times.warmSecs);
    const before = processorSecs(pid);
    const result = await loading.result;
    const cores = (processorSecs(pid) - before) / secs;
    stopping.abort();
    await appending;
    return { ...result, cores, rssMbMax: memoryOf(pid).rssMbMax, connectionKb };
  } finally {
    await server.stop();
  }
}

async function prepare(http: string, { before }: Workload): Promise<void> {
  await post(http, "", "application/json", "[]");
  if (before === undefined) return;
  const { line, lines } = before;
  for (let done = 0; done < lines; done += 10_000) {
    await post(http, "?lines=values", "application/x-ndjson", `${line}\n`.repeat(10_000));
  }
}

// oxlint-disable-next-line max-params -- where, how and what
async function post(http: string, query: string, type: string, body: string): Promise<void> {
  const url = `http://${http}/topics/bench/records${query}`;
  const response = await fetch(url, { method: "POST", headers: { "content-type": type }, body });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

/** Appends at a pace, or as fast as it is answered, until it is told to stop. */
async function append(http: string, perSec: number, stopped: AbortSignal): Promise<void> {
  if (perSec === 0) return;
  const body = `{"value":{"id":1,"text":"${"x".repeat(82)}"}}`;
  const startMs = performance.now();
  const underWay = new Set<Promise<void>>();
  for (let count = 0; !stopped.aborted; count++) {
    const dueMs = startMs + (count / perSec) * 1_000;
    if (dueMs > performance.now()) await sleep((dueMs - performance.now()) / 1_000);
    const posting = post(http, "", "application/json", body).finally(() =>
      underWay.delete(posting),
    );
    underWay.add(posting);
    if (underWay.size >= appendsUnderWayMax) await Promise.race(underWay);
  }
  await Promise.all(underWay);
}

function startLoad(load: LoadCase): {
  readonly ready: Promise<void>;
  readonly result: Promise<LoadResult>;
} {
  const program = fileURLToPath(new URL("./load.ts", import.meta.url));
  const child = fork(program, [JSON.stringify(load)], { silent: true });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => process.stderr.write(chunk));
  const ready = new Promise<void>((resolve) => {
    child.once("message", () => resolve());
    child.once("exit", () => resolve());
  });
  const result = new Promise<LoadResult>((resolve, reject) => {
    child.once("close", (code) => {
      if (code !== 0) reject(new Error(`the clients ended with ${code}`));
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by load.ts of the same revision
      else resolve(JSON.parse(output) as LoadResult);
    });
  });
  return { ready, result };
}

function processorSecs(pid: number): number {
  // The name of the program may have spaces, and stands in parentheses.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSec;
}

async function sleep(secs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, secs * 1_000));
}
