// What no compiler checks: imports only go down, every folder is known, docs tell the truth.
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

import { outcomes } from "../src/errors/index.ts";

const layers = [
  ["errors"],
  ["env", "bytes", "metrics", "proto", "values"],
  ["records"],
  ["storage", "objects"],
  ["metadata"],
  ["partitions"],
  ["coordination", "security", "cluster"],
  ["broker"],
  ["library", "kafka", "http", "client"],
  ["server", "cli"],
];
const rankOf = new Map(layers.flatMap((names, rank) => names.map((name) => [name, rank] as const)));
const importOf = /^(?:import|export)\b[^;]*?from "(?:\.\.\/)+([\w-]+)\/([\w./-]+)";/gm;

/** `server` wires the parts for production, so `cli` may start it; nothing else of one rank meets. */
const allowed = new Set(["cli -> server/index.ts"]);

test("imports only go down, and only through a folder's index", () => {
  const paths = globSync("src/*/**/*.ts");
  assert.ok(paths.length > 0, "a check that saw no file has checked nothing");
  const crossed: string[] = [];
  for (const path of paths) {
    const folder = path.split("/")[1] ?? "";
    for (const [, target = "", file] of readFileSync(path, "utf8").matchAll(importOf)) {
      if (target === folder || !rankOf.has(target)) continue;
      const isDown = (rankOf.get(target) ?? Infinity) < (rankOf.get(folder) ?? -1);
      const isNodeSide = target === "env" && file === "node/index.ts" && isOutermost(folder, path);
      if (isNodeSide || allowed.has(`${folder} -> ${target}/${file}`)) continue;
      if (!isDown || file !== "index.ts") crossed.push(`${path} -> ${target}/${file}`);
    }
  }
  assert.deepEqual(crossed, []);
});

function isOutermost(folder: string, path: string): boolean {
  return folder === "server" || folder === "cli" || path.endsWith(".test.ts");
}

test("every folder of src is in the table and has an index with a head comment", () => {
  const folders = readdirSync("src", { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  assert.ok(folders.length > 0);
  for (const { name } of folders) {
    assert.ok(rankOf.has(name), `src/${name} is in no layer`);
    const index = `src/${name}/index.ts`;
    assert.ok(existsSync(index), `${index} is missing`);
    assert.match(readFileSync(index, "utf8"), /^\/\*\*/, `${index} has no head comment`);
  }
});

test("no file is named for what it is not", () => {
  const nameless = globSync("{src,test,sim,bench}/**/{utils,common,helpers,types,misc}{.ts,/**}");
  assert.deepEqual(nameless, []);
});

test("terms have one spelling", () => {
  const wrong = /\b(hwm|HWM|highWaterMark|highwatermark|lso|logEnd|numPartitions|partitionId)\b/;
  const found = globSync("src/**/*.ts")
    // The wire's own field names live in the message schemas; node's stream option is node's.
    .filter((path) => !path.startsWith("src/kafka/messages/") && !path.startsWith("src/env/node/"))
    .filter((path) => !path.endsWith(".test.ts"))
    .flatMap((path) =>
      readFileSync(path, "utf8")
        .split("\n")
        .flatMap((line, index) => {
          const match = /^export\b/.test(line) ? wrong.exec(line) : null;
          return match ? [`${path}:${index + 1} ${match[0]}`] : [];
        }),
    );
  assert.deepEqual(found, []);
});

test("every relative link in the documents leads somewhere", () => {
  const documents = globSync("{*.md,docs/**/*.md}");
  const broken: string[] = [];
  for (const path of documents) {
    for (const [, target = ""] of readFileSync(path, "utf8").matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      if (!existsSync(normalize(join(dirname(path), target)))) broken.push(`${path} -> ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test("every source path named in the documents exists", () => {
  const broken: string[] = [];
  for (const path of globSync("{*.md,docs/**/*.md}")) {
    const named = readFileSync(path, "utf8").matchAll(
      /`((?:src|test|sim|bench|docs)\/[\w./-]+\.\w+)`/g,
    );
    for (const [, target = ""] of named) if (!existsSync(target)) broken.push(`${path}: ${target}`);
  }
  assert.deepEqual(broken, []);
});

test("every error code is met by the sources", () => {
  const sources = globSync("src/**/*.ts")
    .filter((path) => path !== "src/errors/index.ts")
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const unused = Object.keys(outcomes).filter((code) => !sources.includes(`"${code}"`));
  assert.deepEqual(unused, []);
});
