// A server of this working tree as a child process, on free ports of loopback, for tests that use the product from outside.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The command line's entry, to be run by the node that runs the tests. */
export const cordwoodMain = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** For tests with many groups: the first member of a group does not wait for others to come. */
export const quickGroups = ["--set", "group.initial.rebalance.delay.ms=0"] as const;

const readyMsMax = 30_000;
const endMsMax = 30_000;
const outputBytesMax = 32 * 1024;

export interface ServerOptions {
  /** A directory to serve. Without it a fresh one is made, and removed by `stop`. */
  readonly dir?: string;
  /** Further arguments of `cordwood serve`. */
  readonly args?: readonly string[];
  readonly kafkaPort?: number;
}

/** Starts a server and returns it once it is ready. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const server = new TestServer({
    dir: options.dir ?? (await mkdtemp(join(tmpdir(), "cordwood-test-"))),
    isDirOurs: options.dir === undefined,
    kafkaPort: options.kafkaPort ?? (await freePort()),
    httpPort: await freePort(),
    args: options.args ?? [],
  });
  try {
    server.launch();
    await server.ready();
  } catch (error) {
    await server.kill("SIGKILL");
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

interface Place {
  readonly dir: string;
  readonly isDirOurs: boolean;
  readonly kafkaPort: number;
  readonly httpPort: number;
  readonly args: readonly string[];
}

interface Life {
  readonly child: ChildProcess;
  readonly startedAtMs: number;
  /** Resolves with how the process ended: never rejects. */
  readonly ended: Promise<Ending>;
  ending: Ending | undefined;
  output: string;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class TestServer implements AsyncDisposable {
  readonly bootstrap: string;
  readonly httpUrl: string;
  readonly dir: string;
  readonly #place: Place;
  /** The process of now or the last one; undefined only before the first launch. */
  #life: Life | undefined;

  constructor(place: Place) {
    this.#place = place;
    this.dir = place.dir;
    this.bootstrap = `127.0.0.1:${place.kafkaPort}`;
    this.httpUrl = `http://127.0.0.1:${place.httpPort}`;
  }

  get pid(): number {
    const pid = this.#alive()?.child.pid;
    if (pid === undefined) throw new Error("the server does not run");
    return pid;
  }

  /** Starts the process and returns at once; `ready` waits for it. */
  launch(): void {
    if (this.#alive()) throw new Error("the server runs already");
    const { dir, kafkaPort, httpPort, args } = this.#place;
    const kafka = `127.0.0.1:${kafkaPort}`;
    const http = `127.0.0.1:${httpPort}`;
    const flags = ["--dir", dir, "--kafka", kafka, "--http", http];
    this.#life = live([cordwoodMain, "serve", ...flags, ...args]);
  }

  /** Waits until the health check answers 200; gives the milliseconds since the launch. */
  async ready(): Promise<number> {
    const life = this.#life;
    if (!life) throw new Error("the server was never launched");
    for (;;) {
      if (life.ending) {
        throw new Error(`the server ended (${describe(life.ending)}):\n${life.output}`);
      }
      if (await answers(`${this.httpUrl}/health/ready`))
        return performance.now() - life.startedAtMs;
      if (performance.now() - life.startedAtMs > readyMsMax) {
        throw new Error(`the server is not ready after ${readyMsMax} ms:\n${life.output}`);
      }
      await delay(10);
    }
  }

  /** What the process of now, or the last one, wrote to stdout and stderr: the end of it. */
  get output(): string {
    return this.#life?.output ?? "";
  }

  /** Sends a signal and waits for the process to end. Does nothing when none runs. */
  async kill(signal: NodeJS.Signals): Promise<Ending | undefined> {
    const life = this.#alive();
    if (!life) return undefined;
    life.child.kill(signal);
    const ending = await Promise.race([life.ended, delay(endMsMax, undefined, { ref: false })]);
    if (ending) return ending;
    life.child.kill("SIGKILL");
    throw new Error(`the server did not end within ${endMsMax} ms of ${signal}:\n${life.output}`);
  }

  /** Ends the server as an operator does, insists on exit code 0, removes the directory if it was made here. */
  async stop(): Promise<void> {
    const ending = await this.kill("SIGTERM");
    const output = this.output;
    if (this.#place.isDirOurs) await rm(this.dir, { recursive: true, force: true });
    if (ending && ending.code !== 0) {
      throw new Error(`the server ended with ${describe(ending)} on SIGTERM:\n${output}`);
    }
  }

  /** Starts again on the same directory and ports, after a clean end if it still runs; gives the milliseconds to ready. */
  async restart(): Promise<number> {
    await this.kill("SIGTERM");
    this.launch();
    return this.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #alive(): Life | undefined {
    return this.#life && !this.#life.ending ? this.#life : undefined;
  }
}

function live(command: readonly string[]): Life {
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  const life: Life = {
    child,
    startedAtMs: performance.now(),
    ended,
    ending: undefined,
    output: "",
  };
  const end = (ending: Ending): void => {
    life.ending ??= ending;
    running.delete(child);
    resolve(life.ending);
  };
  const keep = (text: string): void => {
    life.output = (life.output + text).slice(-outputBytesMax);
  };
  child.stdout?.setEncoding("utf8").on("data", keep);
  child.stderr?.setEncoding("utf8").on("data", keep);
  child.on("error", (error) => {
    keep(String(error));
    end({ code: null, signal: null });
  });
  // `close` comes after the last output, so an error message is complete when `ending` is seen.
  child.on("close", (code, signal) => end({ code, signal }));
  running.add(child);
  return life;
}

/** Children of this process; none of them survives it. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => process.exit(1));
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    // Refused or reset: the server does not listen yet. Whether it died is the caller's question.
    return false;
  }
}

function describe(ending: Ending): string {
  return ending.signal ?? `exit code ${ending.code}`;
}

/**
 * A port that nobody listens on, below the range the kernel gives to outgoing connections: a client
 * that tries a dead server's port of that range again and again can end up connected to itself.
 */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port between 15000 and 30000");
}

async function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = createServer()
    .once("error", () => resolve(false))
    .listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  return promise;
}

/** Polls until the condition holds; the error says what was waited for and what `state` shows. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { readonly msMax?: number; readonly state?: () => unknown } = {},
): Promise<void> {
  const deadlineMs = performance.now() + (options.msMax ?? 30_000);
  while (!(await condition())) {
    if (performance.now() > deadlineMs) {
      const state = options.state ? `: ${JSON.stringify(options.state())}` : "";
      throw new Error(`waited ${options.msMax ?? 30_000} ms in vain until ${what}${state}`);
    }
    await delay(10);
  }
}
