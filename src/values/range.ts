// Where to read from and up to, as text: one grammar for the command line, HTTP and whoever shows records.
//
//   range  := point | [point] ".." [point]
//   point  := "start" | "end" | N | "-" N | "@" time
//   time   := date | milliseconds | "-" duration | "now"
//
// A point alone is where reading begins; it ends at the end. The point behind ".." is not read itself.

import { LogError } from "../errors/index.ts";

export type Point =
  | { readonly kind: "start" }
  | { readonly kind: "end" }
  | { readonly kind: "offset"; readonly offset: number }
  /** So many records before the end, of each partition. */
  | { readonly kind: "last"; readonly count: number }
  /** The first record that is not older. */
  | { readonly kind: "time"; readonly timeMs: number }
  /** The same, counted back from the moment of use. */
  | { readonly kind: "ago"; readonly ms: number };

export interface Range {
  readonly start: Point;
  /** Undefined is wherever the log ends. */
  readonly end: Point | undefined;
}

/** For the help of the commands. */
export const rangeHelp = `
Ranges: start, end, N (an offset), -N (the last N of each partition), N..M (M is not read),
  @2026-11-20T08:00:00Z.. (from a time on, UTC), @-1h.. (from an hour ago on), ..@-5m (until then).`;

/** @throws LogError invalid_argument */
export function parseRange(text: string): Range {
  const split = text.indexOf("..");
  if (split < 0) return { start: parsePoint(text), end: undefined };
  const start = text.slice(0, split);
  const end = text.slice(split + 2);
  if (start === "" && end === "") throw wrong(text, "..");
  return {
    start: start === "" ? { kind: "start" } : parsePoint(start),
    end: end === "" ? undefined : parsePoint(end),
  };
}

/** @throws LogError invalid_argument */
export function parsePoint(text: string): Point {
  if (text === "start" || text === "end") return { kind: text };
  if (text.startsWith("@")) return parseTime(text.slice(1), text);
  if (/^\d+$/.test(text)) return { kind: "offset", offset: safe(text, text) };
  if (/^-\d+$/.test(text)) return { kind: "last", count: safe(text.slice(1), text) };
  throw wrong(text, text);
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds of a duration such as `90s`, `1h30m` or `7d`; undefined where the text is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(ms|s|m|h|d|w))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, count = "", unit = ""] of text.matchAll(/(\d+)(ms|s|m|h|d|w)/g)) {
    ms += Number(count) * (unitMs[unit] ?? 0);
  }
  return Number.isSafeInteger(ms) ? ms : undefined;
}

function parseTime(time: string, text: string): Point {
  if (time === "now") return { kind: "ago", ms: 0 };
  if (time.startsWith("-")) {
    const ms = parseDuration(time.slice(1));
    if (ms === undefined) throw wrong(text, text, "a duration is like 30s, 5m, 1h30m or 7d");
    return { kind: "ago", ms };
  }
  if (/^\d{5,}$/.test(time)) return { kind: "time", timeMs: safe(time, text) };
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(time);
  // Without a zone a time is UTC, as everything is printed here, wherever the reader sits.
  const hasZone = /(Z|[+-]\d\d:\d\d)$/.test(time) || !time.includes("T");
  // oxlint-disable-next-line no-restricted-globals -- parses a text; no clock is read
  const timeMs = isDate ? Date.parse(hasZone ? time : `${time}Z`) : Number.NaN;
  if (Number.isNaN(timeMs)) {
    throw wrong(text, text, "a time is like 2026-11-20T08:00:00Z, 2026-11-20, -1h or now");
  }
  return { kind: "time", timeMs };
}

function safe(digits: string, text: string): number {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw wrong(text, text, "the number is too large");
  return value;
}

function wrong(text: string, part: string, hint?: string): LogError {
  const expected = hint ?? "expected start, end, N, -N, N..M, @TIME.. or ..@TIME";
  const what = part === text ? `"${text}"` : `"${part}" in "${text}"`;
  return new LogError("invalid_argument", `${what} is no range: ${expected}`);
}
