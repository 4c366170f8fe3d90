/** What was appended and not written yet: the next frame, and whom to tell of it. */
import type { BatchHeader } from "../records/index.ts";
import { FrameWriter } from "./frame.ts";
import type { PartitionLog } from "./partition-log.ts";

/** The facts of one batch of the frame, in one object that is reused. */
class Facts {
  baseOffset = 0;
  sizeBytes = 0;
  maxTimestamp = 0;
  leaderEpoch = 0;
}

export class OpenFrame {
  readonly writer: FrameWriter;
  /** The batches, in the order of the directory. */
  readonly body: Uint8Array[] = [];
  #batchCount = 0;
  // One column for each fact: nothing is allocated for a batch. What lies behind the batch count is of
  // former frames, and overwritten: a column that is emptied would grow anew for every frame.
  readonly #logs: (PartitionLog | undefined)[] = [];
  readonly #positions: number[] = [];
  readonly #baseOffsets: number[] = [];
  readonly #sizes: number[] = [];
  readonly #maxTimestamps: number[] = [];
  readonly #leaderEpochs: number[] = [];
  #starts: { readonly log: PartitionLog; readonly startOffset: number }[] = [];
  readonly #facts = new Facts();

  constructor(magic: Uint8Array) {
    this.writer = new FrameWriter(magic);
  }

  get isEmpty(): boolean {
    return this.writer.entryCount === 0;
  }

  get batchCount(): number {
    return this.#batchCount;
  }

  // hot: bench/server
  addBatch(log: PartitionLog, batch: Uint8Array, header: BatchHeader): void {
    const at = this.#batchCount++;
    this.#positions[at] = this.writer.addBatch(log.topicBytes, log.partition, header);
    this.#logs[at] = log;
    this.#baseOffsets[at] = header.baseOffset;
    this.#sizes[at] = header.sizeBytes;
    this.#maxTimestamps[at] = header.maxTimestamp;
    this.#leaderEpochs[at] = header.leaderEpoch;
    this.body.push(batch);
  }

  addLogStart(log: PartitionLog, startOffset: number): void {
    this.writer.addLogStart(log.topicBytes, log.partition, startOffset);
    this.#starts.push({ log, startOffset });
  }

  /** The frame was written, its body at `address`: tells the logs. */
  noteWritten(address: number): void {
    const facts = this.#facts;
    for (let at = 0; at < this.#batchCount; at++) {
      facts.baseOffset = this.#baseOffsets[at] ?? 0;
      facts.sizeBytes = this.#sizes[at] ?? 0;
      facts.maxTimestamp = this.#maxTimestamps[at] ?? 0;
      facts.leaderEpoch = this.#leaderEpochs[at] ?? 0;
      this.#logs[at]?.noteWritten(facts, address + (this.#positions[at] ?? 0));
    }
    for (const { log, startOffset } of this.#starts) log.moveStart(startOffset);
  }

  /** The frame could not be written: takes the batches back, the last one first. */
  noteFailed(): void {
    for (let at = this.#batchCount - 1; at >= 0; at--) {
      this.#logs[at]?.noteFailed(this.#baseOffsets[at] ?? 0);
    }
  }

  clear(): void {
    this.writer.reset();
    // Neither a batch nor a log is kept alive by a frame that is gone.
    for (let at = 0; at < this.#batchCount; at++) {
      this.#logs[at] = undefined;
      this.body.pop();
    }
    this.#batchCount = 0;
    if (this.#starts.length > 0) this.#starts = [];
  }
}
