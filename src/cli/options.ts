// Options that several commands have, and how their texts are read.

import { type Command, InvalidArgumentError, Option } from "commander";

import { LogError } from "../errors/index.ts";
import { parseRange, type Range } from "../values/index.ts";
import { standardUrl } from "./location.ts";
import { type OutputFormat, outputFormats } from "./rows.ts";

export interface PlaceFlags {
  readonly at: string;
}

export interface OutputFlags {
  /** Undefined leaves it to whether stdout is a terminal. */
  readonly output: OutputFormat | undefined;
}

/** Adds `--at`. */
export function placed(command: Command): Command {
  return command.addOption(
    new Option(
      "--at <url>",
      "http://HOST:PORT, kafka://HOST:PORT, or file:PATH of a directory no server holds",
    )
      .env("CORDWOOD_URL")
      .default(standardUrl),
  );
}

/** Adds `--output`; with the short `-o` where the command has no range that takes it. */
export function printed(command: Command, short = true): Command {
  return command.addOption(
    new Option(
      `${short ? "-o, " : ""}--output <format>`,
      "how results are printed: table on a terminal, ndjson otherwise",
    ).choices(outputFormats),
  );
}

/** Adds `--yes` for verbs that cannot be undone. */
export function confirmed(command: Command): Command {
  return command.option("-y, --yes", "do it without asking", false);
}

/** Adds `--range`. */
export function ranged(command: Command): Command {
  return command.addOption(
    new Option("-o, --range <range>", "what to read")
      .argParser(readRange)
      .default(parseRange("start"), "start"),
  );
}

function readRange(text: string): Range {
  try {
    return parseRange(text);
  } catch (thrown) {
    throw new InvalidArgumentError(LogError.from(thrown).message);
  }
}

/** How what is written is compressed. */
export function codecOption(): Option {
  return new Option("--codec <codec>", "compression of the batches")
    .choices(["none", "gzip", "snappy", "lz4", "zstd"])
    .default("none");
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,15}$/.test(text)) return count;
  throw new InvalidArgumentError("Expected a number.");
}

/** Adds to what the option was given before: `0,2,4-6`. */
export function parsePartitions(
  text: string,
  before: readonly number[] | undefined,
): readonly number[] {
  const partitions = new Set(before);
  for (const part of text.split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? first);
    if (match === null || last < first) {
      throw new InvalidArgumentError("Expected partitions, such as 0 or 0,2,4-6.");
    }
    for (let partition = first; partition <= last; partition++) partitions.add(partition);
  }
  return [...partitions].toSorted((left, right) => left - right);
}

/** Adds one `NAME=VALUE` to those given before. */
export function parseAssignment(
  text: string,
  before: readonly (readonly [string, string])[],
): readonly (readonly [name: string, value: string])[] {
  const split = text.indexOf("=");
  if (split < 1) throw new InvalidArgumentError("Expected NAME=VALUE.");
  return [...before, [text.slice(0, split), text.slice(split + 1)]];
}

/** Adds one more to those given before. */
export function parseRepeated(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}
