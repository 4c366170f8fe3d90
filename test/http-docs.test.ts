// Every example of docs/http.md, run by a shell with curl against one server, in the order of the page.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { startServer } from "../src/server/index.ts";

interface Example {
  readonly command: string;
  readonly printed: string;
}

/** What differs from run to run is no part of what the page promises. */
const volatile: readonly (readonly [RegExp, string])[] = [
  [/"timestamp":\d+/g, '"timestamp":0'],
  [/"sizeBytes":\d+/g, '"sizeBytes":0'],
  [/"topicId":"[\w-]+"/g, '"topicId":""'],
  [/\r/g, ""],
];

function settled(printed: string): string {
  return volatile.reduce((all, [form, fixed]) => all.replaceAll(form, fixed), printed);
}

function examplesOf(page: string): Example[] {
  const blocks = [...page.matchAll(/```console\n(.*?)```/gs)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((each) => {
        const end = each.indexOf("\n");
        return { command: each.slice(0, end), printed: each.slice(end + 1) };
      }),
  );
}

async function run(command: string): Promise<string> {
  const child = spawn("bash", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
  return text(child.stdout);
}

test("every example of docs/http.md prints what the page says", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "cordwood-http-docs-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  await using server = await startServer({
    directory,
    kafka: { port: 0 },
    http: { port: 0 },
    durability: "os",
    httpOptions: { proglogTopic: "book" },
  });
  const examples = examplesOf(readFileSync("docs/http.md", "utf8"));
  assert.ok(examples.length > 20);
  for (const { command, printed } of examples) {
    const here = command.replaceAll("localhost:8080", `localhost:${server.httpPort}`);
    assert.equal(settled(await run(here)), settled(printed), command);
  }
});
