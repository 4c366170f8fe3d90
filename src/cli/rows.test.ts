import assert from "node:assert/strict";
import { test } from "node:test";

import { showsColor } from "./paint.ts";
import { formatRows } from "./rows.ts";

const rows = [
  { topic: "orders", partition: 0, endOffset: 12_000, leader: undefined },
  { topic: "t", partition: 10, endOffset: 3, leader: "b\u001b[1m" },
];

test("a table has its numbers to the right and no control characters", () => {
  assert.equal(
    formatRows(rows, "table"),
    [
      "TOPIC   PARTITION  END OFFSET  LEADER",
      "orders          0       12000",
      "t              10           3  b\\x1b[1m",
      "",
    ].join("\n"),
  );
});

test("programs get a line of JSON each, or one document, or columns between tabs", () => {
  const [first] = formatRows(rows, "ndjson").split("\n");
  assert.equal(first, '{"topic":"orders","partition":0,"endOffset":12000}');
  assert.equal(JSON.parse(formatRows(rows, "json")).length, 2);
  assert.equal(formatRows([], "json"), "[]\n");
  assert.equal(formatRows([], "ndjson"), "");
  assert.equal(formatRows([], "table"), "");
  assert.equal(formatRows([{ a: 1, b: ["x"] }], "raw"), '1\t["x"]\n');
});

test("colors are for terminals that did not refuse them", () => {
  const terminal = { isTTY: true };
  assert.equal(showsColor(terminal, { TERM: "xterm" }), true);
  assert.equal(showsColor(terminal, { TERM: "dumb" }), false);
  assert.equal(showsColor(terminal, { TERM: "xterm", NO_COLOR: "1" }), false);
  assert.equal(showsColor({ isTTY: false }, {}), false);
});
