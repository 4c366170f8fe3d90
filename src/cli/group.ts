import type { Command } from "commander";

import {
  confirmed,
  type OutputFlags,
  parsePartitions,
  placed,
  type PlaceFlags,
  printed,
} from "./options.ts";

export interface GroupFlags extends PlaceFlags, OutputFlags {}

export interface SeekGroupFlags extends GroupFlags {
  readonly to: string;
  readonly partition: readonly number[] | undefined;
  readonly yes: boolean;
  readonly dryRun: boolean;
}

export interface DeleteGroupFlags extends GroupFlags {
  readonly yes: boolean;
  readonly dryRun: boolean;
}

const listExamples = `
Examples:
  cordwood group list
  cordwood group list -o json
  cordwood group list --at file:./data`;

const describeExamples = `
Examples:
  cordwood group describe billing
  cordwood group describe billing shipping -o ndjson
  cordwood group describe billing --at kafka://broker:9092`;

const lagExamples = `
Examples:
  cordwood group lag billing
  cordwood group lag billing -o json
  cordwood group lag billing -o raw | awk '{ lag += $6 } END { print lag }'`;

const seekExamples = `
Examples:
  cordwood group seek billing orders --to start
  cordwood group seek billing orders --to @-1h --dry-run
  cordwood group seek billing orders -p 0 --to 42 --yes`;

const deleteExamples = `
Examples:
  cordwood group delete billing
  cordwood group delete billing shipping --yes
  cordwood group delete billing --dry-run`;

export function registerGroup(program: Command): void {
  const group = program.command("group").description("look after consumer groups");
  registerLooking(group);
  registerChanging(group);
}

function registerLooking(group: Command): void {
  placed(printed(group.command("list").description("list the groups")))
    .addHelpText("after", listExamples)
    .action(async (flags: GroupFlags) => (await actions()).listGroups(flags));

  const describe = group
    .command("describe")
    .description("show state and members")
    .argument("<group...>");
  placed(printed(describe))
    .addHelpText("after", describeExamples)
    .action(async (groups: string[], flags: GroupFlags) =>
      (await actions()).describeGroups(groups, flags),
    );

  const lag = group
    .command("lag")
    .description("show how far a group is behind, by partition")
    .argument("<group>");
  placed(printed(lag))
    .addHelpText("after", lagExamples)
    .action(async (name: string, flags: GroupFlags) => (await actions()).groupLag(name, flags));
}

function registerChanging(group: Command): void {
  const seek = group
    .command("seek")
    .description("move a group without members to another place")
    .argument("<group>")
    .argument("<topic>")
    .requiredOption("--to <point>", "start, end, N, -N (so many before the end) or @TIME")
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions)
    .option("--dry-run", "say what would be done", false);
  placed(printed(confirmed(seek)))
    .addHelpText("after", seekExamples)
    .action(async (name: string, topic: string, flags: SeekGroupFlags) =>
      (await actions()).seekGroup(name, topic, flags),
    );

  const remove = group
    .command("delete")
    .description("forget groups without members, and what they committed")
    .argument("<group...>")
    .option("--dry-run", "say what would be done", false);
  placed(printed(confirmed(remove)))
    .addHelpText("after", deleteExamples)
    .action(async (groups: string[], flags: DeleteGroupFlags) =>
      (await actions()).deleteGroups(groups, flags),
    );
}

function actions(): Promise<typeof import("./group-action.ts")> {
  return import("./group-action.ts");
}
