// The frame around every command that works on a place: opens it, hands down what there is, ends in
// order whatever happens.

import type { EventLog } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { exitCodeOf } from "./failure.ts";
import type { PlaceFlags } from "./options.ts";
import { Output, readerGone } from "./output.ts";
import { paint, showsColor } from "./paint.ts";
import type { Place } from "./place.ts";
import { formatRows, type OutputFormat, type Row, standardFormat } from "./rows.ts";

/** What every command has. */
export interface Speaking {
  readonly output: Output;
  /** Aborted when a signal came, or when nobody reads the output any more. */
  readonly signal: AbortSignal;
  /** Says something on stderr. */
  say(text: string): void;
  print(rows: readonly Row[], format: OutputFormat | undefined): void;
}

/** What a command on a place has. */
export interface Session extends Speaking {
  readonly client: Place["client"];
  readonly env: Place["env"];
}

export interface SessionOptions {
  /** Whether a directory that is not there is made. */
  readonly mayCreate?: boolean;
}

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signalNumber: number) {
    super("interrupted");
    this.exitCode = 128 + signalNumber;
  }
}

const signals = [
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const;

/** Runs the task on what `--at` names, and sets the exit code of the process. */
export async function withSession(
  flags: PlaceFlags,
  options: SessionOptions,
  task: (session: Session) => Promise<void>,
): Promise<void> {
  await withOutput(async (speaking) => {
    // Loads the protocol and the broker: nothing that has no place needs them.
    const { openPlace } = await import("./place.ts");
    await using place = await openPlace(flags.at, {
      mayCreate: options.mayCreate ?? false,
      events: spokenEvents,
    });
    const { client, env } = place;
    await task({ ...speaking, client, env });
  });
}

/** Runs the task and sets the exit code of the process. */
export async function withOutput(task: (speaking: Speaking) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  const output = new Output(process.stdout, () => ending.abort(readerGone));
  const listeners = signals.map(([name, number]) => {
    // The second one does not wait for an orderly end.
    const listener = (): void => {
      if (ending.signal.aborted) process.exit(128 + number);
      ending.abort(new Interrupted(number));
    };
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  try {
    await task({ output, signal: ending.signal, say, print: printTo(output) });
    ending.signal.throwIfAborted();
    await output.end();
  } catch (thrown) {
    await output.end();
    process.exitCode = exitCodeFor(ending.signal.aborted ? ending.signal.reason : thrown);
  } finally {
    for (const remove of listeners) remove();
    // A terminal that is still read would keep the process.
    process.stdin.unref?.();
  }
}

function exitCodeFor(thrown: unknown): number {
  if (thrown === readerGone) return 0;
  if (thrown instanceof Interrupted) return thrown.exitCode;
  // What went wrong first is what there is to tell; that the end failed too is its consequence.
  return exitCodeOf(thrown instanceof SuppressedError ? thrown.suppressed : thrown);
}

function printTo(output: Output): Speaking["print"] {
  return (rows, format) => {
    const hasColor = showsColor(process.stdout);
    output.text(formatRows(rows, format ?? standardFormat(output.isTerminal), hasColor));
  };
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What the client has to tell while it works, for people. */
const spokenEvents: EventLog = {
  debug() {},
  info() {},
  warn: speak,
  error: speak,
};

function speak(message: string, fields: Parameters<EventLog["warn"]>[1] = {}): void {
  const told = Object.entries(fields).filter(([, value]) => value !== undefined);
  const details = told.map(([name, value]) => (name === "reason" ? value : `${name} ${value}`));
  const text = [message, ...details].join(", ");
  say(paint(`cordwood: ${text}`, "yellow", showsColor(process.stderr)));
}

/** An answer that means no; the process ends with 1. */
export function declined(): LogError {
  return new LogError("cancelled", "nothing was done");
}

/** `1 record`, `2 records`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
