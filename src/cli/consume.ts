import type { Command } from "commander";

import { type Range, rangeHelp } from "../values/index.ts";
import {
  type OutputFlags,
  parseCount,
  parsePartitions,
  placed,
  type PlaceFlags,
  printed,
  ranged,
} from "./options.ts";
import { templateHelp } from "./record-format.ts";

export interface RecordFlags extends PlaceFlags, OutputFlags {
  readonly format: string | undefined;
  readonly json: boolean;
}

export interface ConsumeFlags extends RecordFlags {
  readonly range: Range;
  readonly count: number | undefined;
  readonly group: string | undefined;
  readonly follow: boolean;
  readonly partition: readonly number[] | undefined;
}

export interface TailFlags extends RecordFlags {
  readonly count: number;
  readonly follow: boolean;
  readonly partition: readonly number[] | undefined;
}

export interface CountFlags extends PlaceFlags, OutputFlags {
  readonly range: Range;
  readonly exact: boolean;
  readonly partition: readonly number[] | undefined;
}

const consumeExamples = `
Examples:
  cordwood consume orders -o -10
  cordwood consume orders payments -o @-1h.. -f '%t %k %s\\n'
  cordwood consume orders -g billing --follow | process-orders`;

const tailExamples = `
Examples:
  cordwood tail orders
  cordwood tail orders -n 100 -f
  cordwood tail logs -n 0 -f --output raw`;

const getExamples = `
Examples:
  cordwood get orders 0 42
  cordwood get orders 0 42 -o raw > value.bin
  cordwood get orders 0 42 --at file:./data --json`;

const countExamples = `
Examples:
  cordwood count orders
  cordwood count orders -o @-1h..
  cordwood count orders -p 0 --output raw`;

export function registerConsume(program: Command): void {
  registerConsumeCommand(program);
  registerTail(program);
  registerGet(program);
  registerCount(program);
}

function registerConsumeCommand(program: Command): void {
  const command = ranged(program.command("consume"))
    .description("print the records of topics, up to where they end")
    .argument("<topic...>")
    .option("-n, --count <n>", "so many records at most", parseCount)
    .option("-g, --group <group>", "as a member of a group: go on where it was, and commit")
    .option("--follow", "wait for records to come", false)
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions);
  placed(printed(formatted(command, "-f, --format <template>"), false))
    .addHelpText("after", `${rangeHelp}\n${templateHelp}\n${consumeExamples}`)
    .action(async (topics: string[], flags: ConsumeFlags) => {
      const { consume } = await import("./consume-action.ts");
      await consume(topics, flags);
    });
}

function registerTail(program: Command): void {
  const command = program
    .command("tail")
    .description("print the newest records of a topic, in the order of their times")
    .argument("<topic>")
    .option("-n, --count <n>", "so many", parseCount, 10)
    .option("-f, --follow", "wait for records to come", false)
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions);
  placed(printed(formatted(command, "--format <template>")))
    .addHelpText("after", `${templateHelp}\n${tailExamples}`)
    .action(async (topic: string, flags: TailFlags) => {
      const { tail } = await import("./tail-action.ts");
      await tail(topic, flags);
    });
}

function registerGet(program: Command): void {
  const command = program
    .command("get")
    .description("print one record")
    .argument("<topic>")
    .argument("<partition>", "its number", parseCount)
    .argument("<offset>", "its offset", parseCount);
  placed(printed(formatted(command, "-f, --format <template>")))
    .addHelpText("after", `${templateHelp}\n${getExamples}`)
    .action(async (topic: string, partition: number, offset: number, flags: RecordFlags) => {
      const { get } = await import("./consume-action.ts");
      await get({ topic, partition }, offset, flags);
    });
}

function registerCount(program: Command): void {
  const command = ranged(program.command("count"))
    .description("count the records of a topic by their offsets")
    .argument("<topic>")
    .option("--exact", "read them: for topics where records were compacted away", false)
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions);
  placed(printed(command, false))
    .addHelpText("after", `${rangeHelp}\n${countExamples}`)
    .action(async (topic: string, flags: CountFlags) => {
      const { count } = await import("./consume-action.ts");
      await count(topic, flags);
    });
}

function formatted(command: Command, flags: string): Command {
  return command
    .option(flags, "how each record is printed")
    .option("--json", "values are JSON: print what they hold", false);
}
