/** Where reading a partition begins. */
import type { Partition } from "../partitions/index.ts";
import { outOfRange, type ReadFrom, timestampOf, wholeOffset } from "../values/index.ts";

/** @throws LogError invalid_argument, offset_out_of_range, data_corrupt. */
export async function startOffset(
  name: string,
  partition: Partition,
  from: ReadFrom,
): Promise<number> {
  const { logStartOffset: start, highWatermark: end } = partition;
  if (from === "start") return start;
  if (from === "end") return end;
  if (typeof from === "object") {
    const found = await partition.offsetForTime(timestampOf(from.time));
    return found?.offset ?? partition.highWatermark;
  }
  if (wholeOffset(from) < 0) return Math.max(start, end + from);
  if (from >= start && from <= end) return from;
  throw outOfRange(`${name}/${partition.index}`, from, { start, end });
}
