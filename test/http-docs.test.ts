// Every example of docs/http.md, run by a shell with curl against one server, in the order of the page.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { startServer } from "../src/server/index.ts";
import { examplesOfHttp, printedBy } from "./http/examples.ts";

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
  const examples = examplesOfHttp();
  assert.ok(examples.length > 20);
  for (const { command, printed } of examples) {
    assert.equal(await printedBy(command, server.httpPort), printed, command);
  }
});
