import type { Command } from "commander";

import { type OutputFlags, printed } from "./options.ts";

export interface RepairFlags extends OutputFlags {
  readonly giveUp: string | undefined;
}

const backupExamples = `
A server may hold the directory meanwhile. The same backup, made again, copies only what is new.

Examples:
  cordwood storage backup ./data /mnt/backup
  cordwood storage backup ./data /mnt/backup -o json`;

const restoreExamples = `
Examples:
  cordwood storage restore /mnt/backup ./restored && cordwood storage verify ./restored`;

const repairExamples = `
Without --give-up it only says what is damaged, what giving it up would lose, and how it is named.
The damaged bytes and a report are kept in DIRECTORY/repairs.

Examples:
  cordwood storage repair ./data
  cordwood storage repair ./data --give-up segment:12`;

/** The verbs that look after a directory; they join those that only look into it. */
export function registerStorageCare(program: Command): void {
  const storage = program.commands.find((command) => command.name() === "storage");
  if (storage === undefined) throw new Error("storage is registered before its care");
  printed(
    storage
      .command("backup")
      .description("bring a copy in another directory up to date, also while a server runs")
      .argument("<directory>")
      .argument("<backup>"),
  )
    .addHelpText("after", backupExamples)
    .action(async (directory: string, backup: string, flags: OutputFlags) =>
      (await actions()).backupStorage(directory, backup, flags),
    );
  printed(
    storage
      .command("restore")
      .description("make a directory of what a backup holds")
      .argument("<backup>")
      .argument("<directory>"),
  )
    .addHelpText("after", restoreExamples)
    .action(async (backup: string, directory: string, flags: OutputFlags) =>
      (await actions()).restoreStorage(backup, directory, flags),
    );
  printed(
    storage
      .command("repair")
      .description("name what is damaged, and give up what is named")
      .argument("<directory>")
      .option("--give-up <range>", "give this up, for example segment:12 or wal:4711"),
  )
    .addHelpText("after", repairExamples)
    .action(async (directory: string, flags: RepairFlags) =>
      (await actions()).repairStorage(directory, flags),
    );
}

function actions(): Promise<typeof import("./storage-care-action.ts")> {
  return import("./storage-care-action.ts");
}
