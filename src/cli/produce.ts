import { type Command, Option } from "commander";

import type { Codec } from "../records/index.ts";
import {
  codecOption,
  parseAssignment,
  parseCount,
  placed,
  type OutputFlags,
  type PlaceFlags,
  printed,
} from "./options.ts";

export interface ProduceFlags extends PlaceFlags, OutputFlags {
  readonly key: string | undefined;
  readonly keyFrom: string | undefined;
  readonly header: readonly (readonly [name: string, value: string])[];
  readonly partition: number | undefined;
  readonly codec: Codec;
  readonly acks: "all" | "1" | "0";
}

const examples = `
Examples:
  echo hello | cordwood produce greetings
  cordwood produce orders --key-from id -H source=import orders.ndjson
  tail -F app.log | cordwood produce logs --codec zstd`;

export function registerProduce(program: Command): void {
  const command = program
    .command("produce")
    .description("write lines of files or of stdin to a topic, each one a record")
    .argument("<topic>")
    .argument("[file...]", "- is stdin")
    .option("-k, --key <key>", "the same key for every record")
    .option(
      "--key-from <field>",
      "each line is JSON, and this field of it the key; a.b for inner ones",
    )
    .option(
      "-H, --header <name=value>",
      "a header for every record; repeatable",
      parseAssignment,
      [],
    )
    .option("-p, --partition <n>", "one partition, whatever the key", parseCount)
    .addOption(codecOption())
    .addOption(
      new Option("--acks <acks>", "who must have a record before it counts as written")
        .choices(["all", "1", "0"])
        .default("all"),
    )
    .addHelpText("after", examples);
  placed(printed(command)).action(async (topic: string, files: string[], flags: ProduceFlags) => {
    const { produce } = await import("./produce-action.ts");
    await produce(topic, files, flags);
  });
}
