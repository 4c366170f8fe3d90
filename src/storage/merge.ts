/**
 * Merges small segments, so that a partition with a trickle does not end as a thousand runs.
 *
 * Segments are taken by size class, eight at a time, so a byte is rewritten once a class: a store
 * rewrites it two or three times in its life. A segment that is half full or more is left alone, and
 * only those of one span of time are merged: what is old must be able to go without what is new. Of a
 * span that is over two are enough, so that one or two of a size are all that stays of it.
 */
import { invariant } from "../errors/index.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { RunSource, SegmentBatches } from "./segment-build.ts";
import type { SegmentTable } from "./segment-table.ts";
import { type Run, type SegmentLimits, timeSpanOf } from "./segment.ts";

/** Segments of one size class that are merged together. */
const MERGE_COUNT = 8;
/** The same of a span of time that is over: what is left of it is not waited for. */
const PAST_MERGE_COUNT = 2;
const SMALLEST_CLASS_BYTES = 1 << 20;
const READ_BYTES = 1 << 20;

interface Mergeable {
  readonly segmentNumber: number;
  bytes: number;
  /** Offsets, of which compaction may have left fewer records. */
  offsets: number;
  maxTimestamp: number;
}

/** The numbers of segments to merge now; empty where it does not pay yet. */
export function segmentsToMerge(runs: Iterable<Run>, limits: SegmentLimits): Set<number> {
  const classes = new Map<string, { readonly span: number; readonly members: Set<number> }>();
  let newestSpan = -Infinity;
  for (const segment of segmentsOf(runs)) {
    const span = timeSpanOf(segment, limits.ms);
    newestSpan = Math.max(newestSpan, span);
    const { segmentNumber, bytes, offsets } = segment;
    if (bytes >= limits.bytes / 2 || offsets >= limits.records / 2) continue;
    const size = Math.max(1, bytes / SMALLEST_CLASS_BYTES);
    const sizeClass = Math.floor(Math.log2(size) / Math.log2(MERGE_COUNT));
    const key = `${span}/${sizeClass}`;
    const known = classes.get(key) ?? { span, members: new Set() };
    known.members.add(segmentNumber);
    classes.set(key, known);
  }
  for (const { span, members } of classes.values()) {
    if (members.size >= (span < newestSpan ? PAST_MERGE_COUNT : MERGE_COUNT)) return members;
  }
  return new Set();
}

function segmentsOf(runs: Iterable<Run>): Iterable<Mergeable> {
  const segments = new Map<number, Mergeable>();
  for (const { segmentNumber, sizeBytes, baseOffset, endOffset, maxTimestamp } of runs) {
    const segment = segments.get(segmentNumber) ?? {
      segmentNumber,
      bytes: 0,
      offsets: 0,
      maxTimestamp,
    };
    segment.bytes += sizeBytes;
    segment.offsets += endOffset - baseOffset;
    segment.maxTimestamp = Math.max(segment.maxTimestamp, maxTimestamp);
    segments.set(segmentNumber, segment);
  }
  return segments.values();
}

/** Consecutive runs of one log, to be written again as one. */
export class MergeSource implements RunSource {
  readonly topicId: string;
  readonly partition: number;
  readonly log: PartitionLog;
  readonly replaced: readonly Run[];
  readonly runs: Run[] = [];
  readonly #segments: SegmentTable;
  readonly #readBytes: number;
  #run = 0;
  #offset: number;

  // oxlint-disable-next-line max-params -- what is read, and how much at a time
  constructor(
    log: PartitionLog,
    replaced: readonly Run[],
    segments: SegmentTable,
    readBytes = READ_BYTES,
  ) {
    this.topicId = log.topicId;
    this.partition = log.partition;
    this.log = log;
    this.replaced = replaced;
    this.#segments = segments;
    this.#readBytes = readBytes;
    this.#offset = replaced[0]?.baseOffset ?? 0;
  }

  get sizeBytes(): number {
    return this.replaced.reduce((sum, run) => sum + run.sizeBytes, 0);
  }

  async next(): Promise<SegmentBatches | undefined> {
    const run = this.replaced[this.#run];
    if (run === undefined || this.log.isDropped) return undefined;
    const limits = {
      bytesMax: this.#readBytes,
      endOffset: run.endOffset,
      atLeastOneBatch: true,
    };
    const fetched = await this.#segments.read(run, this.#offset, limits);
    invariant(fetched !== undefined, "a run holds batches up to its end");
    this.#offset = fetched.nextOffset;
    if (this.#offset === run.endOffset) {
      this.#run++;
      this.#offset = this.replaced[this.#run]?.baseOffset ?? run.endOffset;
    }
    return fetched;
  }

  made(run: Run): void {
    this.runs.push(run);
  }
}

/** The runs of a log that lie in `segments`, as sources of neighbours. Across a gap, which a repair leaves, nothing is merged. */
export function mergeSources(
  log: PartitionLog,
  chosen: ReadonlySet<number>,
  segments: SegmentTable,
): MergeSource[] {
  const groups: Run[][] = [];
  let openEnd = -1;
  for (const run of log.runs) {
    const isChosen = chosen.has(run.segmentNumber);
    if (isChosen && run.baseOffset === openEnd) groups.at(-1)?.push(run);
    else if (isChosen) groups.push([run]);
    openEnd = isChosen ? run.endOffset : -1;
  }
  return groups.map((replaced) => new MergeSource(log, replaced, segments));
}
