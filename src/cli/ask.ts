import { createInterface } from "node:readline/promises";

import { LogError } from "../errors/index.ts";
import { declined, type Speaking } from "./session.ts";

/**
 * Says what is about to be done, and asks whether it shall be, unless `isSure`.
 * @throws LogError cancelled when the answer is not yes; invalid_argument where there is nobody to ask
 */
export async function confirm(
  session: Pick<Speaking, "say" | "signal">,
  plan: string,
  isSure: boolean,
): Promise<void> {
  session.say(plan);
  if (isSure) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new LogError("invalid_argument", "nobody is there to ask: add --yes to do it");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question("Do it? [y/N] ", { signal: session.signal });
    if (!/^y(es)?$/i.test(answer.trim())) throw declined();
  } finally {
    terminal.close();
  }
}
