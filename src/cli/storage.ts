import type { Command } from "commander";

import { type OutputFlags, parseCount, printed } from "./options.ts";

export interface DumpFlags extends OutputFlags {
  readonly topicId: string | undefined;
  readonly partition: number | undefined;
}

const listExamples = `
Examples:
  cordwood storage list ./data
  cordwood storage list ./data -o json
  cordwood storage list ./data -o ndjson | jq 'select(.row == "partition")'`;

const dumpExamples = `
Examples:
  cordwood storage dump ./data
  cordwood storage dump ./data --topic-id 5d9b6f2e-1c0a-4f7e-9a53-0b7f6f7f3c11 -p 0
  cordwood storage dump ./data -o raw | cut -f1 | sort | uniq -c`;

const verifyExamples = `
It says what it looked at. The data sum is the same for two directories that hold the same records.
While a server has the directory open, what it writes meanwhile is not looked at; otherwise none can open it.

Examples:
  cordwood storage verify ./data
  cordwood storage verify ./backup -o json
  cordwood storage verify ./data && tar cf data.tar ./data`;

export function registerStorage(program: Command): void {
  const storage = program
    .command("storage")
    .description("look into a directory file by file, and look after it");
  printed(storage.command("list").description("list files and partitions").argument("<directory>"))
    .addHelpText("after", listExamples)
    .action(async (directory: string, flags: OutputFlags) =>
      (await actions()).listStorage(directory, flags),
    );

  const dump = storage
    .command("dump")
    .description("list every batch, where it lies")
    .argument("<directory>")
    .option("--topic-id <uuid>", "of this topic alone")
    .option("-p, --partition <n>", "of this partition alone", parseCount);
  printed(dump)
    .addHelpText("after", dumpExamples)
    .action(async (directory: string, flags: DumpFlags) =>
      (await actions()).dumpStorage(directory, flags),
    );

  printed(
    storage
      .command("verify")
      .description(
        "check every checksum, and all that belongs together; ends with 1 where it is damaged",
      )
      .argument("<directory>"),
  )
    .addHelpText("after", verifyExamples)
    .action(async (directory: string, flags: OutputFlags) =>
      (await actions()).verifyStorage(directory, flags),
    );
}

function actions(): Promise<typeof import("./storage-action.ts")> {
  return import("./storage-action.ts");
}
