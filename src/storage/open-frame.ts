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
  // One column for each fact: nothing is allocated for a batch.
  readonly #logs: PartitionLog[] = [];
  readonly #positions: number[] = [];
  readonly #baseOffsets: number[] = [];
  readonly #sizes: number[] = [];
  readonly #maxTimestamps: number[] = [];
  readonly #leaderEpochs: number[] = [];
  readonly #starts: { readonly log: PartitionLog; readonly startOffset: number }[] = [];
  readonly #facts = new Facts();

  constructor(magic: Uint8Array) {
    this.writer = new FrameWriter(magic);
  }

  get isEmpty(): boolean {
    return this.writer.entryCount === 0;
  }

  get batchCount(): number {
    return this.#logs.length;
  }

  // hot: bench/server
  addBatch(log: PartitionLog, batch: Uint8Array, header: BatchHeader): void {
    this.#positions.push(this.writer.addBatch(log.topicBytes, log.partition, header));
    this.#logs.push(log);
    this.#baseOffsets.push(header.baseOffset);
    this.#sizes.push(header.sizeBytes);
    this.#maxTimestamps.push(header.maxTimestamp);
    this.#leaderEpochs.push(header.leaderEpoch);
    this.body.push(batch);
  }

  addLogStart(log: PartitionLog, startOffset: number): void {
    this.writer.addLogStart(log.topicBytes, log.partition, startOffset);
    this.#starts.push({ log, startOffset });
  }

  /** The frame was written, its body at `address`: tells the logs. */
  noteWritten(address: number): void {
    const facts = this.#facts;
    for (let i = 0; i < this.#logs.length; i++) {
      facts.baseOffset = this.#baseOffsets[i] ?? 0;
      facts.sizeBytes = this.#sizes[i] ?? 0;
      facts.maxTimestamp = this.#maxTimestamps[i] ?? 0;
      facts.leaderEpoch = this.#leaderEpochs[i] ?? 0;
      this.#logs[i]?.noteWritten(facts, address + (this.#positions[i] ?? 0));
    }
    for (const { log, startOffset } of this.#starts) log.moveStart(startOffset);
  }

  /** The frame could not be written: takes the batches back, the last one first. */
  noteFailed(): void {
    for (let i = this.#logs.length - 1; i >= 0; i--) {
      this.#logs[i]?.noteFailed(this.#baseOffsets[i] ?? 0);
    }
  }

  clear(): void {
    this.writer.reset();
    this.body.length = 0;
    this.#logs.length = 0;
    this.#positions.length = 0;
    this.#baseOffsets.length = 0;
    this.#sizes.length = 0;
    this.#maxTimestamps.length = 0;
    this.#leaderEpochs.length = 0;
    this.#starts.length = 0;
  }
}
