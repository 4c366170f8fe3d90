// kcat as a child process: single runs and members of a group, and what they print.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

const executable = "kcat";
const runMsMax = 60_000;
const groupOptions = {
  "session.timeout.ms": 10_000,
  "heartbeat.interval.ms": 100,
  "auto.commit.interval.ms": 100,
  "auto.offset.reset": "earliest",
  "fetch.wait.max.ms": 50,
};

export interface Line {
  readonly key: string;
  readonly value: string;
}

export interface KcatRecord extends Line {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly headers: readonly string[];
}

/** kcat against one server. */
export class Kcat {
  readonly bootstrap: string;

  constructor(bootstrap: string) {
    this.bootstrap = bootstrap;
  }

  /** Starts a member of a group; it commits by itself, and when it leaves. */
  join(group: string, topic: string, options: readonly string[] = []): GroupMember {
    const settings = Object.entries(groupOptions).flatMap(([name, value]) => {
      return ["-X", `${name}=${value}`];
    });
    const args = ["-b", this.bootstrap, "-J", "-u", ...settings, ...options, "-G", group, topic];
    return new GroupMember(args);
  }

  /** One run to its end; gives its stdout. */
  async run(args: readonly string[], input: string | Readable = ""): Promise<string> {
    const child = spawn(executable, ["-b", this.bootstrap, ...args], { timeout: runMsMax });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.on("error", () => undefined); // A child that died early says so by its exit code.
    if (typeof input === "string") child.stdin.end(input);
    else input.pipe(child.stdin);
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    child.on("error", reject).on("close", resolve);
    const code = await promise;
    if (code !== 0) throw new Error(`kcat ${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }
}

/** A consumer of a group, running until it is stopped or has what it wants. */
export class GroupMember {
  readonly records: KcatRecord[] = [];
  /** Partitions of its last assignment. */
  assigned: readonly number[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #stderr = "";

  constructor(args: readonly string[]) {
    const child = spawn(executable, args, { stdio: ["ignore", "pipe", "pipe"], timeout: runMsMax });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.records.push(parseRecord(line));
    });
    createInterface({ input: child.stderr }).on("line", (line) => this.#note(line));
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    child.on("error", reject).on("close", resolve);
    this.#ended = promise;
  }

  get count(): number {
    return this.records.length;
  }

  /** Asks it to leave the group and waits until it did. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.untilEnded();
  }

  async untilEnded(): Promise<void> {
    const code = await this.#ended;
    if (code !== 0) throw new Error(`kcat -G ended with ${code}: ${this.#stderr}`);
  }

  #note(line: string): void {
    this.#stderr += `${line}\n`;
    if (!line.includes("rebalanced")) return;
    const partitions = [...line.matchAll(/\[(\d+)\]/g)].map(([, number]) => Number(number));
    this.assigned = line.includes("assigned:") ? partitions : [];
  }
}

export function parseRecord(line: string): KcatRecord {
  const record: unknown = JSON.parse(line);
  const headers = field(record, "headers");
  return {
    key: String(field(record, "key")),
    value: String(field(record, "payload")),
    partition: Number(field(record, "partition")),
    offset: Number(field(record, "offset")),
    timestampMs: Number(field(record, "ts")),
    headers: Array.isArray(headers) ? headers.map(String) : [],
  };
}

export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

export function objects(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
