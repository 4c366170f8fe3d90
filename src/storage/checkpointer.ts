/** Makes segments and checkpoints in the background, one at a time. */
import type { Env, Timer } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import {
  type Checkpoint,
  loadCheckpoint,
  type PartitionCheckpoint,
  saveCheckpoint,
} from "./checkpoint.ts";
import {
  COMPACTED_PARTS,
  type CompactedPart,
  decodeCompactedParts,
  encodeCompactedParts,
} from "./compacted-part.ts";
import type { StoreOptions, StoreOwner, StoreStats } from "./contract.ts";
import type { HeldDirectory } from "./directory.ts";
import type { FileWal } from "./file-wal.ts";
import { writeError } from "./io-errors.ts";
import { type MergeSource, mergeSources, segmentsToMerge } from "./merge.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { FetchedBytes } from "./read.ts";
import { type Run, type SegmentLimits, segmentNumberOf } from "./segment.ts";
import { type RunSource, SegmentBuild } from "./segment-build.ts";
import type { SegmentTable } from "./segment-table.ts";
import { walAddress } from "./wal-file.ts";

const SEGMENT_BYTES = 64 << 20;
/** As Kafka's `segment.ms`. */
const SEGMENT_MS = 7 * 24 * 60 * 60_000;
/** A partition with fewer new bytes than this shares a segment with others of its kind. */
const OWN_SEGMENT_BYTES_MIN = 4 << 20;
const COPY_BYTES = 1 << 20;
const CHECKPOINT_BYTES = 1 << 30;
const CHECKPOINT_BATCHES = 500_000;
const CHECKPOINT_MS = 5 * 60_000;
/** From this part of the limits on, a checkpoint is made as soon as the store has little else to do. */
const LULL_SHARE = 1 / 4;
/** Little is fewer bytes and batches than these in such a time. */
const LULL_MS = 100;
const LULL_BYTES = 4 << 20;
const LULL_BATCHES = 5_000;
/** Only on a disk with free room for this many times what makes a checkpoint due. */
const ROOM_TO_WAIT = 4;
/** After a failure, for example a full disk, the next try waits this long. */
const RETRY_MS = 10_000;

/** What the checkpointer asks of its host. */
interface CheckpointHost {
  readonly storeId: string;
  readonly incarnation: number;
  readonly stats: StoreStats;
  flush(): void;
  syncWal(): Promise<number>;
  syncCut(fileNumber: number): Promise<void>;
}

interface CheckpointerParts {
  readonly env: Env;
  readonly options: StoreOptions;
  readonly held: HeldDirectory;
  readonly owner: StoreOwner;
  readonly host: CheckpointHost;
  readonly wal: FileWal;
  readonly segments: SegmentTable;
  readonly logs: ReadonlyMap<string, PartitionLog>;
  readonly last: Checkpoint | undefined;
}

/** One log as it was at the cut. */
interface CutLog {
  readonly log: PartitionLog;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly runs: readonly Run[];
  readonly state: Uint8Array;
  /** Batches that only the WAL has before the cut; those before `walFirst` lie before the log start, and are let go. */
  readonly walFirst: number;
  readonly walCount: number;
  /** Of those that are kept. */
  readonly walBytes: number;
  readonly made: Run[];
}

type Merges = Map<PartitionLog, readonly MergeSource[]>;

/** Runs of one log that a checkpoint is to write anew: what a compaction asks for. */
export interface Rewriting {
  readonly log: PartitionLog;
  /** Which runs, and what of them; asked in the turn of the cut. */
  choose(): readonly MergeSource[];
  /** They are written: how far the log is compacted once they are named; undefined where that stays as it is. */
  written(): CompactedPart | undefined;
  /** They have taken the place of the former ones. */
  adopted(): void;
}

export class Checkpointer {
  /** The checkpoint that the store was opened from. */
  readonly opened: Checkpoint | undefined;
  readonly #parts: CheckpointerParts;
  readonly #limits: SegmentLimits;
  readonly #attachments = new Map<string, () => Uint8Array>();
  /** How many runs of each segment are referred to. */
  readonly #liveRuns = new Map<number, number>();
  /** Runs that no log has any more, but the last checkpoint still may. */
  #dead: Run[] = [];
  #checkpointNumber: number;
  #nextSegmentNumber: number;
  /** Since the cut of the last checkpoint. */
  #bytes = 0;
  #batches = 0;
  #timer: Timer | undefined;
  #lullTimer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #isRetryDue = false;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
    this.#limits = {
      bytes: parts.options.segmentBytes ?? SEGMENT_BYTES,
      records: parts.options.segmentRecords ?? Infinity,
      ms: parts.options.segmentMs ?? SEGMENT_MS,
    };
    this.opened = parts.last;
    this.#checkpointNumber = parts.last?.checkpointNumber ?? 0;
    this.#nextSegmentNumber = parts.last?.nextSegmentNumber ?? 1;
    for (const { runs } of parts.logs.values()) this.#noteLive(runs);
    const compacted = new Map(
      decodeCompactedParts(parts.last?.attachments.get(COMPACTED_PARTS)).map(
        ({ topicId, partition, part }) => [`${topicId}/${partition}`, part],
      ),
    );
    for (const [key, log] of parts.logs) log.compacted = compacted.get(key);
  }

  setAttachment(name: string, snapshot: () => Uint8Array): void {
    this.#attachments.set(name, snapshot);
  }

  #noteLive(runs: readonly Run[]): void {
    for (const { segmentNumber } of runs) {
      this.#liveRuns.set(segmentNumber, (this.#liveRuns.get(segmentNumber) ?? 0) + 1);
    }
  }

  noteDead(runs: readonly Run[]): void {
    this.#dead.push(...runs);
  }

  /** A frame was written. */
  noteWritten(bytes: number, batches: number): void {
    this.#bytes += bytes;
    this.#batches += batches;
    if (this.#isDue(1) && !this.#isRetryDue) this.request();
    else if (this.#isDue(LULL_SHARE) && !this.#isRetryDue) this.#awaitLull();
    else this.#arm(this.#parts.options.checkpointMs ?? CHECKPOINT_MS);
  }

  /** Whether this share of what makes a checkpoint due was written. */
  #isDue(share: number): boolean {
    const { checkpointBytes, checkpointBatches } = this.#parts.options;
    return (
      this.#bytes >= share * (checkpointBytes ?? CHECKPOINT_BYTES) ||
      this.#batches >= share * (checkpointBatches ?? CHECKPOINT_BATCHES)
    );
  }

  /** Asks for a checkpoint once there was little to write for a while: until then it would take from those who write. */
  #awaitLull(): void {
    if (this.#lullTimer !== undefined || this.#running !== undefined || this.#isStopped) return;
    const [bytes, batches] = [this.#bytes, this.#batches];
    this.#lullTimer = this.#parts.env.timers.after(LULL_MS, () => {
      this.#lullTimer = undefined;
      if (this.#running !== undefined || !this.#isDue(LULL_SHARE)) return;
      const isLull = this.#bytes - bytes < LULL_BYTES && this.#batches - batches < LULL_BATCHES;
      if (isLull || !this.#hasRoomToWait()) this.request();
      else this.#awaitLull();
    });
  }

  /** Segments need as much room as the WAL that they are made from, which goes only afterwards. */
  #hasRoomToWait(): boolean {
    const { env, options } = this.#parts;
    const limit = options.checkpointBytes ?? CHECKPOINT_BYTES;
    return env.disk.freeBytes(options.directory) > ROOM_TO_WAIT * limit;
  }

  #arm(ms: number): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#parts.env.timers.after(ms, () => {
      this.#timer = undefined;
      this.#isRetryDue = false;
      this.request();
    });
  }

  /** Asks for a checkpoint in the background. */
  request(): void {
    if (this.#running !== undefined || this.#isStopped) return;
    this.#begin().catch((error: unknown) => {
      this.#parts.env.events.error("a checkpoint failed; it will be tried again", {
        error: LogError.from(error).message,
      });
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#isRetryDue = true;
      this.#arm(RETRY_MS);
    });
  }

  /**
   * Makes one that takes in all that was written before the call, and writes runs anew where that is asked for.
   * @throws LogError `closed` once it is stopped: the directory may be another store's by now.
   */
  async run(rewriting?: Rewriting): Promise<void> {
    // Looked at again in the very turn in which it begins: others wait here, too. Whoever asked for the one
    // under way is told of its failure.
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    if (this.#isStopped) throw new LogError("closed", "the store is closed");
    await this.#begin(rewriting);
  }

  #begin(rewriting?: Rewriting): Promise<void> {
    this.#running = this.#runOne(rewriting);
    return this.#running;
  }

  async #runOne(rewriting?: Rewriting): Promise<void> {
    // The first step is a later one: whoever writes the frame that makes it due has finished with it.
    await Promise.resolve();
    try {
      await this.#make(rewriting);
    } finally {
      this.#running = undefined;
    }
  }

  /** No more checkpoints; waits for the one under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#lullTimer?.cancel();
    // Whoever asked for it was told of its failure.
    await this.#running?.catch(() => undefined);
  }

  async #make(rewriting: Rewriting | undefined): Promise<void> {
    const { env, held, wal, host } = this.#parts;
    try {
      host.flush();
      const cut = wal.cut();
      const nextSequence = wal.nextSequence;
      const logs = this.#cutLogs(walAddress(cut.fileNumber, cut.position));
      const attachments = new Map([...this.#attachments].map(([name, make]) => [name, make()]));
      const dead = [...this.#dead];
      this.#bytes = 0;
      this.#batches = 0;
      const merges = rewriting === undefined ? this.#mergesOf(logs) : rewrittenBy(rewriting);
      await host.syncCut(cut.fileNumber);
      const made = await this.#makeSegments(logs, merges);
      const compacted = rewriting?.written();
      const compactedOf = (log: PartitionLog): CompactedPart | undefined =>
        log === rewriting?.log ? (compacted ?? log.compacted) : log.compacted;
      attachments.set(COMPACTED_PARTS, compactedParts(logs, compactedOf));
      const checkpoint: Checkpoint = {
        checkpointNumber: ++this.#checkpointNumber,
        storeId: host.storeId,
        incarnation: host.incarnation,
        createdMs: env.clock.wallMs(),
        nextSegmentNumber: this.#nextSegmentNumber,
        wal: { ...cut, nextSequence, syncedThrough: wal.syncedThrough },
        // A log that was dropped meanwhile stays in: its batches behind the cut would have no beginning.
        partitions: logs.map((one) => toPartitionCheckpoint(one, merges.get(one.log) ?? [])),
        attachments,
      };
      await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);
      this.#adopt(logs, merges, made);
      if (rewriting !== undefined) {
        rewriting.log.compacted = compactedOf(rewriting.log);
        rewriting.log.onCompacted?.();
        rewriting.adopted();
      }
      this.#dead = this.#dead.slice(dead.length);
      this.#bury(dead);
      wal.trim(cut.fileNumber);
      host.stats.checkpoints++;
    } catch (error) {
      const refusal = writeError(error, this.#parts.options.directory);
      // Where there is no room for even that, the next try may have some; the refusal says why.
      if (refusal.code === "storage_full") await this.#makeRoom().catch(() => undefined);
      throw refusal;
    }
  }

  /**
   * On a full disk there may be no room for the segments of a checkpoint, and without a checkpoint
   * nothing that retention let go is removed. So the last checkpoint is written once more, as it
   * was but for the runs that no log has any more; the WAL behind it says the rest.
   */
  async #makeRoom(): Promise<void> {
    const { env, held, host } = this.#parts;
    const last = loadCheckpoint(env.disk, held.paths.checkpoints);
    const dead = [...this.#dead];
    if (last === undefined || dead.length === 0) return;
    // What retention moved is in the WAL behind the checkpoint, and must be durable before its files go.
    await host.syncWal();
    const isDead = new Set(dead.map(runKey));
    const partitions = last.partitions.map((partition) => {
      const runs = partition.runs.filter((run) => !isDead.has(runKey(run)));
      const startOffset = Math.max(
        partition.startOffset,
        ...partition.runs.filter((run) => isDead.has(runKey(run))).map((run) => run.endOffset),
      );
      return { ...partition, runs, startOffset };
    });
    const checkpointNumber = ++this.#checkpointNumber;
    await saveCheckpoint(env.disk, held.paths.checkpoints, {
      ...last,
      checkpointNumber,
      partitions,
      createdMs: env.clock.wallMs(),
    });
    this.#dead = this.#dead.slice(dead.length);
    this.#bury(dead);
  }

  /** Everything that must be of one moment, taken in one turn. */
  #cutLogs(address: number): CutLog[] {
    const { logs, owner } = this.#parts;
    return Array.from(logs.values(), (log) => {
      this.noteDead(log.takeDeadRuns());
      const { first, count, bytes } = log.walBefore(address);
      return {
        log,
        startOffset: log.startOffset,
        endOffset: log.endOffset,
        runs: [...log.runs],
        state: owner.snapshot(log),
        walFirst: first,
        walCount: count,
        walBytes: bytes,
        made: [],
      };
    });
  }

  #mergesOf(logs: readonly CutLog[]): Merges {
    const merges: Merges = new Map();
    const chosen = segmentsToMerge(
      logs.flatMap((one) => one.runs),
      this.#limits,
    );
    if (chosen.size === 0) return merges;
    for (const { log } of logs) {
      const sources = mergeSources(log, chosen, this.#parts.segments);
      if (sources.length > 0) merges.set(log, sources);
    }
    return merges;
  }

  async #makeSegments(
    logs: readonly CutLog[],
    merges: Merges,
  ): Promise<ReadonlyMap<number, number>> {
    const { env, held, host, segments } = this.#parts;
    const build = new SegmentBuild({
      disk: env.disk,
      directory: held.paths.segments,
      storeId: host.storeId,
      limits: this.#limits,
      nextNumber: () => this.#nextSegmentNumber++,
    });
    try {
      const small: CutLog[] = [];
      for (const cut of logs) {
        if (cut.walFirst === cut.walCount) continue;
        if (cut.walBytes < OWN_SEGMENT_BYTES_MIN) small.push(cut);
        else await build.addOwn(new WalSource(cut));
      }
      for (const cut of small) await build.addShared(new WalSource(cut));
      const merged = [...merges.values()].flat();
      const isLarge = ({ sizeBytes }: MergeSource): boolean => sizeBytes >= OWN_SEGMENT_BYTES_MIN;
      for (const source of merged.filter(isLarge)) await build.addOwn(source);
      await build.closeSegment();
      for (const source of merged.filter((one) => !isLarge(one))) await build.addShared(source);
      return await build.finish();
    } catch (error) {
      for (const segmentNumber of build.abandon()) segments.remove(segmentNumber);
      throw error;
    }
  }

  /** The checkpoint is durable: from now on the segments are read, and not the WAL before the cut. */
  #adopt(logs: readonly CutLog[], merges: Merges, made: ReadonlyMap<number, number>): void {
    for (const [segmentNumber, bytes] of made) {
      this.#parts.segments.noteMade(segmentNumber, bytes);
      this.#parts.host.stats.segments++;
    }
    for (const { log, walCount, made: runs } of logs) {
      this.#noteLive(runs);
      if (log.isDropped) {
        this.noteDead(runs);
      } else {
        log.dropFromWal(walCount);
        log.addRuns(runs);
      }
    }
    this.#exchange(merges);
  }

  /** Puts merged runs in the place of those that they were made of. */
  #exchange(merges: Merges): void {
    for (const { log, replaced, runs } of [...merges.values()].flat()) {
      this.#noteLive(runs);
      if (log.isDropped) {
        this.noteDead(runs);
      } else {
        log.replaceRuns(replaced, runs);
        this.#bury(replaced);
      }
    }
  }

  /** Removes segments that lost their last run, which the durable checkpoint no longer names. */
  #bury(dead: readonly Run[]): void {
    for (const { segmentNumber } of dead) {
      const left = (this.#liveRuns.get(segmentNumber) ?? 1) - 1;
      if (left > 0) {
        this.#liveRuns.set(segmentNumber, left);
      } else {
        this.#liveRuns.delete(segmentNumber);
        this.#parts.segments.remove(segmentNumber);
      }
    }
  }

  /** Removes what a build that did not finish has left behind. */
  removeOrphans(): void {
    const { env, held, segments } = this.#parts;
    for (const name of env.disk.list(held.paths.segments)) {
      const segmentNumber = segmentNumberOf(name);
      if (segmentNumber !== undefined && !this.#liveRuns.has(segmentNumber)) {
        segments.remove(segmentNumber);
      }
    }
  }
}

function rewrittenBy(rewriting: Rewriting): Merges {
  return new Map([[rewriting.log, rewriting.choose()]]);
}

function compactedParts(
  logs: readonly CutLog[],
  compactedOf: (log: PartitionLog) => CompactedPart | undefined,
): Uint8Array {
  return encodeCompactedParts(
    logs.flatMap(({ log }) => {
      const part = compactedOf(log);
      const { topicId, partition } = log;
      return part === undefined ? [] : [{ topicId, partition, part }];
    }),
  );
}

function runKey(run: Run): string {
  return `${run.segmentNumber}/${run.position}`;
}

/** What only the WAL has of a log, up to the cut. */
class WalSource implements RunSource {
  readonly topicId: string;
  readonly partition: number;
  readonly #cut: CutLog;
  #done: number;

  constructor(cut: CutLog) {
    this.topicId = cut.log.topicId;
    this.partition = cut.log.partition;
    this.#cut = cut;
    this.#done = cut.walFirst;
  }

  next(): FetchedBytes | undefined {
    const { log, walCount } = this.#cut;
    if (log.isDropped || this.#done === walCount) return undefined;
    const { count, fetched } = log.copyFromWal(this.#done, walCount, COPY_BYTES);
    this.#done += count;
    return fetched;
  }

  made(run: Run): void {
    this.#cut.made.push(run);
  }
}

function toPartitionCheckpoint(cut: CutLog, merges: readonly MergeSource[]): PartitionCheckpoint {
  const { topicId, partition, isDropped } = cut.log;
  const { endOffset, state } = cut;
  // The build left it where it was when the log was dropped: what there is of it is not all of it.
  if (isDropped) return { topicId, partition, startOffset: endOffset, endOffset, runs: [], state };
  const runs = [...cut.runs];
  for (const { replaced, runs: made } of merges) {
    const first = replaced[0];
    if (first !== undefined) runs.splice(runs.indexOf(first), replaced.length, ...made);
  }
  return {
    topicId,
    partition,
    startOffset: cut.startOffset,
    endOffset,
    runs: [...runs, ...cut.made],
    state,
  };
}
