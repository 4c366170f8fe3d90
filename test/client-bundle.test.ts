// cordwood/client as a browser loads it: what it imports, what it weighs, what it needs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { type Bundle, bundle } from "./client/bundle.ts";

const root = join(import.meta.dirname, "..");
const gzippedBytesMax = 40 * 1024;

let built: Bundle;
before(async () => {
  built = await bundle(join(root, "src/client.ts"));
});

test("nothing of Node is in the module graph of the client", () => {
  const own = built.modules.map((path) => relative(root, path)).toSorted();
  const rooms = new Set(own.map((path) => path.split("/").slice(0, 2).join("/")));
  rooms.delete("src/client.ts");
  const known = ["node_modules/@bufbuild", "src/client", "src/errors", "src/proto", "src/values"];
  assert.deepEqual([...rooms].toSorted(), known);
  // What is imported for its types alone is not in the bundle, and reaches no browser.
  for (const path of own) {
    const source = withoutComments(readFileSync(join(root, path), "utf8"));
    assert.doesNotMatch(source, /from "node:|require\(|\bBuffer\b/, path);
    // The protobuf runtime asks whether there is a process before it looks at it.
    if (path.startsWith("src/")) assert.doesNotMatch(source, /\bprocess\b/, path);
  }
});

test("the client is under 40 KiB gzipped", (context) => {
  const gzipped = gzipSync(built.code, { level: 9 }).length;
  context.diagnostic(
    `cordwood/client: ${kib(gzipped)} KiB gzipped, ${kib(Buffer.byteLength(built.code))} KiB as it stands`,
  );
  assert.ok(gzipped > 1024 && gzipped < gzippedBytesMax, `${gzipped} bytes`);
});

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/gs, "");
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}
