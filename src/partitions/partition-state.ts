import { ByteReader, ByteWriter, crc32c } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import { type ProducerBatch, ProducerTable } from "./producer-table.ts";

const formatVersion = 1;
/** Version and checksum. */
const prefixBytes = 8;
const nothing = new Uint8Array(0);

/** What recovery says of a batch. */
export interface RecoveredBatch extends ProducerBatch {
  readonly leaderEpoch: number;
}

/**
 * What a partition knows besides its batches, and takes from them: idempotent producers and leader
 * epochs. Both tables are made at first use, so that an idle partition has none.
 * The bytes of {@link PartitionState.encode} are written down in docs/formats/partition-state.md.
 */
export class PartitionState {
  producers: ProducerTable | undefined;
  epochs: LeaderEpochs | undefined;

  /** Takes in a batch that is in the log, the next after those before. */
  recover(batch: RecoveredBatch, nowMs: number): void {
    this.assignEpoch(batch.leaderEpoch, batch.baseOffset);
    if (batch.producerId < 0) return;
    this.producers ??= new ProducerTable();
    this.producers.recover(batch, nowMs);
  }

  assignEpoch(epoch: number, baseOffset: number): void {
    this.epochs ??= new LeaderEpochs();
    this.epochs.assign(epoch, baseOffset);
  }

  /** The state as of all frames that are written; `endOffset` is where the log ended then. */
  encode(endOffset: number, logStartOffset: number): Uint8Array {
    this.epochs?.trim(logStartOffset);
    const isEmpty = (this.producers?.size ?? 0) === 0 && (this.epochs?.count ?? 0) === 0;
    if (isEmpty) return nothing;
    const writer = new ByteWriter();
    writer.int32(formatVersion);
    writer.int32(0);
    (this.epochs ?? new LeaderEpochs()).encode(writer, endOffset);
    (this.producers ?? new ProducerTable()).encode(writer);
    writer.patchInt32(4, crc32c(writer.finish(), prefixBytes));
    return writer.take();
  }

  /**
   * @param name names the partition in errors.
   * @throws LogError data_corrupt, format_newer.
   */
  static decode(bytes: Uint8Array, name: string): PartitionState {
    const state = new PartitionState();
    if (bytes.length === 0) return state;
    if (bytes.length < prefixBytes) throw damaged(name, `${bytes.length} bytes`);
    const reader = new ByteReader(bytes);
    const version = reader.int32();
    if (version > formatVersion) {
      throw new LogError(
        "format_newer",
        `${name}: its state has version ${version}, this program reads up to ${formatVersion}; use the program that wrote it or a newer one`,
      );
    }
    if (version < 1) throw damaged(name, `version ${version} never existed`);
    if (reader.uint32() !== crc32c(bytes, prefixBytes)) throw damaged(name, "the CRC does not fit");
    try {
      const epochs = LeaderEpochs.decode(reader);
      const producers = ProducerTable.decode(reader);
      if (epochs.count > 0) state.epochs = epochs;
      if (producers.size > 0) state.producers = producers;
    } catch (error) {
      throw damaged(name, "it is cut", error);
    }
    if (reader.remaining > 0) throw damaged(name, `${reader.remaining} bytes too many`);
    return state;
  }
}

function damaged(name: string, how: string, cause?: unknown): LogError {
  return new LogError(
    "data_corrupt",
    `${name}: its state in the checkpoint is damaged: ${how}`,
    cause === undefined ? undefined : { cause },
  );
}
