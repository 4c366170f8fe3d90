/** Turns batches into segments: large runs get files of their own, small ones share. */
import type { Disk } from "../env/index.ts";
import { type RunTarget, type SegmentLimits, SegmentWriter } from "./segment.ts";

/** Whole batches for a segment, whose memory is given back when they are written. */
export interface SegmentBatches {
  readonly bytes: Uint8Array;
  /** A new run begins with the first of them. */
  readonly startsRun?: boolean;
  release(): void;
}

/** The batches of one partition, in order. */
export interface RunSource extends RunTarget {
  /** The next whole batches; undefined behind the last. The build releases them. */
  next(): SegmentBatches | undefined | Promise<SegmentBatches | undefined>;
}

interface BuildOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly storeId: string;
  readonly limits: SegmentLimits;
  readonly nextNumber: () => number;
}

export class SegmentBuild {
  readonly #options: BuildOptions;
  /** Size of each finished segment, by number. */
  readonly #finished = new Map<number, number>();
  #writer: SegmentWriter | undefined;
  /** Whose run is open in the segment. */
  #source: RunSource | undefined;

  constructor(options: BuildOptions) {
    this.#options = options;
  }

  /** Writes segments that hold nothing else. */
  async addOwn(source: RunSource): Promise<void> {
    await this.closeSegment();
    await this.#add(source, true);
    await this.closeSegment();
  }

  /** Adds a run to the open segment, and goes on in a new one where that is full. */
  async addShared(source: RunSource): Promise<void> {
    await this.#add(source, false);
  }

  async #add(source: RunSource, isOwn: boolean): Promise<void> {
    for (let batches = await source.next(); batches; batches = await source.next()) {
      try {
        await this.#write(source, batches, isOwn);
      } finally {
        batches.release();
      }
    }
  }

  async #write(source: RunSource, batches: SegmentBatches, isOwn: boolean): Promise<void> {
    const { bytes, startsRun = false } = batches;
    for (let at = 0; at < bytes.length;) {
      const writer = (this.#writer ??= this.#begin(isOwn));
      if (this.#source !== source || (startsRun && at === 0)) writer.startRun(source);
      this.#source = source;
      at += await writer.append(bytes.subarray(at));
      if (at < bytes.length) await this.closeSegment();
    }
  }

  #begin(isOwn: boolean): SegmentWriter {
    const { disk, directory, storeId, limits, nextNumber } = this.#options;
    const identity = { storeId, segmentNumber: nextNumber() };
    return new SegmentWriter(disk, directory, identity, { limits, isOwn });
  }

  /** The next run goes to a new segment. */
  async closeSegment(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    await writer.finish();
    this.#writer = undefined;
    this.#source = undefined;
    this.#finished.set(writer.segmentNumber, writer.sizeBytes);
  }

  /** Makes all of it durable and returns size by segment number. */
  async finish(): Promise<ReadonlyMap<number, number>> {
    await this.closeSegment();
    const { disk, directory } = this.#options;
    if (this.#finished.size > 0) await disk.syncDirectory(directory);
    return this.#finished;
  }

  /** Gives up the open segment, and returns the numbers of the finished ones, which nobody will use. */
  abandon(): Iterable<number> {
    this.#writer?.abandon(this.#options.disk);
    this.#writer = undefined;
    return this.#finished.keys();
  }
}
