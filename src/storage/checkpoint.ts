/**
 * A checkpoint: where every partition's batches are, and the owners' state of each, cut at one place
 * of the WAL. What lies before that place in the WAL is never read again.
 *
 * The grammar is in docs/formats/checkpoint.md.
 */
import { ByteReader, ByteWriter, crc32c } from "../bytes/index.ts";
import type { Disk } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Run } from "./segment.ts";
import type { WalStart } from "./wal-recovery.ts";

const CHECKPOINT_FORMAT_VERSION = 1;
const MAGIC = new TextEncoder().encode("CWDCKP1\n");
const UNFINISHED = ".unfinished";
/** Magic, CRC, version. */
const PREFIX_BYTES = 16;

export interface PartitionCheckpoint {
  readonly topicId: string;
  readonly partition: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** In offset order. */
  readonly runs: readonly Run[];
  /** The owner's own. */
  readonly state: Uint8Array;
}

export interface Checkpoint {
  readonly checkpointNumber: number;
  readonly storeId: string;
  readonly incarnation: number;
  readonly createdMs: number;
  readonly nextSegmentNumber: number;
  readonly wal: WalStart;
  readonly partitions: readonly PartitionCheckpoint[];
  /** State of upper rooms, by name. */
  readonly attachments: ReadonlyMap<string, Uint8Array>;
}

export function checkpointFileName(checkpointNumber: number): string {
  return `${String(checkpointNumber).padStart(20, "0")}.ckpt`;
}

export function checkpointNumberOf(name: string): number | undefined {
  return /^\d{20}\.ckpt$/.test(name) ? Number(name.slice(0, 20)) : undefined;
}

function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const writer = new ByteWriter(64 << 10);
  writer.bytes(MAGIC);
  writer.int32(0);
  writer.int32(CHECKPOINT_FORMAT_VERSION);
  writer.uuid(checkpoint.storeId);
  writer.int64(checkpoint.checkpointNumber);
  writer.int64(checkpoint.incarnation);
  writer.int64(checkpoint.createdMs);
  writer.int64(checkpoint.nextSegmentNumber);
  writer.int64(checkpoint.wal.fileNumber);
  writer.int64(checkpoint.wal.position);
  writer.int64(checkpoint.wal.nextSequence);
  writer.int32(checkpoint.wal.previousCrc);
  writer.int64(checkpoint.wal.syncedThrough);
  writer.int32(checkpoint.partitions.length);
  for (const partition of checkpoint.partitions) encodePartition(writer, partition);
  writer.int32(checkpoint.attachments.size);
  for (const [name, bytes] of checkpoint.attachments) {
    writeBytes(writer, new TextEncoder().encode(name));
    writeBytes(writer, bytes);
  }
  const bytes = writer.finish().slice();
  const crc = crc32c(bytes, MAGIC.length + 4, bytes.length);
  new DataView(bytes.buffer).setUint32(MAGIC.length, crc);
  return bytes;
}

function encodePartition(writer: ByteWriter, partition: PartitionCheckpoint): void {
  writer.uuid(partition.topicId);
  writer.int32(partition.partition);
  writer.int64(partition.startOffset);
  writer.int64(partition.endOffset);
  writeBytes(writer, partition.state);
  writer.int32(partition.runs.length);
  for (const run of partition.runs) {
    writer.int64(run.segmentNumber);
    writer.int64(run.baseOffset);
    writer.int64(run.endOffset);
    writer.int64(run.position);
    writer.int64(run.sizeBytes);
    writer.int64(run.maxTimestamp);
    writer.int32(run.batchCount);
    writer.int32(run.sum);
    writer.int64(run.indexPosition);
    writer.int32(run.indexCount);
    writer.int32(run.leaderEpoch);
  }
}

function writeBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.int32(bytes.length);
  writer.bytes(bytes);
}

/**
 * Reads a checkpoint back.
 * @param path names the file in errors.
 * @throws LogError `data_corrupt`, `format_newer`.
 */
export function decodeCheckpoint(bytes: Uint8Array, path: string): Checkpoint {
  const corrupt = (cause?: unknown): LogError =>
    new LogError(
      "data_corrupt",
      `${path} is damaged. Nothing was changed. Restore the file from a backup.`,
      { cause },
    );
  if (bytes.length < PREFIX_BYTES || !MAGIC.every((byte, i) => bytes[i] === byte)) throw corrupt();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(MAGIC.length) !== crc32c(bytes, MAGIC.length + 4)) throw corrupt();
  const version = view.getUint32(12);
  if (version > CHECKPOINT_FORMAT_VERSION) {
    throw new LogError(
      "format_newer",
      `${path} has checkpoint format ${version}; this version reads up to ${CHECKPOINT_FORMAT_VERSION}. Use the newer version that wrote it.`,
    );
  }
  try {
    return decodeBody(new ByteReader(bytes, PREFIX_BYTES));
  } catch (error) {
    throw corrupt(error);
  }
}

function decodeBody(reader: ByteReader): Checkpoint {
  const storeId = reader.uuid();
  const checkpointNumber = reader.int64();
  const incarnation = reader.int64();
  const createdMs = reader.int64();
  const nextSegmentNumber = reader.int64();
  const wal = {
    fileNumber: reader.int64(),
    position: reader.int64(),
    nextSequence: reader.int64(),
    previousCrc: reader.uint32(),
    syncedThrough: reader.int64(),
  };
  const partitions = Array.from({ length: reader.uint32() }, () => decodePartition(reader));
  const attachments = new Map<string, Uint8Array>();
  for (let left = reader.uint32(); left > 0; left--) {
    const name = new TextDecoder().decode(readBytes(reader));
    attachments.set(name, readBytes(reader));
  }
  return {
    storeId,
    checkpointNumber,
    incarnation,
    createdMs,
    nextSegmentNumber,
    wal,
    partitions,
    attachments,
  };
}

function decodePartition(reader: ByteReader): PartitionCheckpoint {
  const topicId = reader.uuid();
  const partition = reader.uint32();
  const startOffset = reader.int64();
  const endOffset = reader.int64();
  const state = readBytes(reader);
  const runs = Array.from({ length: reader.uint32() }, () => ({
    topicId,
    partition,
    segmentNumber: reader.int64(),
    baseOffset: reader.int64(),
    endOffset: reader.int64(),
    position: reader.int64(),
    sizeBytes: reader.int64(),
    maxTimestamp: reader.int64(),
    batchCount: reader.uint32(),
    sum: reader.uint32(),
    indexPosition: reader.int64(),
    indexCount: reader.uint32(),
    leaderEpoch: reader.int32(),
  }));
  return { topicId, partition, startOffset, endOffset, runs, state };
}

function readBytes(reader: ByteReader): Uint8Array {
  return reader.bytes(reader.uint32()).slice();
}

/** The newest checkpoint of a directory; undefined where there is none. */
export function loadCheckpoint(disk: Disk, directory: string): Checkpoint | undefined {
  const newest = disk
    .list(directory)
    .filter((name) => checkpointNumberOf(name) !== undefined)
    .at(-1);
  if (newest === undefined) return undefined;
  const path = `${directory}/${newest}`;
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    return decodeCheckpoint(bytes, path);
  } finally {
    file.close();
  }
}

/** Makes a checkpoint durable under its name, and only then removes older ones. */
export async function saveCheckpoint(
  disk: Disk,
  directory: string,
  checkpoint: Checkpoint,
): Promise<void> {
  const path = `${directory}/${checkpointFileName(checkpoint.checkpointNumber)}`;
  const unfinished = `${path}${UNFINISHED}`;
  // Also what former tries left: on a full disk they would take the room that this one needs.
  for (const name of disk.list(directory)) {
    if (name.endsWith(UNFINISHED)) disk.remove(`${directory}/${name}`);
  }
  const file = disk.open(unfinished, "create");
  try {
    await file.writeAsync([encodeCheckpoint(checkpoint)], 0);
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(unfinished, path);
  await disk.syncDirectory(directory);
  for (const name of disk.list(directory)) {
    const number = checkpointNumberOf(name);
    const isOld = number !== undefined && number < checkpoint.checkpointNumber;
    if (isOld) disk.remove(`${directory}/${name}`);
  }
}
