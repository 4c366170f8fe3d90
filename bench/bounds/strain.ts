// Load programs that go on until they are told to end, and short ones beside them.
import { spawn } from "node:child_process";

import type { Broker } from "../server/brokers.ts";
import { type LoadResult, parseResult, runLoad } from "../server/programs.ts";

const readyMsMax = 60_000;

/** A load that lasts. */
export interface Strain {
  /** Ends it, and gives what it found. */
  end(): Promise<LoadResult>;
}

/** Starts a load that lasts, and returns when it is under way. */
export async function startStrain(load: string, args: readonly string[]): Promise<Strain> {
  const child = spawn(load, args, { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  let complaint = "";
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<number | null>();
  const timer = setTimeout(() => child.kill("SIGKILL"), readyMsMax);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (/^ready$/m.test(output)) ready.resolve();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  child.on("close", (code) => {
    ready.reject(new Error(`load ${args.join(" ")} ended with ${code}: ${complaint}`));
    ended.resolve(code);
  });
  const killed = (): boolean => child.kill("SIGKILL");
  process.once("exit", killed);
  await ready.promise;
  clearTimeout(timer);
  return {
    end: async () => {
      child.stdin.end();
      const code = await ended.promise;
      process.off("exit", killed);
      if (code !== 0) throw new Error(`load ${args.join(" ")} ended with ${code}: ${complaint}`);
      return parseResult(output);
    },
  };
}

export function at(broker: Broker): readonly string[] {
  return ["-bootstrap", broker.bootstrap];
}

/** The p99 of a client that sends one record at a time and waits for it at the other end, in milliseconds. */
export async function wellBehavedP99(load: string, broker: Broker): Promise<number> {
  const times = ["-pause", "1ms", "-warm", "300ms", "-length", "1500ms"];
  const { p99 } = await runLoad(load, ["latency", ...at(broker), "-value", "100", ...times]);
  if (p99 === undefined) throw new Error("the load program told no p99");
  return p99;
}
