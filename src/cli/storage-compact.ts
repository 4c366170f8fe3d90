import type { Command } from "commander";

import { confirmed, type OutputFlags, printed } from "./options.ts";

export interface CompactFlags extends OutputFlags {
  readonly yes: boolean;
}

const compactExamples = `
Without a topic those whose cleanup.policy says compact. A server compacts them by itself.

Examples:
  cordwood storage compact ./data
  cordwood storage compact ./data sessions prices
  cordwood storage compact ./wal log --yes -o json`;

/** Joins the verbs that look into a directory. */
export function registerStorageCompact(program: Command): void {
  const storage = program.commands.find((command) => command.name() === "storage");
  if (storage === undefined) throw new Error("storage is registered before what joins it");
  printed(
    confirmed(
      storage
        .command("compact")
        .description("keep the newest record of each key only, in a directory that no server holds")
        .argument("<directory>")
        .argument("[topic...]"),
    ),
  )
    .addHelpText("after", compactExamples)
    .action(async (directory: string, topics: string[], flags: CompactFlags) =>
      (await import("./storage-compact-action.ts")).compactStorage(directory, topics, flags),
    );
}
