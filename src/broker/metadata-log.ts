import { invariant, LogError } from "../errors/index.ts";
import {
  type Applied,
  type Command,
  decodeCommand,
  encodeCommand,
  metadataTopicId,
  MetadataState,
  type Rejected,
} from "../metadata/index.ts";
import {
  type AppendOutcome,
  type Partition,
  type Partitions,
  settled,
} from "../partitions/index.ts";
import { BatchBuilder } from "../records/index.ts";
import { internalPolicy } from "./broker-config.ts";
import { allSettled, replay } from "./replay.ts";
import { WorkQueue } from "./work-queue.ts";

const attachmentName = "metadata";
/** Commands of one call are written in batches of this size. */
const batchBytesMax = 1 << 20;

/** Done for each change before the next one is proposed and the proposer is answered. */
export type AppliedHook = (applied: Applied) => Promise<void>;

/**
 * The metadata log of a store, and the state that it says. The only place where commands are
 * proposed: each is judged, written, and applied once it is durable, one proposal after another.
 * In a cluster the same interface stands before a log that many brokers write.
 */
export class MetadataLog {
  readonly #partition: Partition;
  readonly #clock: () => number;
  readonly #queue = new WorkQueue();
  #state = new MetadataState();
  /** State of the last snapshot, which is the same as long as nothing was applied. */
  #snapshot: { readonly nextOffset: number; readonly bytes: Uint8Array } | undefined;
  #onApplied: AppliedHook | undefined;

  private constructor(partition: Partition, clock: () => number) {
    this.#partition = partition;
    this.#clock = clock;
  }

  /**
   * Replays the log: the snapshot of the checkpoint, then the records after it.
   * @throws LogError data_corrupt, format_newer.
   */
  static async open(partitions: Partitions, clock: () => number): Promise<MetadataLog> {
    const partition = partitions.openPartition(
      { topicId: metadataTopicId, policy: internalPolicy, isInternal: true },
      0,
    );
    const log = new MetadataLog(partition, clock);
    const { store } = partitions;
    const opened = store.attachment(attachmentName);
    let isReplayed = false;
    // A checkpoint that comes before the replay is done keeps what the last one had.
    store.setAttachment(attachmentName, () =>
      isReplayed ? log.#snapshotBytes() : (opened ?? new Uint8Array(0)),
    );
    if (opened !== undefined && opened.length > 0) log.#state = MetadataState.restore(opened);
    await replay(partition, log.#state.nextOffset, (record) => {
      const value = record.value();
      if (value === undefined) {
        throw new LogError("data_corrupt", `metadata entry ${record.offset} has no value`);
      }
      log.#state.apply(decodeCommand(value), record.offset);
    });
    isReplayed = true;
    return log;
  }

  get state(): MetadataState {
    return this.#state;
  }

  set onApplied(hook: AppliedHook) {
    this.#onApplied = hook;
  }

  /** What would be refused before it is written; undefined where nothing speaks against it now. */
  check(command: Command): Rejected | undefined {
    return this.#state.check(command);
  }

  /**
   * Makes changes, in order, and answers what became of each. What cannot be done, or cannot be
   * written, is answered as rejected; the others are done all the same.
   * @throws LogError closed, limit_exceeded.
   */
  propose(commands: readonly Command[]): Promise<Applied[]> {
    return this.#queue.run(() => this.#commit(commands));
  }

  async proposeOne(command: Command): Promise<Applied> {
    const [applied] = await this.propose([command]);
    invariant(applied !== undefined, "every command is answered");
    return applied;
  }

  /** Waits for what was proposed, and refuses what comes. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  async #commit(commands: readonly Command[]): Promise<Applied[]> {
    const proposals = commands.map((command) => this.#judge(command));
    const writes = this.#write(proposals.filter((proposal) => proposal.rejected === undefined));
    await allSettled(writes.map(({ outcome }) => outcome));
    for (const { outcome, proposals: written } of writes) {
      const error = settled(outcome);
      if (error !== undefined || outcome.kind === "refused") {
        for (const proposal of written) proposal.rejected = rejection(error);
        continue;
      }
      let offset = outcome.baseOffset;
      for (const proposal of written) {
        proposal.applied = this.#state.apply(proposal.command, offset++);
      }
    }
    const hook = this.#onApplied;
    if (hook !== undefined) {
      for (const { applied } of proposals) if (applied !== undefined) await hook(applied);
    }
    return proposals.map((proposal) => proposal.applied ?? proposal.rejected ?? rejection());
  }

  #judge(command: Command): Proposal {
    const rejected = this.#state.check(command);
    if (rejected !== undefined) return { command, value: nothing, rejected, applied: undefined };
    const value = encodeCommand(command);
    const isTooLarge = value.length > batchBytesMax / 2;
    return {
      command,
      value,
      rejected: isTooLarge ? tooLarge(value.length) : undefined,
      applied: undefined,
    };
  }

  #write(proposals: readonly Proposal[]): Write[] {
    const writes: Write[] = [];
    const builder = new BatchBuilder({ codec: "none", bytesMax: batchBytesMax });
    const nowMs = this.#clock();
    let batch: Proposal[] = [];
    const finish = (): void => {
      if (batch.length === 0) return;
      const outcome = this.#partition.appendInternal(builder.finish(), nowMs);
      writes.push({ outcome, proposals: batch });
      batch = [];
    };
    for (const proposal of proposals) {
      if (!builder.append(nowMs, undefined, proposal.value)) {
        finish();
        const isAdded = builder.append(nowMs, undefined, proposal.value);
        invariant(isAdded, "an entry that was judged fits into a batch");
      }
      batch.push(proposal);
    }
    finish();
    return writes;
  }

  #snapshotBytes(): Uint8Array {
    const { nextOffset } = this.#state;
    if (this.#snapshot?.nextOffset !== nextOffset) {
      this.#snapshot = { nextOffset, bytes: this.#state.snapshot() };
    }
    return this.#snapshot.bytes;
  }
}

interface Proposal {
  readonly command: Command;
  readonly value: Uint8Array;
  rejected: Rejected | undefined;
  applied: Applied | undefined;
}

interface Write {
  readonly outcome: AppendOutcome;
  readonly proposals: readonly Proposal[];
}

const nothing = new Uint8Array(0);

function rejection(error?: LogError): Rejected {
  return {
    kind: "rejected",
    code: error?.code ?? "internal",
    message: error?.message ?? "the change was not written",
  };
}

function tooLarge(bytes: number): Rejected {
  return {
    kind: "rejected",
    code: "limit_exceeded",
    message: `the change takes ${bytes} bytes, ${batchBytesMax / 2} are allowed`,
  };
}
