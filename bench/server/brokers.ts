// What is measured: Cordwood as it is built, a released Apache Kafka, or whatever listens at an address.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { repository } from "./programs.ts";

const startMsMax = 60_000;
const endMsMax = 60_000;
const outputBytesMax = 16 * 1024;

export type Durability = "os" | "fsync";

export interface Broker {
  readonly name: string;
  readonly bootstrap: string;
  /** Host and port of HTTP; undefined where there is none. */
  readonly http?: string | undefined;
  /** Undefined where the process is not known: its CPU time and memory are not either. */
  readonly pid: number | undefined;
  /** From the start of the process to the first accepted connection. */
  readonly startMs: number;
  /** Settings of a topic whose records are to be on the disk when they are acknowledged. */
  readonly fsyncConfigs: readonly string[];
  /** Waits until a deleted topic is gone from the disk. */
  settle(): Promise<void>;
  /** Ends the process, at once or in order, and removes its directory. */
  stop(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
}

export interface CordwoodOptions {
  readonly durability: Durability;
  /** A directory to serve; without it a fresh one is made, and removed at the end. */
  readonly directory?: string | undefined;
  readonly nodeArgs?: readonly string[];
}

export async function startCordwood(options: CordwoodOptions): Promise<Broker> {
  const { durability, nodeArgs = [] } = options;
  const directory = options.directory ?? freshDirectory("cordwood");
  const bootstrap = `127.0.0.1:${await freePort()}`;
  const flags = ["--dir", directory, "--kafka", bootstrap, "--durability", durability];
  const http = `127.0.0.1:${await freePort()}`;
  // As it is shipped, but to be looked into: there a function's room is its folder.
  const program = nodeArgs.length === 0 ? "bin/cordwood.js" : "cli/main.js";
  const main = join(repository, "dist", program);
  const args = [...nodeArgs, main, "serve", ...flags, "--http", http, "--log-level", "warn"];
  const server = new ServerProcess("cordwood", process.execPath, args);
  const removed = options.directory === undefined ? [directory] : [];
  const broker = await server.broker({ bootstrap, directories: removed, fsyncConfigs: [] });
  return { ...broker, http };
}

/** One KRaft node with the heap and the collector that Kafka's own start script gives it. */
export async function startKafka(classPath: string): Promise<Broker> {
  const directory = freshDirectory("kafka");
  const bootstrap = `127.0.0.1:${await freePort()}`;
  const controller = `127.0.0.1:${await freePort()}`;
  const file = join(directory, "server.properties");
  const logs = join(directory, "logs");
  writeFileSync(file, kafkaProperties({ bootstrap, controller, logs }));
  const clusterId = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url");
  const format = ["-Xmx256m", "-cp", classPath, "kafka.tools.StorageTool", "format"];
  const formatted = spawnSync("java", [...format, "-t", clusterId, "-c", file], {
    encoding: "utf8",
  });
  if (formatted.status !== 0) throw new Error(`Kafka's format failed: ${formatted.stderr}`);
  const collector = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
  const more = ["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"];
  const java = ["-server", "-Xms1g", "-Xmx1g", ...collector, ...more, "-cp", classPath];
  const server = new ServerProcess("kafka", "java", [...java, "kafka.Kafka", file]);
  // Without a limit of its own Kafka leaves syncing to the operating system.
  const fsyncConfigs = ["flush.messages=1"];
  return server.broker({ bootstrap, directories: [directory], fsyncConfigs, logs });
}

function kafkaProperties(at: {
  readonly bootstrap: string;
  readonly controller: string;
  readonly logs: string;
}): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@${at.controller}`,
    "controller.listener.names=CONTROLLER",
    `listeners=PLAINTEXT://${at.bootstrap},CONTROLLER://${at.controller}`,
    `advertised.listeners=PLAINTEXT://${at.bootstrap}`,
    `log.dirs=${at.logs}`,
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    // Deleted topics of one run do not stay on the disk during the next ones.
    "log.segment.delete.delay.ms=500",
    "",
  ].join("\n");
}

/** Any broker that runs already. */
export function brokerAt(bootstrap: string, pid: number | undefined): Broker {
  return {
    name: bootstrap,
    bootstrap,
    pid,
    startMs: 0,
    fsyncConfigs: [],
    settle: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
}

interface Place {
  readonly bootstrap: string;
  /** Removed at the end. */
  readonly directories: readonly string[];
  readonly fsyncConfigs: readonly string[];
  /** Where deleted topics leave directories for a while. */
  readonly logs?: string;
}

class ServerProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #startedMs = performance.now();
  readonly #ended: Promise<string>;
  #ending: string | undefined;
  #output = "";

  constructor(name: string, command: string, args: readonly string[]) {
    this.#name = name;
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    const { promise, resolve } = Promise.withResolvers<string>();
    const end = (how: string): void => {
      this.#ending ??= how;
      running.delete(child);
      resolve(how);
    };
    const keep = (text: string): void => {
      this.#output = (this.#output + text).slice(-outputBytesMax);
    };
    child.stdout?.setEncoding("utf8").on("data", keep);
    child.stderr?.setEncoding("utf8").on("data", keep);
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(signal ?? `exit code ${code}`));
    this.#child = child;
    this.#ended = promise;
    running.add(child);
  }

  async broker(place: Place): Promise<Broker> {
    const startMs = await this.#accepting(place.bootstrap);
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.#name} has no process`);
    return {
      name: this.#name,
      bootstrap: place.bootstrap,
      pid,
      startMs,
      fsyncConfigs: place.fsyncConfigs,
      settle: () => (place.logs === undefined ? Promise.resolve() : topicsGone(place.logs)),
      stop: (signal = "SIGKILL") => this.#stop(signal, place),
    };
  }

  async #accepting(bootstrap: string): Promise<number> {
    for (;;) {
      if (await accepts(bootstrap)) return performance.now() - this.#startedMs;
      const tookMs = performance.now() - this.#startedMs;
      if (this.#ending !== undefined || tookMs > startMsMax) {
        this.#child.kill("SIGKILL");
        const what = this.#ending ?? `does not listen after ${startMsMax} ms`;
        throw new Error(`${this.#name}: ${what}\n${this.#output}`);
      }
      await delay(1);
    }
  }

  async #stop(signal: "SIGKILL" | "SIGTERM", place: Place): Promise<void> {
    // A process may be gone before its end was told.
    const { exitCode, signalCode } = this.#child;
    const isGone = exitCode !== null || signalCode !== null;
    const died = isGone ? await this.#ended : this.#ending;
    if (died === undefined) {
      this.#child.kill(signal);
      const how = await Promise.race([this.#ended, delay(endMsMax, "", { ref: false })]);
      if (how === "") this.#child.kill("SIGKILL");
    }
    for (const directory of place.directories) removeDirectory(directory);
    if (died !== undefined) throw new Error(`${this.#name} ended (${died}):\n${this.#output}`);
  }
}

/** Nothing that was started here survives this process, and no directory either. */
const running = new Set<ChildProcess>();
const directories = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export function freshDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `cordwood-bench-${name}-`));
  directories.add(directory);
  return directory;
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  directories.delete(directory);
}

function accepts(bootstrap: string): Promise<boolean> {
  const [host = "", port = ""] = bootstrap.split(":");
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(Number(port), host);
  const answer = (isAccepted: boolean): void => {
    socket.destroy();
    resolve(isAccepted);
  };
  socket.once("connect", () => answer(true)).once("error", () => answer(false));
  return promise;
}

/** Kafka renames the directory of a deleted partition and removes it later. */
async function topicsGone(logs: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (readdirSync(logs).some(isOfLoad) && performance.now() < deadlineMs) await delay(50);
}

function isOfLoad(name: string): boolean {
  return /^(load|franz|rdkafka)-\d/.test(name);
}

/** Below the range that the kernel gives to outgoing connections. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const probe = createServer()
      .once("error", () => resolve(false))
      .listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    if (await promise) return port;
  }
  throw new Error("no free port between 15000 and 30000");
}
