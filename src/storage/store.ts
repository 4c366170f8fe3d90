/**
 * A store: one write-ahead log shared by all its partitions, the segments made from it, and the
 * checkpoints that let a restart read only what came after.
 */
import { BufferPool } from "../bytes/index.ts";
import type { Env, Timer } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import type { BatchHeader } from "../records/index.ts";
import type { CompactionReport } from "../values/index.ts";
import { type Checkpoint, loadCheckpoint } from "./checkpoint.ts";
import { Checkpointer } from "./checkpointer.ts";
import { Compactor } from "./compactor.ts";
import type {
  CompactionOptions,
  CompactionPolicy,
  Durability,
  Retention,
  StoreOptions,
  StoreOwner,
  StoreStats,
} from "./contract.ts";
import { type HeldDirectory, holdDirectory } from "./directory.ts";
import { FileWal } from "./file-wal.ts";
import { ENTRY_BATCH } from "./frame.ts";
import { writeError } from "./io-errors.ts";
import { OpenFrame } from "./open-frame.ts";
import { type LogSources, PartitionLog } from "./partition-log.ts";
import { partitionPoint } from "./segment.ts";
import { SegmentTable } from "./segment-table.ts";
import { recoverWal, type WalScan } from "./wal-recovery.ts";
import { rewrite } from "./wal-rewrite.ts";

/** The open frame is written without waiting for the end of the loop turn from this size on (measured: 583 against 462 MB/s). */
const WRITE_AT_ONCE_BYTES = 64 << 10;
/** A quiet log writes a mark after this long, so that recovery knows how far it was synced. */
const MARK_IDLE_MS = 100;
/** Memory that reads give back and the store keeps. */
const POOLED_BYTES_MAX = 32 << 20;

export class Store {
  readonly storeId: string;
  /** 1, 2, 3, ...: one more at each start that wrote anything. */
  readonly incarnation: number;
  readonly durability: Durability;
  readonly stats: StoreStats = {
    frames: 0,
    batches: 0,
    bytes: 0,
    syncs: 0,
    checkpoints: 0,
    segments: 0,
    failedWrites: 0,
    compactions: 0,
    compactionBytesRead: 0,
    compactionBytesWritten: 0,
    compactionRecordsRemoved: 0,
    compactionMs: 0,
  };
  readonly #env: Env;
  readonly #owner: StoreOwner;
  readonly #options: StoreOptions;
  readonly #held: HeldDirectory;
  readonly #wal: FileWal;
  readonly #segments: SegmentTable;
  readonly #sources: LogSources;
  readonly #logs: Map<string, PartitionLog>;
  readonly #checkpointer: Checkpointer;
  readonly #compactor: Compactor;
  readonly #open: OpenFrame;
  #isWriteDue = false;
  /** Every frame with batches up to here has been written. */
  #writtenSequence: number;
  /** Every frame up to here is as durable as promised. Never above `#writtenSequence`. */
  #durableSequence: number;
  #syncing: Promise<void> | undefined;
  #markTimer: Timer | undefined;
  /** Set by the last operation of this object, or by a failed sync. */
  #refusal: LogError | undefined;

  private constructor(parts: StoreParts) {
    const { env, owner, options, held, scan, recovery } = parts;
    this.#env = env;
    this.#owner = owner;
    this.#options = options;
    this.#held = held;
    this.storeId = held.identity.storeId;
    this.durability = options.durability;
    this.incarnation = parts.incarnation;
    this.#wal = recovery.wal(scan, this.incarnation);
    this.#segments = recovery.segments;
    this.#sources = recovery.sources;
    this.#logs = recovery.logs;
    this.#open = new OpenFrame(held.identity.frameMagic);
    this.#writtenSequence = scan.nextSequence - 1;
    this.#durableSequence = scan.nextSequence - 1;
    this.#checkpointer = new Checkpointer({
      env,
      options,
      held,
      owner,
      host: this,
      wal: this.#wal,
      segments: this.#segments,
      logs: this.#logs,
      last: recovery.checkpoint,
    });
    this.#compactor = new Compactor({
      env,
      directory: options.directory,
      checkpointer: this.#checkpointer,
      segments: this.#segments,
      portionBytes: options.compactionBytes,
      stats: this.stats,
    });
  }

  /**
   * Opens the store of a directory, makes it where there is none, and recovers it.
   * @throws LogError `directory_in_use`, `directory_not_writable`, `format_unknown`, `format_newer`, `data_corrupt`.
   */
  static async open(env: Env, options: StoreOptions, owner: StoreOwner): Promise<Store> {
    const held = await holdDirectory(env, options.directory);
    try {
      const recovery = new Recovery(env, options, held);
      const scan = recovery.run(owner);
      const before = Math.max(scan.lastIncarnation, recovery.checkpoint?.incarnation ?? 0);
      const parts = { env, owner, options, held, scan, recovery, incarnation: before + 1 };
      const store = new Store(parts);
      rewrite(env.disk, scan.unsynced);
      // What a killed process left in the page cache is served, so it must be on the device first.
      if (options.durability === "fsync") await store.syncWal();
      store.#checkpointer.removeOrphans();
      if (scan.cut !== undefined) {
        env.events.warn("cut a torn tail of the log: it was never acknowledged as durable", {
          file: scan.cut.path,
          position: scan.cut.position,
        });
      }
      return store;
    } catch (error) {
      held.lock.release();
      throw error;
    }
  }

  /** The log of a partition; made where there is none, without touching the disk. */
  openLog(topicId: string, partition: number): PartitionLog {
    return openLogIn(this.#logs, this.#sources, topicId, partition);
  }

  logs(): Iterable<PartitionLog> {
    return this.#logs.values();
  }

  /** Forgets a log; its segments go with the next checkpoint. */
  dropLog(log: PartitionLog): void {
    this.#logs.delete(logKey(log.topicId, log.partition));
    this.#checkpointer.noteDead(log.runs);
    log.drop();
    this.#checkpointer.request();
  }

  /** The number that the open frame will get when it is written. */
  get openFrameSequence(): number {
    return this.#wal.nextSequence;
  }

  get writtenSequence(): number {
    return this.#writtenSequence;
  }

  get durableSequence(): number {
    return this.#durableSequence;
  }

  /** Bytes of the WAL's files. */
  get walBytes(): number {
    return this.#wal.sizeBytes;
  }

  // hot: bench/server
  /**
   * Puts one batch, its base offset and leader epoch already in it, into the open frame. `header` is
   * that batch's; `batch` must not change until `written` or `failed`.
   * @throws LogError `closed`, `storage_failed`.
   */
  append(log: PartitionLog, batch: Uint8Array, header: BatchHeader): void {
    this.#refuseIfClosed();
    log.noteAppended(header.baseOffset, header.nextOffset);
    this.#open.addBatch(log, batch, header);
    if (this.#open.writer.bodyBytes >= WRITE_AT_ONCE_BYTES) this.flush();
    else this.#scheduleWrite();
  }

  /**
   * Moves the start of a log, durably, through the open frame.
   * @throws LogError `closed`, `storage_failed`.
   */
  moveStart(log: PartitionLog, startOffset: number): void {
    this.#refuseIfClosed();
    invariant(startOffset <= log.endOffset, "the log start is never behind the log end");
    this.#open.addLogStart(log, startOffset);
    this.#scheduleWrite();
  }

  #refuseIfClosed(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  #scheduleWrite(): void {
    if (this.#isWriteDue) return;
    this.#isWriteDue = true;
    this.#env.timers.soon(() => {
      this.#isWriteDue = false;
      this.flush();
    });
  }

  /** Writes the open frame now. Failure is told to the owner, not thrown. */
  flush(): void {
    const open = this.#open;
    if (open.isEmpty || this.#refusal !== undefined) return;
    let address: number;
    try {
      address = this.#wal.append("data", open.writer, open.body);
    } catch (error) {
      this.stats.failedWrites++;
      open.noteFailed();
      open.clear();
      this.#owner.failed(writeError(error, this.#options.directory));
      return;
    }
    open.noteWritten(address);
    const { batchCount } = open;
    const { sizeBytes, bodyBytes } = open.writer;
    open.clear();
    this.stats.frames++;
    this.stats.batches += batchCount;
    this.stats.bytes += bodyBytes;
    const sequence = this.#wal.nextSequence - 1;
    this.#writtenSequence = sequence;
    this.#owner.written(sequence);
    if (this.durability === "os") this.#becomeDurable(sequence);
    else this.#syncing ??= this.#sync();
    this.#checkpointer.noteWritten(sizeBytes, batchCount);
  }

  #becomeDurable(sequence: number): void {
    if (sequence <= this.#durableSequence) return;
    this.#durableSequence = sequence;
    this.#owner.durable(sequence);
  }

  /** One fdatasync after the other while there is something to sync: all who wait share it. */
  async #sync(): Promise<void> {
    while (this.#durableSequence < this.#writtenSequence) {
      const startMs = this.#env.clock.monotonicMs();
      let sequence: number;
      try {
        sequence = await this.syncWal();
      } catch {
        // The owner was told that it is over.
        return;
      }
      this.#options.observeSync?.(this.#env.clock.monotonicMs() - startMs);
      this.#becomeDurable(Math.min(sequence, this.#writtenSequence));
    }
    this.#syncing = undefined;
    this.#markTimer ??= this.#env.timers.after(MARK_IDLE_MS, () => this.#markIfIdle());
  }

  /**
   * Syncs all frames written so far and returns the last one's sequence.
   * @throws LogError `storage_failed`: final, and the owner was told.
   */
  async syncWal(): Promise<number> {
    try {
      const sequence = await this.#wal.sync();
      this.stats.syncs++;
      return sequence;
    } catch (error) {
      throw this.#failForEver(error);
    }
  }

  /**
   * The same, and blocks until then; for a store that was opened with `syncsNow`.
   * @throws LogError `storage_failed`: final, and the owner was told.
   */
  syncWalNow(): void {
    let sequence: number;
    try {
      sequence = this.#wal.syncNow();
    } catch (error) {
      throw this.#failForEver(error);
    }
    this.stats.syncs++;
    this.#becomeDurable(Math.min(sequence, this.#writtenSequence));
  }

  /**
   * Puts on the device what a checkpoint needs of the WAL. Acknowledged with the operating system's
   * word alone, batches before the cut get there as part of the checkpoint's segments, and only so.
   * @throws LogError `storage_failed`: final, and the owner was told.
   */
  async syncCut(fileNumber: number): Promise<void> {
    if (this.durability === "fsync") {
      await this.syncWal();
      return;
    }
    try {
      await this.#wal.syncCut(fileNumber);
    } catch (error) {
      throw this.#failForEver(error);
    }
  }

  #markIfIdle(): void {
    this.#markTimer = undefined;
    if (this.#refusal !== undefined || this.#syncing !== undefined) return;
    if (!this.#open.isEmpty) return;
    this.#writeMark();
  }

  /** Tells recovery that everything before is synced. Nobody waits for it. */
  #writeMark(): void {
    try {
      this.#wal.append("mark", this.#open.writer, []);
    } catch {
      // Without it recovery only knows less; the next frame says the same.
    }
  }

  #failForEver(thrown: unknown): LogError {
    const cause = thrown instanceof Error ? thrown.message : String(thrown);
    const isKnown = this.#refusal?.code === "storage_failed";
    const refusal = new LogError(
      "storage_failed",
      `${this.#options.directory}: syncing the log failed (${cause}). What the device has is unknown; restart to recover from it.`,
      { cause: thrown },
    );
    this.#refusal = refusal;
    if (!isKnown) this.#owner.fatal(refusal);
    return refusal;
  }

  /** State of an upper room, saved with each checkpoint from now on. */
  setAttachment(name: string, snapshot: () => Uint8Array): void {
    this.#checkpointer.setAttachment(name, snapshot);
  }

  /** An upper room's state as of the checkpoint that this store was opened from. */
  attachment(name: string): Uint8Array | undefined {
    return this.#checkpointer.opened?.attachments.get(name);
  }

  /**
   * Makes segments of all that was written before the call, and a checkpoint; then the WAL before it goes.
   * @throws LogError `storage_full`, `storage_failed`, `data_corrupt`: nothing is lost, and it may be tried again.
   */
  checkpoint(): Promise<void> {
    return this.#checkpointer.run();
  }

  /**
   * Moves the start of a log to what retention keeps. By age and size it moves past whole runs, oldest
   * first: what only the WAL has stays, and becomes a run with the next checkpoint. By offset it moves
   * exactly. Returns the new start where it moved.
   */
  retain(log: PartitionLog, retention: Retention): number | undefined {
    const { runs } = log;
    const expired = partitionPoint(runs.length, (i) => {
      const limit = retention.nowMs - (retention.retentionMs ?? Infinity);
      return (runs[i]?.maxTimestamp ?? Infinity) < limit;
    });
    let excess = log.sizeBytes - (retention.retentionBytes ?? Infinity);
    let count = 0;
    for (const run of runs) {
      excess -= run.sizeBytes;
      if (count >= expired && excess < 0) break;
      count++;
    }
    const startOffset = Math.max(runs[count - 1]?.endOffset ?? 0, retention.keptFrom ?? 0);
    if (startOffset <= log.startOffset) return undefined;
    this.moveStart(log, startOffset);
    const isRunGone = (runs[0]?.endOffset ?? Infinity) <= startOffset;
    if (isRunGone) this.#checkpointer.request();
    return startOffset;
  }

  /** Whether it is time to compact a log. @throws LogError `data_corrupt`. */
  isCompactionDue(log: PartitionLog, policy: CompactionPolicy): Promise<boolean> {
    return this.#compactor.isDue(log, policy);
  }

  /**
   * Removes records of which a newer one of the same key is there; records without a key stay. Takes
   * effect portion by portion, while writing and reading go on; what was done before a failure stays
   * done. One log at a time: a second call waits for the first.
   * @throws LogError `cancelled`, `closed`, `storage_full`, `storage_failed`, `data_corrupt`.
   */
  compact(log: PartitionLog, options: CompactionOptions): Promise<CompactionReport> {
    return this.#compactor.compact(log, options);
  }

  /** Writes and syncs what is open, and lets the directory go. Idempotent. */
  async close(): Promise<void> {
    if (this.#refusal?.code === "closed") return;
    this.flush();
    this.#markTimer?.cancel();
    const hadFailed = this.#refusal !== undefined;
    this.#refusal ??= new LogError("closed", "the store is closed");
    this.#compactor.stop();
    try {
      await this.#checkpointer.stop();
      await this.#syncing;
      if (!hadFailed) await this.#closeCleanly();
    } finally {
      this.#refusal = new LogError("closed", "the store is closed");
      this.#segments.close();
      this.#wal.close();
      this.#held.lock.release();
    }
  }

  async #closeCleanly(): Promise<void> {
    await this.#wal.sync();
    if (this.#wal.nextSequence > 0) {
      this.#writeMark();
      await this.#wal.sync();
    }
  }
}

interface StoreParts {
  readonly env: Env;
  readonly owner: StoreOwner;
  readonly options: StoreOptions;
  readonly held: HeldDirectory;
  readonly scan: WalScan;
  readonly recovery: Recovery;
  readonly incarnation: number;
}

function logKey(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

// oxlint-disable-next-line max-params -- a place and a name
function openLogIn(
  logs: Map<string, PartitionLog>,
  sources: LogSources,
  topicId: string,
  partition: number,
): PartitionLog {
  const key = logKey(topicId, partition);
  let log = logs.get(key);
  if (log === undefined) {
    log = new PartitionLog(topicId, partition, sources);
    logs.set(key, log);
  }
  return log;
}

/** Rebuilds in memory what a directory holds. */
class Recovery {
  readonly checkpoint: Checkpoint | undefined;
  readonly segments: SegmentTable;
  readonly logs = new Map<string, PartitionLog>();
  readonly sources: LogSources;
  readonly #env: Env;
  readonly #options: StoreOptions;
  readonly #held: HeldDirectory;
  readonly #walOf: { wal: FileWal | undefined } = { wal: undefined };

  constructor(env: Env, options: StoreOptions, held: HeldDirectory) {
    this.#env = env;
    this.#options = options;
    this.#held = held;
    const { storeId } = held.identity;
    const pool = new BufferPool({ retainedBytesMax: POOLED_BYTES_MAX });
    this.checkpoint = loadCheckpoint(env.disk, held.paths.checkpoints);
    this.segments = new SegmentTable(env.disk, { directory: held.paths.segments, storeId, pool });
    const walOf = this.#walOf;
    this.sources = {
      get wal(): FileWal {
        invariant(walOf.wal !== undefined, "nothing is read before the WAL is recovered");
        return walOf.wal;
      },
      segments: this.segments,
      pool,
    };
    if (this.checkpoint !== undefined && this.checkpoint.storeId !== storeId) {
      throw new LogError(
        "data_corrupt",
        `${held.paths.checkpoints}: the checkpoint belongs to store ${this.checkpoint.storeId}, this is ${storeId}. Do not mix directories; restore this one from a backup.`,
      );
    }
  }

  run(owner: StoreOwner): WalScan {
    for (const partition of this.checkpoint?.partitions ?? []) {
      const log = this.#open(partition.topicId, partition.partition);
      log.restore(partition.startOffset, partition.endOffset, partition.runs);
      owner.recoverPartition(log, partition.state);
    }
    const identity = {
      directory: this.#held.paths.wal,
      storeId: this.#held.identity.storeId,
      frameMagic: this.#held.identity.frameMagic,
    };
    return recoverWal(this.#env.disk, identity, this.checkpoint?.wal, (entry, address) => {
      const log = this.#open(entry.topicId, entry.partition);
      if (entry.kind !== ENTRY_BATCH) {
        log.moveStart(Math.min(entry.baseOffset, log.endOffset));
        return;
      }
      if (entry.baseOffset !== log.endOffset) {
        throw new LogError(
          "data_corrupt",
          `${this.#held.paths.wal}: partition ${entry.topicId}/${entry.partition} jumps from offset ${log.endOffset} to ${entry.baseOffset}. Nothing was changed. Restore the directory from a backup.`,
        );
      }
      log.noteAppended(entry.baseOffset, entry.lastOffset + 1);
      log.noteWritten(entry, address + entry.position);
      owner.recoverBatch(log, entry);
    });
  }

  #open(topicId: string, partition: number): PartitionLog {
    return openLogIn(this.logs, this.sources, topicId, partition);
  }

  wal(scan: WalScan, incarnation: number): FileWal {
    this.#walOf.wal = new FileWal(
      this.#env.disk,
      {
        directory: this.#held.paths.wal,
        storeId: this.#held.identity.storeId,
        frameMagic: this.#held.identity.frameMagic,
        incarnation,
        fileBytesMax: this.#options.walFileBytes ?? 64 << 20,
        isFilledAhead: this.#options.durability === "fsync",
        hasTwins: this.#options.syncsNow ?? false,
      },
      scan,
    );
    return this.#walOf.wal;
  }
}
