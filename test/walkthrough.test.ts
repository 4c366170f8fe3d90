// The README's walk-through, as somebody who follows it: real records in by the command line, kill -9 in between, everything out again.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

import { cordwoodMain, startServer, type TestServer } from "./servers.ts";

/** Debian's package lists, one version of a package a line; beside the project, not part of it. */
const dataFile = fileURLToPath(
  new URL("../../shared/data/debian-packages.ndjson.gz", import.meta.url),
);
const topic = "packages";
const partitionCount = 3;
const commandMsMax = 60_000;

// The command line as the README shows it.
const createTopic = ["topic", "create", topic, "--partitions", String(partitionCount)];
const produceStdin = ["produce", topic, "--key-from", "package"];
const produceFile = (file: string): string[] => [...produceStdin, file];
const consumeAll = ["consume", topic, "-o", "start.."];

test("packages loaded by the command line survive kill -9 and come back equal, in order per key", async () => {
  const lines = await packageLines();
  const half = Math.floor(lines.length / 2);
  const scratch = await mkdtemp(join(tmpdir(), "cordwood-walkthrough-"));
  const server = await startServer();
  try {
    await cordwood(server, createTopic);
    await cordwood(server, produceStdin, asText(lines.slice(0, half)));
    await server.kill("SIGKILL");
    await server.restart();
    const file = join(scratch, "packages.ndjson");
    await writeFile(file, asText(lines.slice(half)));
    await cordwood(server, produceFile(file));
    const records = (await cordwood(server, consumeAll)).split("\n").filter(Boolean).map(parse);
    assertOffsetsWithoutGaps(records);
    assertSamePerKey(records, lines);
    await server.stop();
  } finally {
    await server.kill("SIGKILL");
    await server.stop();
    await rm(scratch, { recursive: true, force: true });
  }
});

async function packageLines(): Promise<readonly string[]> {
  if (!existsSync(dataFile)) return generatedLines();
  const text = gunzipSync(await readFile(dataFile)).toString("utf8");
  return text.split("\n").filter(Boolean);
}

/** Of the same shape as the package lists: most packages once, some in several versions, a few large ones. */
function generatedLines(): readonly string[] {
  return Array.from({ length: 5_000 }, (_, index) =>
    JSON.stringify({
      package: `package-${index % 20 === 0 ? index % 400 : index}`,
      version: `1.${index}-1`,
      suite: "generated",
      sizeBytes: index * 37,
      depends: Array.from(
        { length: index % 23 },
        (_unused, each) => `library-${each} (>= 1.${each})`,
      ),
      summary: `Package number ${index}, for “tests” — größer als ASCII`,
    }),
  );
}

interface ConsumedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: string;
}

function parse(line: string): ConsumedRecord {
  const record: unknown = JSON.parse(line);
  assert.ok(typeof record === "object" && record !== null, line);
  const [key, value]: unknown[] = [Reflect.get(record, "key"), Reflect.get(record, "value")];
  assert.ok(typeof key === "string" && typeof value === "string", line);
  assert.equal(Reflect.get(record, "topic"), topic);
  return {
    partition: Number(Reflect.get(record, "partition")),
    offset: Number(Reflect.get(record, "offset")),
    key,
    value,
  };
}

function assertOffsetsWithoutGaps(records: readonly ConsumedRecord[]): void {
  const next = new Map<number, number>();
  for (const { partition, offset } of records) {
    assert.equal(offset, next.get(partition) ?? 0, `partition ${partition}`);
    next.set(partition, offset + 1);
  }
  assert.equal(next.size, partitionCount, "every partition got records");
}

function assertSamePerKey(records: readonly ConsumedRecord[], lines: readonly string[]): void {
  assert.equal(records.length, lines.length);
  const wanted = Map.groupBy(lines, keyOf);
  const found = Map.groupBy(records, ({ key }) => key);
  assert.equal(found.size, wanted.size, "distinct keys");
  for (const [key, values] of wanted) {
    const ofKey = found.get(key) ?? [];
    assert.deepEqual(
      ofKey.map(({ value }) => value),
      values,
      key,
    );
    assert.equal(new Set(ofKey.map(({ partition }) => partition)).size, 1, `${key} moved`);
  }
}

function keyOf(line: string): string {
  const record: unknown = JSON.parse(line);
  assert.ok(typeof record === "object" && record !== null, line);
  return String(Reflect.get(record, "package"));
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** Runs one command against the server, insists on exit code 0, gives its stdout. */
async function cordwood(
  server: TestServer,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const child = spawn(process.execPath, [cordwoodMain, ...args], {
    env: { ...process.env, CORDWOOD_URL: `kafka://${server.bootstrap}` },
    timeout: commandMsMax,
  });
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined).end(input ?? ""); // A command that died early says so by its exit code.
  const { promise, resolve, reject } = Promise.withResolvers<number | string>();
  child.on("error", reject);
  child.on("close", (code, signal) => resolve(code ?? signal ?? "no exit code"));
  const ended = await promise;
  assert.equal(ended, 0, `cordwood ${args.join(" ")}: ${stderr}`);
  return Buffer.concat(stdout).toString("utf8");
}
