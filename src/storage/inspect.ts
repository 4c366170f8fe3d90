/** Looks into a store's directory without changing it: what is there, and whether it is whole. */
import type { Disk, DiskFile } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { BatchHeader, checkStoredBatch } from "../records/index.ts";
import {
  type Checkpoint,
  checkpointNumberOf,
  loadCheckpoint,
  type PartitionCheckpoint,
} from "./checkpoint.ts";
import { lockForLook, readIdentity, type StoreIdentity, storePaths } from "./directory.ts";
import { ENTRY_BATCH } from "./frame.ts";
import { givenUp, type LostRange } from "./repair-report.ts";
import {
  batchSum,
  indexEntry,
  readSegmentFooter,
  type Run,
  segmentFileName,
  segmentNumberOf,
  type SegmentFooter,
} from "./segment.ts";
import { addressFile, addressPosition, walFileName, walFileNumber } from "./wal-file.ts";
import { type EntryVisitor, scanWal } from "./wal-recovery.ts";

const READ_BYTES = 1 << 20;

/** One file of a store. */
export interface StoreFileRow {
  readonly kind: "identity" | "checkpoint" | "wal" | "segment" | "unknown";
  /** Relative to the directory. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Of a segment: how many partitions' runs it holds. */
  readonly runCount?: number;
}

/** One partition of a store, as of its last checkpoint and the WAL after it. */
export interface StorePartitionRow {
  readonly topicId: string;
  readonly partition: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly runCount: number;
  readonly segmentBytes: number;
  readonly walBatches: number;
  readonly walBytes: number;
}

export interface StoreListing {
  readonly storeId: string;
  readonly createdMs: number;
  readonly checkpointNumber: number | undefined;
  readonly files: readonly StoreFileRow[];
  readonly partitions: readonly StorePartitionRow[];
}

/** One batch, where it lies. */
export interface BatchRow {
  readonly path: string;
  readonly position: number;
  readonly topicId: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly recordCount: number;
  readonly sizeBytes: number;
  readonly crc: number;
  readonly maxTimestamp: number;
  readonly leaderEpoch: number;
  readonly producerId: number;
  readonly codec: string;
}

/** What a verification looked at, and what it found wrong. */
export interface VerifyReport {
  readonly filesChecked: number;
  readonly bytesChecked: number;
  readonly framesChecked: number;
  readonly batchesChecked: number;
  readonly partitionsChecked: number;
  /** Additive over all batches, as eight hexadecimal digits: equal for two directories that hold the same records. */
  readonly dataSum: string;
  /** Another process, or this one, has the directory open: what it writes meanwhile is not looked at. */
  readonly isInUse: boolean;
  /** The file behind whose last whole frame something else follows: the next start cuts it, and it was never reported durable. No problem, and usual after a crash. */
  readonly tornTail?: string;
  /** Each names a file, and a position where there is one. */
  readonly problems: readonly string[];
}

/**
 * What a store holds. Reads headers and footers only.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt`.
 */
export function listStore(disk: Disk, directory: string): StoreListing {
  const view = new StoreView(disk, directory);
  const { identity, checkpoint } = view;
  return {
    storeId: identity.storeId,
    createdMs: identity.createdMs,
    checkpointNumber: checkpoint?.checkpointNumber,
    files: view.files(),
    partitions: view.partitions(),
  };
}

/**
 * Every batch of a store, segments first, then the WAL after the last checkpoint; undamaged ones only.
 * `problem` is told of what could not be read.
 */
export function* dumpStore(
  disk: Disk,
  directory: string,
  problem: (what: string) => void,
): Generator<BatchRow> {
  const view = new StoreView(disk, directory);
  for (const run of view.runs()) yield* view.runBatches(run, problem);
  yield* view.walBatches(problem);
}

/** A store that is written to may be caught between two steps; whatever is damaged still is a look later. */
const LOOKS_MAX = 5;

/**
 * Checks every CRC, every chain, every index and every sum of a store. Where nobody has it open, nobody can open it
 * meanwhile. `progress` is told the bytes that were looked at so far.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt` where nothing can be checked at all.
 */
export function verifyStore(
  disk: Disk,
  directory: string,
  progress: (bytesChecked: number) => void,
): VerifyReport {
  const lock = lockForLook(disk, directory);
  try {
    for (let look = 1; ; look++) {
      const report = new Verification(new StoreView(disk, directory), progress).run();
      const isInUse = lock === "in use";
      if (!isInUse || report.problems.length === 0 || look === LOOKS_MAX)
        return { ...report, isInUse };
    }
  } finally {
    if (lock !== "in use") lock?.release();
  }
}

class StoreView {
  readonly disk: Disk;
  readonly directory: string;
  readonly identity: StoreIdentity;
  readonly checkpoint: Checkpoint | undefined;
  readonly #header = new BatchHeader();
  readonly #givenUp: readonly LostRange[];

  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.directory = directory;
    this.identity = readIdentity(disk, directory);
    this.checkpoint = loadCheckpoint(disk, storePaths(directory).checkpoints);
    this.#givenUp = givenUp(disk, directory);
  }

  /** Whether repairs gave up all of these offsets. */
  isGivenUp({ topicId, partition, baseOffset, endOffset }: Required<LostRange>): boolean {
    const ranges = this.#givenUp
      .filter((one) => one.topicId === topicId && one.partition === partition)
      .toSorted((one, other) => one.baseOffset - other.baseOffset);
    let next = baseOffset;
    for (const one of ranges) {
      if (one.baseOffset <= next) next = Math.max(next, one.endOffset ?? next);
    }
    return endOffset !== undefined && next >= endOffset;
  }

  files(): StoreFileRow[] {
    const paths = storePaths("");
    const rows: StoreFileRow[] = [this.#row("identity", "cordwood.json")];
    for (const [folder, kindOf] of [
      [paths.checkpoints, (name: string) => checkpointNumberOf(name) !== undefined && "checkpoint"],
      [paths.wal, (name: string) => walFileNumber(name) !== undefined && "wal"],
      [paths.segments, (name: string) => segmentNumberOf(name) !== undefined && "segment"],
    ] as const) {
      for (const name of this.disk.list(this.directory + folder)) {
        rows.push(this.#row(kindOf(name) || "unknown", `${folder.slice(1)}/${name}`));
      }
    }
    const runCounts = new Map<string, number>();
    for (const { segmentNumber } of this.runs()) {
      const path = `segments/${segmentFileName(segmentNumber)}`;
      runCounts.set(path, (runCounts.get(path) ?? 0) + 1);
    }
    return rows.map((row) => {
      const runCount = runCounts.get(row.path);
      return runCount === undefined ? row : { ...row, runCount };
    });
  }

  #row(kind: StoreFileRow["kind"], path: string): StoreFileRow {
    const file = this.disk.open(`${this.directory}/${path}`, "read");
    try {
      return { kind, path, sizeBytes: file.size() };
    } finally {
      file.close();
    }
  }

  partitions(): StorePartitionRow[] {
    const rows = new Map<
      string,
      { -readonly [K in keyof StorePartitionRow]: StorePartitionRow[K] }
    >();
    for (const { topicId, partition, startOffset, endOffset, runs } of this.checkpoint
      ?.partitions ?? []) {
      rows.set(`${topicId}/${partition}`, {
        topicId,
        partition,
        startOffset,
        endOffset,
        runCount: runs.length,
        segmentBytes: runs.reduce((sum, run) => sum + run.sizeBytes, 0),
        walBatches: 0,
        walBytes: 0,
      });
    }
    this.scan((entry) => {
      const { topicId, partition } = entry;
      const key = `${topicId}/${partition}`;
      const row = rows.get(key) ?? {
        topicId,
        partition,
        startOffset: 0,
        endOffset: 0,
        runCount: 0,
        segmentBytes: 0,
        walBatches: 0,
        walBytes: 0,
      };
      rows.set(key, row);
      if (entry.kind === ENTRY_BATCH) {
        row.endOffset = entry.lastOffset + 1;
        row.walBatches++;
        row.walBytes += entry.sizeBytes;
      } else {
        row.startOffset = Math.max(row.startOffset, entry.baseOffset);
      }
    });
    return [...rows.values()];
  }

  /** Goes through the frames after the checkpoint; what a start would cut is left out. */
  scan(visit: EntryVisitor): { readonly frameCount: number; readonly cut: string | undefined } {
    const identity = {
      directory: storePaths(this.directory).wal,
      storeId: this.identity.storeId,
      frameMagic: this.identity.frameMagic,
    };
    return scanWal(this.disk, identity, this.checkpoint?.wal, visit);
  }

  *runs(): Generator<Run> {
    for (const { runs } of this.checkpoint?.partitions ?? []) yield* runs;
  }

  segmentPath(segmentNumber: number): string {
    return `${storePaths(this.directory).segments}/${segmentFileName(segmentNumber)}`;
  }

  walPath(fileNumber: number): string {
    return `${storePaths(this.directory).wal}/${walFileName(fileNumber)}`;
  }

  *runBatches(run: Run, problem: (what: string) => void): Generator<BatchRow> {
    const path = this.segmentPath(run.segmentNumber);
    let file: DiskFile;
    try {
      file = this.disk.open(path, "read");
    } catch (error) {
      problem(`${path}: ${LogError.from(error).message}`);
      return;
    }
    try {
      let bytes = new Uint8Array(Math.min(READ_BYTES, run.sizeBytes));
      let at = 0;
      while (at < run.sizeBytes) {
        const count = file.read(bytes.subarray(0, run.sizeBytes - at), run.position + at);
        const used = yield* this.#rows(
          { run, path, filePosition: run.position + at },
          bytes,
          count,
        );
        if (used === 0 && count === bytes.length) {
          bytes = new Uint8Array(bytes.length * 2);
        } else if (used === 0) {
          problem(`${path}: the batch at position ${run.position + at} is damaged`);
          return;
        }
        at += used;
      }
    } finally {
      file.close();
    }
  }

  /** Yields the whole batches at the start of `bytes`, and returns how many bytes they took. */
  *#rows(
    place: { readonly run: Run; readonly path: string; readonly filePosition: number },
    bytes: Uint8Array,
    count: number,
  ): Generator<BatchRow, number> {
    let at = 0;
    while (at < count) {
      const fault = checkStoredBatch(bytes, at, count, this.#header);
      if (fault !== undefined) return at;
      const { topicId, partition } = place.run;
      yield this.#toRow({
        path: place.path,
        position: place.filePosition + at,
        topicId,
        partition,
      });
      at += this.#header.sizeBytes;
    }
    return at;
  }

  #toRow(place: Pick<BatchRow, "path" | "position" | "topicId" | "partition">): BatchRow {
    const header = this.#header;
    return {
      ...place,
      baseOffset: header.baseOffset,
      lastOffset: header.lastOffset,
      recordCount: header.recordCount,
      sizeBytes: header.sizeBytes,
      crc: header.crc,
      maxTimestamp: header.maxTimestamp,
      leaderEpoch: header.leaderEpoch,
      producerId: header.producerId,
      codec: header.codec,
    };
  }

  *walBatches(problem: (what: string) => void): Generator<BatchRow> {
    const places: {
      path: string;
      position: number;
      topicId: string;
      partition: number;
      size: number;
    }[] = [];
    this.scan((entry, address) => {
      if (entry.kind !== ENTRY_BATCH) return;
      places.push({
        path: this.walPath(addressFile(address)),
        position: addressPosition(address) + entry.position,
        topicId: entry.topicId,
        partition: entry.partition,
        size: entry.sizeBytes,
      });
    });
    let file: DiskFile | undefined;
    try {
      for (const { size, ...place } of places) {
        if (file?.path !== place.path) {
          file?.close();
          file = this.disk.open(place.path, "read");
        }
        const bytes = new Uint8Array(size);
        const count = file.read(bytes, place.position);
        const fault = checkStoredBatch(bytes, 0, count, this.#header);
        if (fault === undefined) yield this.#toRow(place);
        else problem(`${place.path}: the batch at position ${place.position}: ${fault.reason}`);
      }
    } finally {
      file?.close();
    }
  }
}

class Verification {
  readonly #view: StoreView;
  readonly #progress: (bytesChecked: number) => void;
  readonly #problems: string[] = [];
  readonly #note = (what: string): void => {
    this.#problems.push(what);
  };
  #filesChecked = 0;
  #bytesChecked = 0;
  #batchesChecked = 0;
  #dataSum = 0;
  readonly #partitions = new Set<string>();
  /** Where the next batch of each partition begins in the WAL. */
  readonly #nextOffsets = new Map<string, number>();

  constructor(view: StoreView, progress: (bytesChecked: number) => void) {
    this.#view = view;
    this.#progress = progress;
  }

  run(): Omit<VerifyReport, "isInUse"> {
    // The identity and the checkpoint were checked when the view was made.
    this.#filesChecked += this.#view.checkpoint === undefined ? 1 : 2;
    const footers = this.#footers();
    for (const partition of this.#view.checkpoint?.partitions ?? []) {
      for (const run of partition.runs) {
        const footer = footers.get(run.segmentNumber);
        if (footer !== undefined) this.#checkRun(run, footer);
      }
      this.#checkChain(partition);
    }
    const wal = this.#checkWal();
    return {
      filesChecked: this.#filesChecked,
      bytesChecked: this.#bytesChecked,
      framesChecked: wal?.frameCount ?? 0,
      batchesChecked: this.#batchesChecked,
      partitionsChecked: this.#partitions.size,
      dataSum: this.#dataSum.toString(16).padStart(8, "0"),
      ...(wal?.cut === undefined ? {} : { tornTail: wal.cut }),
      problems: this.#problems,
    };
  }

  /** The runs of a partition must cover all offsets from its start to where its WAL begins, but for what repairs gave up. */
  #checkChain({ topicId, partition, startOffset, endOffset, runs }: PartitionCheckpoint): void {
    const name = `${topicId}/${partition}`;
    let next = startOffset;
    const coversUpTo = (offset: number, place: string): void => {
      const gap = { topicId, partition, baseOffset: next, endOffset: offset };
      if (offset <= next || this.#view.isGivenUp(gap)) return;
      this.#note(`${place}: offsets ${next} to ${offset - 1} of ${name} are missing before it`);
    };
    let endOfRuns = 0;
    for (const run of runs) {
      const path = this.#view.segmentPath(run.segmentNumber);
      if (run.baseOffset < endOfRuns) {
        this.#note(`${path}: the run of ${name} at ${run.baseOffset} overlaps the one before it`);
      }
      coversUpTo(run.baseOffset, path);
      endOfRuns = run.endOffset;
      next = Math.max(next, endOfRuns);
    }
    coversUpTo(endOffset, "checkpoint");
    if (endOfRuns > endOffset) this.#note(`checkpoint: ${name} ends before its runs do`);
    this.#nextOffsets.set(name, endOffset);
  }

  #footers(): Map<number, SegmentFooter> {
    const footers = new Map<number, SegmentFooter>();
    const { storeId } = this.#view.identity;
    for (const segmentNumber of new Set(
      Array.from(this.#view.runs(), (run) => run.segmentNumber),
    )) {
      let file: DiskFile | undefined;
      try {
        file = this.#view.disk.open(this.#view.segmentPath(segmentNumber), "read");
        footers.set(segmentNumber, readSegmentFooter(file, { storeId, segmentNumber }));
        this.#filesChecked++;
      } catch (error) {
        this.#note(`${this.#view.segmentPath(segmentNumber)}: ${LogError.from(error).message}`);
      } finally {
        file?.close();
      }
    }
    return footers;
  }

  /** A run must be as the checkpoint, the segment's footer, its index and its own batches say. */
  #checkRun(run: Run, footer: SegmentFooter): void {
    const path = this.#view.segmentPath(run.segmentNumber);
    const own = footer.runs.find(
      (one) =>
        one.topicId === run.topicId &&
        one.partition === run.partition &&
        one.position === run.position,
    );
    if (own === undefined || own.sum !== run.sum || own.batchCount !== run.batchCount) {
      this.#note(
        `${path}: its footer and the checkpoint differ about ${run.topicId}/${run.partition}`,
      );
      return;
    }
    const seen = { sum: 0, count: 0, next: run.baseOffset, indexed: 0 };
    for (const batch of this.#view.runBatches(run, this.#note)) {
      if (batch.baseOffset !== seen.next || batch.leaderEpoch !== run.leaderEpoch) {
        this.#note(
          `${path}: the batch at position ${batch.position} is not the next one of its run`,
        );
      }
      const position = batch.position - run.position;
      const entry =
        seen.indexed < run.indexCount ? indexEntry(footer, run, seen.indexed) : undefined;
      if (entry?.position === position) {
        seen.indexed++;
        if (entry.baseOffset !== batch.baseOffset) {
          this.#note(`${path}: index entry ${seen.indexed - 1} names a wrong offset`);
        }
      }
      seen.sum = (seen.sum + batchSum(batch)) >>> 0;
      seen.next = batch.lastOffset + 1;
      seen.count++;
      this.#countBatch(batch);
    }
    if (seen.count !== run.batchCount) {
      this.#note(`${path}: ${seen.count} batches where ${run.batchCount} were written`);
    }
    if (seen.indexed !== run.indexCount) {
      this.#note(`${path}: its index does not match its batches`);
    }
    if (seen.sum !== run.sum) this.#note(`${path}: its data sum does not balance`);
  }

  #checkWal(): ReturnType<StoreView["scan"]> | undefined {
    const files = new Set<string>();
    try {
      const scanned = this.#view.scan(() => undefined);
      for (const batch of this.#view.walBatches(this.#note)) {
        files.add(batch.path);
        const name = `${batch.topicId}/${batch.partition}`;
        const next = this.#nextOffsets.get(name) ?? 0;
        if (batch.baseOffset !== next) {
          this.#note(
            `${batch.path}: the batch at position ${batch.position} begins at offset ${batch.baseOffset} of ${name}, not at ${next}`,
          );
        }
        this.#nextOffsets.set(name, batch.lastOffset + 1);
        this.#countBatch(batch);
      }
      this.#filesChecked += files.size;
      return scanned;
    } catch (error) {
      this.#note(LogError.from(error).message);
      return undefined;
    }
  }

  #countBatch(batch: BatchRow): void {
    const { topicId, partition, sizeBytes } = batch;
    this.#dataSum = (this.#dataSum + batchSum(batch)) >>> 0;
    this.#partitions.add(`${topicId}/${partition}`);
    this.#batchesChecked++;
    this.#bytesChecked += sizeBytes;
    this.#progress(this.#bytesChecked);
  }
}
