import { CommanderError } from "commander";

import { LogError, outcomes } from "../errors/index.ts";

/** What the shell is told when the command line itself is wrong. */
const usageExit = 2;

/**
 * Says on stderr why a command failed, in one sentence where the failure is an operational one, and
 * gives the exit code: 1 error, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 unreachable, 7 timeout.
 */
export function exitCodeOf(error: unknown): number {
  // Commander has said what is wrong; its code is 0 where help or the version was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExit;
  if (error instanceof LogError && error.code !== "internal") {
    process.stderr.write(`cordwood: ${error.message}\n`);
    return outcomes[error.code].exit;
  }
  const { cause = error } = error instanceof LogError ? error : {};
  const shown = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  process.stderr.write(`cordwood: internal error: ${shown}\n`);
  return outcomes.internal.exit;
}
