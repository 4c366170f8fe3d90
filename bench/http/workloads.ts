// What bench/http asks of the server, and how fast it should be (issue 7, with durability os).

export interface LoadCase {
  readonly kind: "unary" | "stream" | "read" | "follow" | "idle";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly body: string;
  readonly connections: number;
  /** Records in one body, or in one answer. */
  readonly recordsPerRequest: number;
  readonly warmSecs: number;
  readonly secs: number;
}

export interface LoadResult {
  /** Records, appended, read or delivered. */
  readonly operationsPerSec: number;
  /** Of bodies or of answers, in units of 10^6 bytes. */
  readonly megabytesPerSec: number;
}

export interface Workload {
  readonly name: string;
  readonly does: string;
  readonly load: Omit<LoadCase, "host" | "port" | "warmSecs" | "secs">;
  /** Lines that are in the topic before; each a value. */
  readonly before?: { readonly lines: number; readonly line: string };
  /** Records appended each second meanwhile, by one connection. */
  readonly appendsPerSec?: number;
  readonly goal?: { readonly of: keyof LoadResult; readonly min: number };
  /** Memory that the server may take for each connection. */
  readonly connectionKbMax?: number;
}

const valueOf = (bytes: number): string => `{"id":1,"text":"${"x".repeat(bytes - 18)}"}`;
const small = valueOf(100);
const large = valueOf(1_024);
const path = "/topics/bench/records";

export const workloads: readonly Workload[] = [
  {
    name: "append",
    does: "one record of 100 bytes a request, 64 connections",
    load: {
      kind: "unary",
      path,
      body: `{"value":${small}}`,
      connections: 64,
      recordsPerRequest: 1,
    },
    goal: { of: "operationsPerSec", min: 30_000 },
  },
  {
    name: "append-array",
    does: "100 records of 100 bytes a request, 8 connections",
    load: {
      kind: "unary",
      path,
      body: `[${Array.from({ length: 100 }, () => `{"value":${small}}`).join(",")}]`,
      connections: 8,
      recordsPerRequest: 100,
    },
  },
  {
    name: "stream-append",
    does: "records of 100 bytes as lines of one body, acknowledged as they come",
    load: {
      kind: "stream",
      path,
      body: `{"value":${small}}\n`.repeat(500),
      connections: 1,
      recordsPerRequest: 500,
    },
  },
  {
    name: "ndjson-records",
    does: "lines that are records of 1 KiB, two bodies at a time",
    load: {
      kind: "stream",
      path,
      body: `{"value":${large}}\n`.repeat(60),
      connections: 2,
      recordsPerRequest: 60,
    },
    goal: { of: "megabytesPerSec", min: 100 },
  },
  {
    name: "ndjson-values",
    does: "lines that are values of 1 KiB, two bodies at a time",
    load: {
      kind: "stream",
      path: `${path}?lines=values`,
      body: `${large}\n`.repeat(60),
      connections: 2,
      recordsPerRequest: 60,
    },
    goal: { of: "megabytesPerSec", min: 100 },
  },
  {
    name: "read",
    does: "100,000 records of 1 KiB as lines, two readers",
    load: {
      kind: "read",
      path: "/topics/bench/partitions/0/records",
      body: "",
      connections: 2,
      recordsPerRequest: 100_000,
    },
    before: { lines: 100_000, line: large },
  },
  {
    name: "fan-out",
    does: "500 followers of server-sent events, 200 records of 100 bytes a second",
    load: {
      kind: "follow",
      path: "/topics/bench/events",
      body: "",
      connections: 500,
      recordsPerRequest: 1,
    },
    appendsPerSec: 200,
    // All that is appended reaches everybody.
    goal: { of: "operationsPerSec", min: 0.97 * 200 * 500 },
  },
  {
    name: "fan-out-burst",
    does: "500 followers, as many records of 100 bytes as they take",
    load: {
      kind: "follow",
      path: "/topics/bench/events",
      body: "",
      connections: 500,
      recordsPerRequest: 1,
    },
    appendsPerSec: Infinity,
  },
  {
    name: "idle",
    does: "10,000 connections that asked once and stay",
    load: {
      kind: "idle",
      path: "/health/live",
      body: "",
      connections: 10_000,
      recordsPerRequest: 1,
    },
    connectionKbMax: 32,
  },
];
