// A client program as a child process that is read line by line.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

import { type Fact, parseFact, type Step } from "./facts.ts";

const stepMsMax = 120_000;
const endMsMax = 30_000;
const stderrSizeMax = 2_000;

export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<number | string>;
  #stderr = "";

  constructor([file = "", ...args]: readonly string[]) {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrSizeMax);
    });
    const { promise, resolve } = Promise.withResolvers<number | string>();
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code ?? signal ?? "no exit code"));
    this.#ended = promise;
    running.add(child);
    void promise.then(() => running.delete(child));
  }

  /** The next line, which must be of this step. */
  async next(step: Step): Promise<Fact> {
    const line = await Promise.race([this.#lines.next(), delay(stepMsMax, late, { ref: false })]);
    if (line === late) throw new Error(`no line in ${stepMsMax} ms${this.#said()}`);
    if (line.done) throw new Error(`the program ended with ${await this.#ended}${this.#said()}`);
    const fact = parseFact(line.value);
    if (fact["step"] !== step) throw new Error(`${String(fact["step"])} told instead of ${step}`);
    return fact;
  }

  /** Waits for the end, which must come soon, with exit code 0 and without a further line. */
  async end(): Promise<void> {
    const ending = await Promise.race([this.#ended, delay(endMsMax, late, { ref: false })]);
    if (ending === late) throw new Error(`it did not end${this.#said()}`);
    if (ending !== 0) throw new Error(`it ended with ${ending}${this.#said()}`);
    const line = await this.#lines.next();
    if (!line.done) throw new Error(`a line too many: ${line.value.slice(0, 100)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Told once: the steps behind a failure fail for the same reason. */
  #said(): string {
    const said = this.#stderr === "" ? "" : `; stderr: … ${this.#stderr}`;
    this.#stderr = "";
    return said;
  }
}

const late = Symbol("late");

/** None of them survives this process. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
