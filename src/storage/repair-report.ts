/** What repairs of a store gave up: `repairs/<number>/report.json`. */
import type { Disk } from "../env/index.ts";
import { readText } from "./directory.ts";

/** Offsets of a partition that cannot be read any more. */
export interface LostRange {
  readonly topicId: string;
  readonly partition: number;
  readonly baseOffset: number;
  /** Behind the last one; undefined where nobody can tell. */
  readonly endOffset: number | undefined;
}

const REPORT_FILE = "report.json";

/** Where repairs of the store at `root` keep what they give up. */
export function repairsDirectory(root: string): string {
  return `${root}/repairs`;
}

export async function writeRepairReport(
  disk: Disk,
  keptIn: string,
  report: { readonly range: string; readonly lost: readonly LostRange[] },
): Promise<void> {
  const file = disk.open(`${keptIn}/${REPORT_FILE}`, "create");
  try {
    file.write([new TextEncoder().encode(`${JSON.stringify(report, undefined, 2)}\n`)], 0);
    await file.sync();
  } finally {
    file.close();
  }
}

/**
 * The ranges of segments that repairs of a store gave up: nothing is at these offsets any more. (Those of a WAL
 * are given to other records.) A report that cannot be read gives none.
 */
export function givenUp(disk: Disk, root: string): LostRange[] {
  const repairs = repairsDirectory(root);
  if (!disk.exists(repairs)) return [];
  return disk.list(repairs).flatMap((name) => {
    const path = `${repairs}/${name}/${REPORT_FILE}`;
    return disk.exists(path) ? lostRanges(readText(disk, path)) : [];
  });
}

function lostRanges(text: string): LostRange[] {
  try {
    const report: unknown = JSON.parse(text);
    const isOfSegment =
      typeof report === "object" &&
      report !== null &&
      "range" in report &&
      String(report.range).startsWith("segment:");
    if (!isOfSegment || !("lost" in report) || !Array.isArray(report.lost)) return [];
    return report.lost.filter(isLostRange);
  } catch {
    return [];
  }
}

function isLostRange(value: unknown): value is LostRange {
  return (
    typeof value === "object" &&
    value !== null &&
    "topicId" in value &&
    typeof value.topicId === "string" &&
    "partition" in value &&
    typeof value.partition === "number" &&
    "baseOffset" in value &&
    typeof value.baseOffset === "number" &&
    "endOffset" in value &&
    typeof value.endOffset === "number"
  );
}
