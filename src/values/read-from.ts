/** Where reading begins. */
import { LogError } from "../errors/index.ts";

/** The first record that is kept, behind the last one, an offset, `-n` for the n-th last record, or the first record of a time or later. */
export type ReadFrom = "start" | "end" | number | { readonly time: string | number | Date };

/** @throws LogError invalid_argument where an offset, or a count from the end, is no whole number. */
export function wholeOffset(from: number): number {
  if (Number.isSafeInteger(from)) return from;
  throw new LogError("invalid_argument", `an offset is a whole number, not ${String(from)}`);
}

export function outOfRange(
  name: string,
  offset: number,
  range: { readonly start: number; readonly end: number },
): LogError {
  return new LogError(
    "offset_out_of_range",
    `${name} has no offset ${offset}: it begins at ${range.start} and ends before ${range.end}`,
  );
}

/** @throws LogError invalid_argument. */
export function timestampOf(time: string | number | Date): number {
  // oxlint-disable-next-line no-restricted-globals -- parses a text; no clock is read
  const timestamp = typeof time === "string" ? Date.parse(time) : Number(time);
  if (Number.isFinite(timestamp)) return timestamp;
  throw new LogError(
    "invalid_argument",
    `${JSON.stringify(time)} is no time: expected one like 2026-11-20T08:00:00Z, or milliseconds since 1970`,
  );
}
