import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { LogError } from "../errors/index.ts";
import { lineBytesMax, linesOf } from "./lines.ts";

async function* chunked(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}

async function cut(...chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const group of linesOf(chunked(...chunks))) {
    lines.push(...group.map((line) => Buffer.from(line).toString()));
  }
  return lines;
}

test("lines are cut wherever the chunks are", async () => {
  assert.deepEqual(await cut("a\nb", "c\n", "\n", "d"), ["a", "bc", "", "d"]);
  assert.deepEqual(await cut("a\n"), ["a"]);
  assert.deepEqual(await cut("\n"), [""]);
  assert.deepEqual(await cut(), []);
  assert.deepEqual(await cut("a\r\n"), ["a\r"]);
});

test("any cutting of a text into chunks gives the same lines", async () => {
  const anyChunks = fc.array(fc.string({ unit: fc.constantFrom("a", "é", "\n") }));
  await fc.assert(
    fc.asyncProperty(anyChunks, async (chunks) => {
      const whole = chunks.join("");
      const expected = whole.split("\n");
      if (expected.at(-1) === "") expected.pop();
      assert.deepEqual(await cut(...chunks), expected);
    }),
    { numRuns: 100 },
  );
});

test("a line without an end is given up", async () => {
  const half = new Uint8Array(lineBytesMax / 2).fill(97);
  await assert.rejects(
    cut(half, half, "a"),
    (error) => error instanceof LogError && error.code === "record_too_large",
  );
});
