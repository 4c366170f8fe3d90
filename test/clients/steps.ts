// What a client program prints: one line per step, `ok NAME` or `FAILED NAME: reason`; its exit code says whether all passed.
import { inspect } from "node:util";

/** The address to test, the last argument of every client program. */
export function bootstrapArgument(): string {
  const bootstrap = process.argv.at(-1) ?? "";
  if (!/^[\w.-]+:\d+$/.test(bootstrap)) {
    throw new Error(`usage: node ${process.argv[1]} HOST:PORT`);
  }
  return bootstrap;
}

/** Runs one step; a failure is printed and does not keep the next steps from running. */
export async function step(name: string, work: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  try {
    await work();
    process.stdout.write(`ok ${name} (${Math.round(performance.now() - startMs)} ms)\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : inspect(error);
    process.stdout.write(`FAILED ${name}: ${reason.replaceAll(/\s+/g, " ").slice(0, 1_000)}\n`);
    process.exitCode = 1;
  }
}
