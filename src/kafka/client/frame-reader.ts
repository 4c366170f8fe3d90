import { LogError } from "../../errors/index.ts";
import { type Source, sourceOf } from "../codec/writer.ts";

const SIZE_BYTES = 4;
const CHUNK_BYTES = 64 * 1024;
/** No answer to a question of ours is larger: fetches name their own limit, far below. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Cuts a stream of bytes into answers. Each answer lies in memory of its own, so what points into it
 * stays valid as long as somebody holds it; a large one is received straight into that memory.
 */
export class FrameReader {
  readonly #answered: (source: Source, sizeBytes: number) => void;
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** What is received in the chunk and not cut yet: less than a size, between two reads. */
  #chunkBytes = 0;
  /** The answer under way that began in an earlier read. */
  #frame: Buffer | undefined;
  #frameBytes = 0;

  constructor(answered: (source: Source, sizeBytes: number) => void) {
    this.#answered = answered;
  }

  /** Memory for the next bytes. */
  target(): Uint8Array {
    return this.#frame === undefined
      ? this.#chunk.subarray(this.#chunkBytes)
      : this.#frame.subarray(this.#frameBytes);
  }

  /**
   * `count` bytes are at the start of the last target.
   * @throws LogError protocol_violation where they cannot be an answer.
   */
  received(count: number): void {
    if (this.#frame === undefined) {
      this.#chunkBytes += count;
      this.#cut();
      return;
    }
    this.#frameBytes += count;
    if (this.#frameBytes < this.#frame.length) return;
    const frame = this.#frame;
    this.#frame = undefined;
    this.#answered(sourceOf(frame), frame.length);
  }

  #cut(): void {
    const end = this.#chunkBytes;
    let start = 0;
    this.#chunkBytes = 0;
    while (end - start >= SIZE_BYTES) {
      const sizeBytes = this.#chunk.readInt32BE(start);
      if (sizeBytes < SIZE_BYTES || sizeBytes > ANSWER_BYTES_MAX) {
        throw new LogError("protocol_violation", `an answer of ${sizeBytes} bytes: is this Kafka?`);
      }
      start += SIZE_BYTES;
      const frame = Buffer.allocUnsafeSlow(sizeBytes);
      const copied = this.#chunk.copy(frame, 0, start, Math.min(end, start + sizeBytes));
      start += copied;
      if (copied < sizeBytes) {
        this.#frame = frame;
        this.#frameBytes = copied;
        return;
      }
      this.#answered(sourceOf(frame), sizeBytes);
    }
    this.#chunk.copyWithin(0, start, end);
    this.#chunkBytes = end - start;
  }
}
