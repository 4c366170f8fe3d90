/** What a range means in one partition. */
import { startOffset } from "../broker/index.ts";
import type { Partition } from "../partitions/index.ts";
import { parseRange, type Point, type Range, type ReadFrom } from "../values/index.ts";
import { invalid } from "./problem.ts";

export interface OffsetsOfRange {
  readonly start: number;
  /** Undefined is wherever the log ends; may lie beyond that. */
  readonly end: number | undefined;
}

/** @throws RequestFault invalid_argument */
export function rangeOf(text: string): Range {
  // A plus in a query is a space to those who decode it.
  return parseRange(text.replaceAll(" ", "+"));
}

/** @throws LogError offset_out_of_range, invalid_argument where the range ends before it begins. */
export async function offsetsOf(
  name: string,
  partition: Partition,
  range: Range,
  nowMs: number,
): Promise<OffsetsOfRange> {
  const start = await startOffset(name, partition, fromOf(range.start, nowMs));
  if (range.end === undefined) return { start, end: undefined };
  const end = await endOf(partition, range.end, nowMs);
  if (end < start && range.end.kind === "offset") {
    throw invalid("range", `the range ends at ${end}, before it begins at ${start}`);
  }
  return { start, end: Math.max(start, end) };
}

/** The offset of a point that must be within the partition. @throws LogError offset_out_of_range */
// oxlint-disable-next-line max-params -- a point, in what, and seen from when
export function offsetAt(
  name: string,
  partition: Partition,
  point: Point,
  nowMs: number,
): Promise<number> {
  return startOffset(name, partition, fromOf(point, nowMs));
}

async function endOf(partition: Partition, point: Point, nowMs: number): Promise<number> {
  // An end may be still to come.
  if (point.kind === "offset") return point.offset;
  return startOffset("", partition, fromOf(point, nowMs));
}

function fromOf(point: Point, nowMs: number): ReadFrom {
  if (point.kind === "start" || point.kind === "end") return point.kind;
  if (point.kind === "offset") return point.offset;
  if (point.kind === "last") return point.count === 0 ? "end" : -point.count;
  return { time: Math.max(point.kind === "time" ? point.timeMs : nowMs - point.ms, 0) };
}
