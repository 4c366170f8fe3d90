import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../errors/index.ts";
import { parseDuration, parsePoint, parseRange, type Range } from "./range.ts";

const eightMs = Date.UTC(2026, 10, 20, 8);

const readable: readonly (readonly [text: string, range: Range])[] = [
  ["start", { start: { kind: "start" }, end: undefined }],
  ["end", { start: { kind: "end" }, end: undefined }],
  ["0", { start: { kind: "offset", offset: 0 }, end: undefined }],
  ["42", { start: { kind: "offset", offset: 42 }, end: undefined }],
  ["-10", { start: { kind: "last", count: 10 }, end: undefined }],
  ["5..9", { start: { kind: "offset", offset: 5 }, end: { kind: "offset", offset: 9 } }],
  ["5..", { start: { kind: "offset", offset: 5 }, end: undefined }],
  ["..9", { start: { kind: "start" }, end: { kind: "offset", offset: 9 } }],
  ["start..end", { start: { kind: "start" }, end: { kind: "end" } }],
  ["-10..-5", { start: { kind: "last", count: 10 }, end: { kind: "last", count: 5 } }],
  ["@2026-11-20T08:00:00Z", { start: { kind: "time", timeMs: eightMs }, end: undefined }],
  ["@2026-11-20T08:00", { start: { kind: "time", timeMs: eightMs }, end: undefined }],
  ["@2026-11-20T09:00:00.000+01:00", { start: { kind: "time", timeMs: eightMs }, end: undefined }],
  ["@2026-11-20", { start: { kind: "time", timeMs: Date.UTC(2026, 10, 20) }, end: undefined }],
  ["@1795161600000", { start: { kind: "time", timeMs: 1795161600000 }, end: undefined }],
  ["@-1h..", { start: { kind: "ago", ms: 3_600_000 }, end: undefined }],
  ["..@-5m", { start: { kind: "start" }, end: { kind: "ago", ms: 300_000 } }],
  ["@-1h30m..@-90s", { start: { kind: "ago", ms: 5_400_000 }, end: { kind: "ago", ms: 90_000 } }],
  ["@now", { start: { kind: "ago", ms: 0 }, end: undefined }],
];

test("every form of a range is read", () => {
  for (const [text, range] of readable) assert.deepEqual(parseRange(text), range, text);
});

test("what is no range is refused, and named", () => {
  const unreadable = ["", "..", "x", "1...2", "1..x", "--1", "1.5", "@", "@-", "@-5", "@-5y"];
  const more = ["@2026-13-01", "@2026-11-20 08:00", "@yesterday", "99999999999999999999", "@12"];
  for (const text of [...unreadable, ...more]) {
    assert.throws(
      () => parseRange(text),
      (error) => error instanceof LogError && error.code === "invalid_argument",
      text,
    );
  }
});

test("a point alone takes no dots", () => {
  assert.deepEqual(parsePoint("end"), { kind: "end" });
  assert.throws(() => parsePoint("1..2"), LogError);
});

test("durations add up", () => {
  assert.equal(parseDuration("1d2h3m4s5ms"), 93_784_005);
  assert.equal(parseDuration("2w"), 1_209_600_000);
  for (const text of ["", "5", "h", "1h ", "-1h", "1y"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});
