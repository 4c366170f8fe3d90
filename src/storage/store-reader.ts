/** Reads a store that another process may be writing, without taking or changing anything. */
import { BufferPool } from "../bytes/index.ts";
import type { Disk } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { type Checkpoint, checkpointNumberOf, loadCheckpoint } from "./checkpoint.ts";
import { readIdentity, type StoreIdentity, type StorePaths, storePaths } from "./directory.ts";
import { ENTRY_BATCH, type FrameEntry } from "./frame.ts";
import { PartitionLog } from "./partition-log.ts";
import { SegmentTable } from "./segment-table.ts";
import { addressFile, WalFile, walFileName, walFileNumber } from "./wal-file.ts";
import { followWal, type WalStart } from "./wal-recovery.ts";

/** How often a look is repeated that the writer got in the way of: each new one begins with its newest checkpoint. */
const LOOKS_MAX = 5;
const POOLED_BYTES_MAX = 8 << 20;

/** What was there at one look. */
interface View {
  readonly checkpoint: Checkpoint | undefined;
  readonly segments: SegmentTable;
  readonly logs: Map<string, PartitionLog>;
  readonly files: WalFiles;
  readonly pool: BufferPool;
  /** Where the next look at the write-ahead log begins. */
  tail: WalStart | undefined;
}

/**
 * The partitions of a store as they are written, durable or not. What a {@link StoreReader.refresh}
 * has seen stays readable until the next one.
 */
export class StoreReader {
  readonly #disk: Disk;
  readonly #paths: StorePaths;
  readonly #identity: StoreIdentity;
  #view: View;

  /** @throws LogError `format_unknown`, `format_newer`, `data_corrupt`. */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#paths = storePaths(directory);
    this.#identity = readIdentity(disk, directory);
    this.#view = this.#look();
  }

  log(topicId: string, partition: number): PartitionLog | undefined {
    return this.#view.logs.get(`${topicId}/${partition}`);
  }

  /** An upper room's state as of the checkpoint that the last look began with. */
  attachment(name: string): Uint8Array | undefined {
    return this.#view.checkpoint?.attachments.get(name);
  }

  /**
   * Looks at what was written since. Logs must be asked for anew.
   * @throws LogError `data_corrupt`.
   */
  refresh(): void {
    const isSameCheckpoint = this.#newestCheckpoint() === this.#view.checkpoint?.checkpointNumber;
    if (isSameCheckpoint && this.#readOn()) return;
    const before = this.#view;
    this.#view = this.#look();
    closeView(before);
  }

  close(): void {
    closeView(this.#view);
  }

  #newestCheckpoint(): number | undefined {
    const names = this.#disk.list(this.#paths.checkpoints);
    return names.map((name) => checkpointNumberOf(name)).findLast((one) => one !== undefined);
  }

  /** False where the writer let files go, or was in the middle of a frame: a whole look decides what is wrong. */
  #readOn(): boolean {
    try {
      if (this.#hasGrown()) this.#readWal(this.#view);
      return true;
    } catch {
      return false;
    }
  }

  /** Whether a frame, or a file, may follow what was read. */
  #hasGrown(): boolean {
    const { tail, files } = this.#view;
    const numbers = this.#disk.list(this.#paths.wal).map((name) => walFileNumber(name) ?? 0);
    if (tail === undefined) return numbers.length > 0;
    if (numbers.some((number) => number > tail.fileNumber)) return true;
    const start = new Uint8Array(1);
    const count = files.file(tail.fileNumber).file.read(start, tail.position);
    return count > 0 && start[0] !== 0;
  }

  #look(): View {
    for (let attempt = 1; ; attempt++) {
      let view: View | undefined;
      try {
        view = this.#newView();
        this.#readWal(view);
        return view;
      } catch (error) {
        if (view !== undefined) closeView(view);
        if (attempt === LOOKS_MAX) throw LogError.from(error);
      }
    }
  }

  #newView(): View {
    const { storeId } = this.#identity;
    const pool = new BufferPool({ retainedBytesMax: POOLED_BYTES_MAX });
    const checkpoint = loadCheckpoint(this.#disk, this.#paths.checkpoints);
    const directory = this.#paths.segments;
    const segments = new SegmentTable(this.#disk, { directory, storeId, pool });
    const files = new WalFiles(this.#disk, this.#paths.wal);
    const logs = new Map<string, PartitionLog>();
    const sources = { wal: files, segments, pool };
    for (const { topicId, partition, startOffset, endOffset, runs } of checkpoint?.partitions ??
      []) {
      const log = new PartitionLog(topicId, partition, sources);
      log.restore(startOffset, endOffset, runs);
      logs.set(`${topicId}/${partition}`, log);
    }
    return { checkpoint, segments, logs, files, pool, tail: checkpoint?.wal };
  }

  #readWal(view: View): void {
    const { pool, segments, files, logs } = view;
    const owner = {
      directory: this.#paths.wal,
      storeId: this.#identity.storeId,
      frameMagic: this.#identity.frameMagic,
    };
    view.tail = followWal(this.#disk, owner, view.tail, (entry, address) => {
      files.file(addressFile(address));
      const key = `${entry.topicId}/${entry.partition}`;
      let log = logs.get(key);
      if (log === undefined) {
        log = new PartitionLog(entry.topicId, entry.partition, { wal: files, segments, pool });
        logs.set(key, log);
      }
      take(log, entry, address);
    });
  }
}

/** The files of the write-ahead log that were looked at: open, so that the writer's removing them hurts nobody. */
class WalFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #files = new Map<number, WalFile>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  file(fileNumber: number): WalFile {
    let file = this.#files.get(fileNumber);
    if (file === undefined) {
      const path = `${this.#directory}/${walFileName(fileNumber)}`;
      file = new WalFile(fileNumber, this.#disk.open(path, "read"), 0);
      this.#files.set(fileNumber, file);
    }
    return file;
  }

  close(): void {
    for (const { file } of this.#files.values()) file.close();
  }
}

function take(log: PartitionLog, entry: FrameEntry, address: number): void {
  if (entry.kind !== ENTRY_BATCH) {
    log.moveStart(Math.min(entry.baseOffset, log.endOffset));
    return;
  }
  log.noteAppended(entry.baseOffset, entry.lastOffset + 1);
  log.noteWritten(entry, address + entry.position);
}

function closeView(view: View): void {
  view.segments.close();
  view.files.close();
}
