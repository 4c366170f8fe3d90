/** One log that another process writes, or nobody. */
import type { Env, Timer } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { decodeCommand, metadataTopicId, MetadataState } from "../metadata/index.ts";
import { RecordCursor } from "../records/index.ts";
import { type FetchedBytes, type PartitionLog, StoreReader } from "../storage/index.ts";
import { type LogSource, ReadableLog } from "./readable-log.ts";

/** Under this name a checkpoint holds the topics. */
const METADATA_ATTACHMENT = "metadata";
const READ_BYTES = 240 << 10;

export interface LogReaderParts {
  readonly env: Env;
  readonly directory: string;
  readonly topic: string;
  readonly cacheBytes: number;
  readonly pollMs: number;
}

/**
 * Reads a log without taking its directory: a writer, here or in another process, does not notice.
 * It sees what is written, durable or not, as of its last look; `scan`, `follow`, and a read behind
 * the end look again.
 */
export class LogReader extends ReadableLog implements Disposable {
  readonly #source: FollowedLog;

  /** @throws LogError format_unknown, format_newer, data_corrupt, topic_not_found. */
  constructor(parts: LogReaderParts) {
    const source = new FollowedLog(parts);
    super(parts.directory, source, parts.cacheBytes);
    this.#source = source;
  }

  /** Looks at what was written since the last look. */
  refresh(): void {
    this.#source.settle();
  }

  /** Idempotent. */
  close(): void {
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class FollowedLog implements LogSource {
  readonly #parts: LogReaderParts;
  readonly #reader: StoreReader;
  readonly #topicId: string;
  #log: PartitionLog | undefined;
  #isClosed = false;

  constructor(parts: LogReaderParts) {
    this.#parts = parts;
    this.#reader = new StoreReader(parts.env.disk, parts.directory);
    try {
      this.#topicId = topicIdOf(this.#reader, parts.topic, parts.directory);
    } catch (error) {
      this.#reader.close();
      throw error;
    }
    this.#log = this.#reader.log(this.#topicId, 0);
  }

  get startOffset(): number {
    return this.#log?.startOffset ?? 0;
  }

  get endOffset(): number {
    return this.#log?.endOffset ?? 0;
  }

  refuseIfEnded(): void {
    if (!this.#isClosed) return;
    throw new LogError("closed", `the reader of ${this.#parts.directory} is closed`);
  }

  settle(): void {
    this.refuseIfEnded();
    this.#reader.refresh();
    this.#log = this.#reader.log(this.#topicId, 0);
  }

  read(from: number, bytesMax: number): FetchedBytes | undefined {
    try {
      return this.#read(from, bytesMax);
    } catch (error) {
      // The writer may have removed a file since the last look; what is damaged is so after the next one too.
      if (!(error instanceof LogError) || error.code !== "data_corrupt") throw error;
      this.settle();
      return this.#read(from, bytesMax);
    }
  }

  #read(from: number, bytesMax: number): FetchedBytes | undefined {
    const { endOffset } = this;
    return this.#log?.readNow(from, { bytesMax, endOffset, atLeastOneBatch: true });
  }

  seekTime(timestampMs: number): number | undefined {
    return this.#log?.seekTime(timestampMs);
  }

  moved(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const end = (): void => {
        timer?.cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      timer = this.#parts.env.timers.after(this.#parts.pollMs, end);
      signal?.addEventListener("abort", end, { once: true });
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#log = undefined;
    this.#reader.close();
  }
}

/** The id of a topic, as the log of topics says: its state at the checkpoint, and the records after it. */
function topicIdOf(reader: StoreReader, name: string, directory: string): string {
  const snapshot = reader.attachment(METADATA_ATTACHMENT);
  const hasState = snapshot !== undefined && snapshot.length > 0;
  const state = hasState ? MetadataState.restore(snapshot) : new MetadataState();
  const log = reader.log(metadataTopicId, 0);
  const cursor = new RecordCursor();
  const endOffset = log?.endOffset ?? 0;
  while (state.nextOffset < endOffset) {
    const limits = { bytesMax: READ_BYTES, endOffset, atLeastOneBatch: true };
    const fetched = log?.readNow(state.nextOffset, limits);
    if (fetched === undefined) break;
    for (let at = 0; at < fetched.bytes.length; at += cursor.header.sizeBytes) {
      cursor.reset(fetched.bytes, at);
      applyBatch(state, cursor);
    }
    fetched.release();
  }
  const topic = state.topicByName(name);
  if (topic !== undefined) return topic.topicId;
  throw new LogError(
    "topic_not_found",
    `${directory} has no log yet: it is there once a program has opened it to write`,
  );
}

function applyBatch(state: MetadataState, cursor: RecordCursor): void {
  while (cursor.advance()) {
    const value = cursor.value();
    if (cursor.offset < state.nextOffset || value === undefined) continue;
    state.apply(decodeCommand(value), cursor.offset);
  }
}
