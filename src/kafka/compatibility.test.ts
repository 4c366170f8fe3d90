import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { compatibilityPage } from "./compatibility.ts";

test("the page on Kafka compatibility is what the registry prints", () => {
  const page = new URL("../../docs/kafka-compatibility.md", import.meta.url);
  if (process.env["UPDATE"] === "1") writeFileSync(page, compatibilityPage());
  assert.equal(readFileSync(page, "utf8"), compatibilityPage());
});
