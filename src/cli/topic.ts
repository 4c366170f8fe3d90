import type { Command } from "commander";

import type { Codec } from "../records/index.ts";
import { type Range, rangeHelp } from "../values/index.ts";

import {
  codecOption,
  confirmed,
  type OutputFlags,
  parseAssignment,
  parseCount,
  parsePartitions,
  parseRepeated,
  placed,
  type PlaceFlags,
  printed,
  ranged,
} from "./options.ts";

interface TopicFlags extends PlaceFlags, OutputFlags {}

export interface ListTopicsFlags extends TopicFlags {
  readonly internal: boolean;
}

export interface DescribeTopicFlags extends TopicFlags {
  readonly all: boolean;
}

export interface CreateTopicFlags extends TopicFlags {
  readonly partitions: number | undefined;
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly ifNotExists: boolean;
}

export interface AlterTopicFlags extends TopicFlags {
  readonly partitions: number | undefined;
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly unset: readonly string[];
}

export interface DeleteTopicFlags extends TopicFlags {
  readonly yes: boolean;
  readonly dryRun: boolean;
}

export interface ExportTopicFlags extends PlaceFlags {
  readonly range: Range;
  readonly partition: readonly number[] | undefined;
}

export interface ImportTopicFlags extends TopicFlags {
  readonly partitions: number | undefined;
  /** By key, whatever the lines say. */
  readonly replace: boolean;
  readonly codec: Codec;
}

export interface CompactTopicFlags extends TopicFlags {
  readonly yes: boolean;
}

export interface TruncateTopicFlags extends DeleteTopicFlags {
  readonly before: string;
  readonly partition: readonly number[] | undefined;
}

const listExamples = `
Examples:
  cordwood topic list
  cordwood topic list -o json --at file:./data
  cordwood topic list -o raw | cut -f1`;

const describeExamples = `
Examples:
  cordwood topic describe orders
  cordwood topic describe orders payments -o json
  cordwood topic describe orders --all`;

const createExamples = `
Examples:
  cordwood topic create orders
  cordwood topic create orders payments -p 12 --if-not-exists
  cordwood topic create sessions --set cleanup.policy=compact --set retention.ms=86400000`;

const alterExamples = `
Examples:
  cordwood topic alter orders --partitions 12
  cordwood topic alter orders --set retention.ms=3600000
  cordwood topic alter orders --unset retention.ms --set max.message.bytes=5000000`;

const deleteExamples = `
Examples:
  cordwood topic delete orders
  cordwood topic delete orders payments --dry-run
  cordwood topic delete scratch --yes`;

const truncateExamples = `
Examples:
  cordwood topic truncate orders
  cordwood topic truncate orders --before @-7d --dry-run
  cordwood topic truncate orders -p 0 --before 1000 --yes`;

const compactExamples = `
A server compacts topics whose cleanup.policy says compact by itself, when their settings say it is due.

Examples:
  cordwood topic compact sessions
  cordwood topic compact prices --yes -o json
  cordwood topic compact prices --at http://127.0.0.1:8080`;

const exportExamples = `
Each line is {"partition":0,"offset":12,"timestamp":1764144000000,"key":"o-1","headers":[["source","web"]],"value":"..."}:
keys and values are texts where their bytes are UTF-8, else {"base64":"..."}, and null where there are none.

Examples:
  cordwood topic export orders > orders.ndjson
  cordwood topic export orders -o @-1d.. | gzip > orders.ndjson.gz
  cordwood topic export orders --at file:./data | cordwood topic import orders --at kafka://127.0.0.1:9092`;

const importExamples = `
Takes what export prints. Offsets are given anew; all else is kept. A line that is wrong is named by its
number, and those before it are written.

Examples:
  cordwood topic import orders orders.ndjson
  gunzip -c orders.ndjson.gz | cordwood topic import orders --partitions 3
  cordwood topic import orders orders.ndjson --replace --codec zstd`;

export function registerTopic(program: Command): void {
  const topic = program.command("topic").description("list, make, change and remove topics");
  registerLooking(topic);
  registerMaking(topic);
  registerRemoving(topic);
  registerCompacting(topic);
  registerMoving(topic);
}

function registerLooking(topic: Command): void {
  const list = topic
    .command("list")
    .description("list the topics")
    .option("--internal", "those too that the server keeps for itself", false);
  placed(printed(list))
    .addHelpText("after", listExamples)
    .action(async (flags: ListTopicsFlags) => (await actions()).listTopics(flags));

  const describe = topic
    .command("describe")
    .description("show partitions, offsets, sizes and settings")
    .argument("<topic...>")
    .option("--all", "all settings, not only those of the topic itself", false);
  placed(printed(describe))
    .addHelpText("after", describeExamples)
    .action(async (topics: string[], flags: DescribeTopicFlags) =>
      (await actions()).describeTopics(topics, flags),
    );
}

function registerMaking(topic: Command): void {
  const create = topic
    .command("create")
    .description("make topics")
    .argument("<topic...>")
    .option("-p, --partitions <n>", "how many; the server's standard otherwise", parseCount)
    .option("--set <name=value>", "a setting by Kafka's name; repeatable", parseAssignment, [])
    .option("--if-not-exists", "one that exists is no error", false);
  placed(printed(create))
    .addHelpText("after", createExamples)
    .action(async (topics: string[], flags: CreateTopicFlags) =>
      (await actions()).createTopics(topics, flags),
    );

  const alter = topic
    .command("alter")
    .description("change settings, or add partitions")
    .argument("<topic>")
    .option("-p, --partitions <n>", "how many there are afterwards", parseCount)
    .option("--set <name=value>", "a setting by Kafka's name; repeatable", parseAssignment, [])
    .option("--unset <name>", "back to the standard; repeatable", parseRepeated, []);
  placed(printed(alter))
    .addHelpText("after", alterExamples)
    .action(async (name: string, flags: AlterTopicFlags) =>
      (await actions()).alterTopic(name, flags),
    );
}

function registerRemoving(topic: Command): void {
  const remove = topic
    .command("delete")
    .description("remove topics and all their records")
    .argument("<topic...>")
    .option("--dry-run", "say what would be done", false);
  placed(printed(confirmed(remove)))
    .addHelpText("after", deleteExamples)
    .action(async (topics: string[], flags: DeleteTopicFlags) =>
      (await actions()).deleteTopics(topics, flags),
    );

  const truncate = topic
    .command("truncate")
    .description("remove the oldest records of a topic, or all of them")
    .argument("<topic>")
    .option("--before <point>", "what is older: end, N, -N (keep the last N), @TIME", "end")
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions)
    .option("--dry-run", "say what would be done", false);
  placed(printed(confirmed(truncate)))
    .addHelpText("after", truncateExamples)
    .action(async (name: string, flags: TruncateTopicFlags) =>
      (await actions()).truncateTopic(name, flags),
    );
}

function registerCompacting(topic: Command): void {
  const compact = topic
    .command("compact")
    .description("remove the records that a newer one of their key replaces, now")
    .argument("<topic>");
  placed(printed(confirmed(compact)))
    .addHelpText("after", compactExamples)
    .action(async (name: string, flags: CompactTopicFlags) =>
      (await actions()).compactTopic(name, flags),
    );
}

function registerMoving(topic: Command): void {
  const exporting = ranged(topic.command("export"))
    .description("print the records of a topic as lines of JSON that import takes")
    .argument("<topic>")
    .option("-p, --partition <list>", "these alone, such as 0 or 0,2,4-6", parsePartitions);
  placed(exporting)
    .addHelpText("after", `${rangeHelp}\n${exportExamples}`)
    .action(async (name: string, flags: ExportTopicFlags) => {
      const { exportTopic } = await import("./transfer-action.ts");
      await exportTopic(name, flags);
    });

  const importing = topic
    .command("import")
    .description("append the records of an export")
    .argument("<topic>")
    .argument("[file...]", "- is stdin")
    .option("--partitions <n>", "make the topic with so many where it is not there", parseCount)
    .option("--replace", "choose partitions by key, not those of the lines", false)
    .addOption(codecOption());
  placed(printed(importing))
    .addHelpText("after", importExamples)
    .action(async (name: string, files: string[], flags: ImportTopicFlags) => {
      const { importTopic } = await import("./transfer-action.ts");
      await importTopic(name, files, flags);
    });
}

// oxlint-disable-next-line typescript/explicit-module-boundary-types
function actions(): Promise<typeof import("./topic-action.ts")> {
  return import("./topic-action.ts");
}
