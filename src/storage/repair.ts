/**
 * Makes a damaged store open again, by giving up what is damaged, and only that.
 *
 * Nothing is done without the name of the range that is given up, which {@link findDamage} tells
 * together with what is lost. The damaged bytes, and a report, are kept in `repairs/` of the store.
 */
import type { Disk, DiskFile, Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { BATCH_HEADER_BYTES, BatchHeader, checkStoredBatch } from "../records/index.ts";
import {
  type Checkpoint,
  checkpointFileName,
  loadCheckpoint,
  saveCheckpoint,
} from "./checkpoint.ts";
import { holdDirectory, readIdentity, type StorePaths, storePaths } from "./directory.ts";
import { ENTRY_BATCH } from "./frame.ts";
import { type LostRange, repairsDirectory, writeRepairReport } from "./repair-report.ts";
import {
  indexEntry,
  readSegmentFooter,
  type Run,
  segmentFileName,
  type SegmentFooter,
  SegmentWriter,
} from "./segment.ts";
import { addressFile, addressPosition, walFileName, walFileNumber } from "./wal-file.ts";
import { findWalDamage } from "./wal-recovery.ts";

export interface Damage {
  /** What must be named to give it up: `wal:<frame>` or `segment:<number>`. */
  readonly range: string;
  readonly path: string;
  readonly what: string;
  readonly lost: readonly LostRange[];
}

export interface RepairReport extends Damage {
  /** Where the damaged bytes and the report are. */
  readonly keptIn: string;
}

/**
 * What is damaged; empty where all is well. Changes nothing.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt` where the identity or the checkpoint is damaged: nothing but a backup helps there.
 */
export function findDamage(disk: Disk, directory: string): Damage[] {
  return new Examination(disk, directory).run().map(({ damage }) => damage);
}

/**
 * Gives up one damaged range. The store must not be in use.
 * @param accepted the `range` of a {@link Damage} that {@link findDamage} found.
 * @throws LogError `invalid_argument` where there is no such damage; `directory_in_use`, and as {@link findDamage}.
 */
export async function repairStore(
  env: Env,
  directory: string,
  accepted: string,
): Promise<RepairReport> {
  readIdentity(env.disk, directory);
  const { lock, paths } = await holdDirectory(env, directory);
  try {
    const found = new Examination(env.disk, directory).run();
    const wanted = found.find(({ damage }) => damage.range === accepted);
    if (wanted === undefined) {
      const known = found.map(({ damage }) => damage.range).join(", ");
      throw new LogError(
        "invalid_argument",
        `${directory} has no damage "${accepted}". ${known === "" ? "Nothing is damaged." : `There is: ${known}.`}`,
      );
    }
    const keptIn = keepDirectory(env.disk, paths);
    const report = { ...wanted.damage, keptIn };
    await writeRepairReport(env.disk, keptIn, report);
    await wanted.giveUp(keptIn);
    return report;
  } finally {
    lock.release();
  }
}

interface Found {
  readonly damage: Damage;
  /** Copies what is damaged to a directory, then removes it from the store. */
  giveUp(keptIn: string): Promise<void>;
}

class Examination {
  readonly #disk: Disk;
  readonly #paths: StorePaths;
  readonly #storeId: string;
  readonly #frameMagic: Uint8Array;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #header = new BatchHeader();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#paths = storePaths(directory);
    const { storeId, frameMagic } = readIdentity(disk, directory);
    this.#storeId = storeId;
    this.#frameMagic = frameMagic;
    this.#checkpoint = loadCheckpoint(disk, this.#paths.checkpoints);
  }

  run(): Found[] {
    const found: Found[] = [];
    const bySegment = new Map<number, Run[]>();
    for (const { runs } of this.#checkpoint?.partitions ?? []) {
      for (const run of runs) {
        bySegment.set(run.segmentNumber, [...(bySegment.get(run.segmentNumber) ?? []), run]);
      }
    }
    for (const [segmentNumber, runs] of bySegment) {
      const damaged = this.#segment(segmentNumber, runs);
      if (damaged !== undefined) found.push(damaged);
    }
    const wal = this.#wal();
    if (wal !== undefined) found.push(wal);
    return found;
  }

  #segment(segmentNumber: number, runs: readonly Run[]): Found | undefined {
    const path = `${this.#paths.segments}/${segmentFileName(segmentNumber)}`;
    const file = openIfThere(this.#disk, path);
    try {
      const footer = file === undefined ? undefined : this.#footerOf(file, segmentNumber);
      const stretches = runs.map((run) => ({ run, whole: this.#wholeOf(file, run, footer) }));
      const lost = stretches.flatMap(({ run, whole }) => gapsOf(run, whole));
      if (lost.length === 0 && footer !== undefined) return undefined;
      const what =
        file === undefined
          ? "the segment is missing"
          : `${footer === undefined ? "the footer is damaged, " : ""}${lost.length} ranges of offsets cannot be read`;
      return {
        damage: { range: `segment:${segmentNumber}`, path, what, lost },
        giveUp: (keptIn) => this.#salvage({ path, keptIn, stretches }),
      };
    } finally {
      file?.close();
    }
  }

  #footerOf(file: DiskFile, segmentNumber: number): SegmentFooter | undefined {
    try {
      return readSegmentFooter(file, { storeId: this.#storeId, segmentNumber });
    } catch {
      // Whatever is wrong with it, the batches may be whole.
      return undefined;
    }
  }

  /** Batches of a run that are whole, in order. */
  #wholeOf(
    file: DiskFile | undefined,
    run: Run,
    footer: SegmentFooter | undefined,
  ): readonly Batch[] {
    const whole: Batch[] = [];
    if (file === undefined) return whole;
    const bytes = new Uint8Array(run.sizeBytes);
    const count = file.read(bytes, run.position);
    const header = this.#header;
    let nextOffset = run.baseOffset;
    for (let at = 0; at < count;) {
      const isWhole =
        checkStoredBatch(bytes, at, count, header) === undefined &&
        header.leaderEpoch === run.leaderEpoch &&
        header.baseOffset >= nextOffset &&
        header.nextOffset <= run.endOffset;
      if (!isWhole) {
        at = this.#behindDamage({ bytes, at, count }, run, footer);
        continue;
      }
      const { baseOffset, sizeBytes } = header;
      nextOffset = header.nextOffset;
      whole.push({ baseOffset, nextOffset, bytes: bytes.subarray(at, at + sizeBytes) });
      at += sizeBytes;
    }
    return whole;
  }

  /** Where to go on: behind the damaged batch, if its size is right as a whole batch there says; else where the index knows of one. */
  #behindDamage(
    {
      bytes,
      at,
      count,
    }: { readonly bytes: Uint8Array; readonly at: number; readonly count: number },
    run: Run,
    footer: SegmentFooter | undefined,
  ): number {
    if (at + BATCH_HEADER_BYTES <= count) {
      const size = new DataView(bytes.buffer, bytes.byteOffset + at).getInt32(8) + 12;
      const next = at + size;
      const isWithin = size >= BATCH_HEADER_BYTES && next < count;
      if (isWithin && checkStoredBatch(bytes, next, count, this.#header) === undefined) return next;
    }
    return nextEntry(footer, run, at);
  }

  /** Writes what is whole of a segment to a new one, and a checkpoint that names it. */
  async #salvage(salvage: {
    readonly path: string;
    readonly keptIn: string;
    readonly stretches: readonly { readonly run: Run; readonly whole: readonly Batch[] }[];
  }): Promise<void> {
    const { path, keptIn, stretches } = salvage;
    const disk = this.#disk;
    const checkpoint = this.#checkpoint;
    if (checkpoint === undefined) return;
    const name = checkpointFileName(checkpoint.checkpointNumber);
    await keep(disk, `${this.#paths.checkpoints}/${name}`, keptIn);
    await keep(disk, path, keptIn);
    const made = new Map<Run, Run[]>(stretches.map(({ run }) => [run, []]));
    const hasBatches = stretches.some(({ whole }) => whole.length > 0);
    const segmentNumber = checkpoint.nextSegmentNumber;
    if (hasBatches) {
      const identity = { storeId: this.#storeId, segmentNumber };
      const writer = new SegmentWriter(disk, this.#paths.segments, identity);
      for (const { run, whole } of stretches) {
        await writeRuns(writer, run, whole, (one) => made.get(run)?.push(one));
      }
      await writer.finish();
      await disk.syncDirectory(this.#paths.segments);
    }
    await saveCheckpoint(disk, this.#paths.checkpoints, {
      ...checkpoint,
      checkpointNumber: checkpoint.checkpointNumber + 1,
      nextSegmentNumber: segmentNumber + 1,
      partitions: checkpoint.partitions.map((partition) => ({
        ...partition,
        runs: partition.runs.flatMap((run) => made.get(run) ?? [run]),
      })),
    });
    if (disk.exists(path)) disk.remove(path);
  }

  #wal(): Found | undefined {
    const places: Place[] = [];
    const identity = {
      directory: this.#paths.wal,
      storeId: this.#storeId,
      frameMagic: this.#frameMagic,
    };
    const damage = findWalDamage(
      this.#disk,
      identity,
      this.#checkpoint?.wal,
      (entry, at, header) => {
        if (entry.kind !== ENTRY_BATCH) return;
        const { topicId, partition, baseOffset, lastOffset, sizeBytes } = entry;
        places.push({
          sequence: header.sequence,
          frame: at - header.directoryBytes - 64,
          batch: at + entry.position,
          topicId,
          partition,
          baseOffset,
          nextOffset: lastOffset + 1,
          sizeBytes,
        });
      },
    );
    const bad = places.find((place) => !this.#isWhole(place));
    const cut =
      bad === undefined
        ? damage
        : {
            path: `${this.#paths.wal}/${walFileName(addressFile(bad.frame))}`,
            position: addressPosition(bad.frame),
            sequence: bad.sequence,
          };
    if (cut === undefined) return undefined;
    const kept = places.filter(({ sequence }) => sequence < cut.sequence);
    const lost = places.filter(({ sequence }) => sequence >= cut.sequence);
    return {
      damage: {
        range: `wal:${cut.sequence}`,
        path: cut.path,
        what: `the log is damaged at position ${cut.position}; everything behind that is given up`,
        lost: this.#lostBehind(kept, lost, damage !== undefined),
      },
      giveUp: (keptIn) => this.#cutWal(cut, keptIn),
    };
  }

  #isWhole(place: Place): boolean {
    const path = `${this.#paths.wal}/${walFileName(addressFile(place.batch))}`;
    const file = this.#disk.open(path, "read");
    try {
      const bytes = new Uint8Array(place.sizeBytes);
      const count = file.read(bytes, addressPosition(place.batch));
      const header = this.#header;
      return (
        checkStoredBatch(bytes, 0, count, header) === undefined &&
        header.baseOffset === place.baseOffset
      );
    } finally {
      file.close();
    }
  }

  /** Where frames themselves are damaged, nobody can tell of which partitions; those that are known are listed. */
  #lostBehind(kept: readonly Place[], lost: readonly Place[], isOpenEnded: boolean): LostRange[] {
    const ends = new Map<string, LostRange>();
    for (const { topicId, partition, endOffset } of this.#checkpoint?.partitions ?? []) {
      const range = { topicId, partition, baseOffset: endOffset, endOffset };
      ends.set(`${topicId}/${partition}`, range);
    }
    for (const { topicId, partition, nextOffset } of kept) {
      const range = { topicId, partition, baseOffset: nextOffset, endOffset: nextOffset };
      ends.set(`${topicId}/${partition}`, range);
    }
    for (const { topicId, partition, baseOffset, nextOffset } of lost) {
      const key = `${topicId}/${partition}`;
      const before = ends.get(key);
      ends.set(key, {
        topicId,
        partition,
        baseOffset: before?.baseOffset ?? baseOffset,
        endOffset: nextOffset,
      });
    }
    const ranges = [...ends.values()];
    if (isOpenEnded) return ranges.map((range) => ({ ...range, endOffset: undefined }));
    return ranges.filter(({ baseOffset, endOffset = baseOffset }) => endOffset > baseOffset);
  }

  async #cutWal(
    cut: { readonly path: string; readonly position: number },
    keptIn: string,
  ): Promise<void> {
    const disk = this.#disk;
    const cutName = cut.path.slice(cut.path.lastIndexOf("/") + 1);
    const behind = disk
      .list(this.#paths.wal)
      .filter((name) => walFileNumber(name) !== undefined && name >= cutName);
    for (const name of behind) await keep(disk, `${this.#paths.wal}/${name}`, keptIn);
    // From the back: a crash on the way leaves damage that is still named.
    for (const name of behind.toReversed()) {
      if (name !== cutName) disk.remove(`${this.#paths.wal}/${name}`);
    }
    await disk.syncDirectory(this.#paths.wal);
    const file = disk.open(cut.path, "write");
    try {
      file.truncate(cut.position);
      await file.sync();
    } finally {
      file.close();
    }
  }
}

interface Batch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Uint8Array;
}

/** A batch of the WAL. */
interface Place {
  readonly sequence: number;
  /** Addresses. */
  readonly frame: number;
  readonly batch: number;
  readonly topicId: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly sizeBytes: number;
}

/** Writes batches of a run. Behind a gap, which no run may have, another run begins. */
// oxlint-disable-next-line max-params -- what is written, and who is told
async function writeRuns(
  writer: SegmentWriter,
  { topicId, partition }: Run,
  whole: readonly Batch[],
  made: (run: Run) => void,
): Promise<void> {
  let endOffset = -1;
  for (const batch of whole) {
    if (batch.baseOffset !== endOffset) writer.startRun({ topicId, partition, made });
    await writer.append(batch.bytes);
    endOffset = batch.nextOffset;
  }
}

/** Where the next batch begins of which the index knows, behind a damaged one; the run's end where it knows none. */
function nextEntry(footer: SegmentFooter | undefined, run: Run, at: number): number {
  if (footer === undefined) return run.sizeBytes;
  for (let i = 0; i < run.indexCount; i++) {
    const { position } = indexEntry(footer, run, i);
    if (position > at) return position;
  }
  return run.sizeBytes;
}

function gapsOf(run: Run, whole: readonly Batch[]): LostRange[] {
  const { topicId, partition } = run;
  const gaps: LostRange[] = [];
  let nextOffset = run.baseOffset;
  for (const batch of [...whole, { baseOffset: run.endOffset, nextOffset: run.endOffset }]) {
    if (batch.baseOffset > nextOffset) {
      gaps.push({ topicId, partition, baseOffset: nextOffset, endOffset: batch.baseOffset });
    }
    nextOffset = batch.nextOffset;
  }
  return gaps;
}

function openIfThere(disk: Disk, path: string): DiskFile | undefined {
  return disk.exists(path) ? disk.open(path, "read") : undefined;
}

/** A new directory within the store: `repairs/1`, `repairs/2`, ... */
function keepDirectory(disk: Disk, paths: StorePaths): string {
  const repairs = repairsDirectory(paths.root);
  disk.makeDirectory(repairs);
  const keptIn = `${repairs}/${disk.list(repairs).length + 1}`;
  disk.makeDirectory(keptIn);
  return keptIn;
}

/** Copies a file aside, durably; nothing where it is missing. */
async function keep(disk: Disk, path: string, keptIn: string): Promise<void> {
  const source = openIfThere(disk, path);
  if (source === undefined) return;
  const target = disk.open(`${keptIn}/${path.slice(path.lastIndexOf("/") + 1)}`, "create");
  try {
    const chunk = new Uint8Array(1 << 20);
    for (let at = 0, count = chunk.length; count === chunk.length; at += count) {
      count = source.read(chunk, at);
      await target.writeAsync([chunk.subarray(0, count)], at);
    }
    await target.sync();
  } finally {
    source.close();
    target.close();
  }
  await disk.syncDirectory(keptIn);
}
