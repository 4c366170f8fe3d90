/** The write-ahead log in files: one synchronous write a frame, one fdatasync for all who wait. */
import type { Disk, DiskFile } from "../env/index.ts";
import { invariant } from "../errors/index.ts";
import { FrameHeader, FrameWriter, type FrameKind } from "./frame.ts";
import {
  encodeWalHeader,
  WAL_FORMAT_VERSION,
  WAL_HEADER_BYTES,
  WalFile,
  walAddress,
  walFileName,
} from "./wal-file.ts";

/** Zeros are written this much at a time, so that an fdatasync finds its blocks already written. */
const FILL_BYTES = 1 << 20;
/** One block for the logs of this process. */
let sharedZeros: Uint8Array | undefined;
const noBytes = new Uint8Array(0);
/** A checkpoint leaves a file of this size or more behind, so that its room is free once the checkpoint is durable. */
const CUT_FILE_BYTES_MIN = 1 << 20;
/** The next zeros follow when fewer than this are left ahead. */
const FILL_AHEAD_BYTES = 256 << 10;

interface WalIdentity {
  readonly directory: string;
  readonly storeId: string;
  readonly frameMagic: Uint8Array;
  readonly incarnation: number;
  /** A file is left for a new one at this size; a frame larger than it gets a file of its own. */
  readonly fileBytesMax: number;
  /** Whether files are zero-filled ahead: pays where every frame is synced, and only there. */
  readonly isFilledAhead: boolean;
  /** Whether {@link FileWal.syncNow} will be called. */
  readonly hasTwins: boolean;
}

/** Where the log goes on, as recovery found it. */
export interface WalTail {
  readonly nextSequence: number;
  readonly previousCrc: number;
  readonly syncedThrough: number;
  readonly nextFileNumber: number;
  readonly files: readonly WalFile[];
}

export class FileWal {
  readonly #disk: Disk;
  readonly #identity: WalIdentity;
  readonly #header = new FrameHeader();
  readonly #files = new Map<number, WalFile>();
  /** The file that takes frames; undefined until this incarnation writes its first. */
  #current: WalFile | undefined;
  #nextFileNumber: number;
  /** The number that the next frame will get. */
  #nextSequence: number;
  #previousCrc: number;
  /** All frames up to here are on the device. Never above `#nextSequence - 1`; never falls. */
  #syncedThrough: number;
  /** Files with frames that no sync has covered yet. */
  readonly #unsynced = new Set<WalFile>();
  /** Files that a sync under way covers. */
  readonly #underWay = new Set<WalFile>();
  /** Names that were made, and how many of them are on the device. A killed process may have left its last ones in the page cache only. */
  #namesMade = 1;
  #namesSynced = 0;
  /** Settles with the sync that was asked for last. */
  #lastSync: Promise<number> = Promise.resolve(-1);
  readonly #zeros: Uint8Array;

  constructor(disk: Disk, identity: WalIdentity, tail: WalTail) {
    this.#disk = disk;
    this.#identity = identity;
    this.#nextFileNumber = tail.nextFileNumber;
    this.#nextSequence = tail.nextSequence;
    this.#previousCrc = tail.previousCrc;
    this.#syncedThrough = tail.syncedThrough;
    this.#zeros = identity.isFilledAhead ? (sharedZeros ??= new Uint8Array(FILL_BYTES)) : noBytes;
    for (const file of tail.files) {
      this.#files.set(file.fileNumber, file);
      if (identity.hasTwins) file.twin = disk.open(file.file.path, "write");
      // A killed process may have left its last frames in the page cache only.
      if (tail.syncedThrough < tail.nextSequence - 1) this.#unsynced.add(file);
    }
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get syncedThrough(): number {
    return this.#syncedThrough;
  }

  /** Bytes of all files that are kept, for limits and metrics. */
  get sizeBytes(): number {
    let total = 0;
    for (const file of this.#files.values()) total += file.endPosition;
    return total;
  }

  /** The place behind the last frame, and the CRC that the next one is chained to. */
  cut(): { fileNumber: number; position: number; previousCrc: number } {
    const current = this.#cutFile();
    return {
      fileNumber: current.fileNumber,
      position: current.endPosition,
      previousCrc: this.#previousCrc,
    };
  }

  #cutFile(): WalFile {
    const current = this.#current;
    if (current === undefined) return this.#begin();
    if (current.endPosition < CUT_FILE_BYTES_MIN) return current;
    try {
      return this.#begin();
    } catch {
      // A full disk has no room for a new file: the former one stays whole until the next cut.
      this.#current = current;
      return current;
    }
  }

  /**
   * Writes one frame and returns the address of its body. After a throw (Node's own error) nothing
   * is in the log, and the same frame may be tried again.
   */
  append(kind: FrameKind, writer: FrameWriter, body: readonly Uint8Array[]): number {
    const sizeBytes = writer.sizeBytes;
    const file = this.#fileFor(sizeBytes);
    const header = this.#header;
    header.kind = kind;
    header.incarnation = this.#identity.incarnation;
    header.sequence = this.#nextSequence;
    header.previousCrc = this.#previousCrc;
    header.syncedThrough = this.#syncedThrough;
    const parts = writer.finishWith(header, body);
    if (this.#identity.isFilledAhead) this.#fillAhead(file, sizeBytes);
    const position = file.endPosition;
    file.file.write(parts, position);
    file.endPosition = position + sizeBytes;
    if (file.filledTo < file.endPosition) file.filledTo = file.endPosition;
    this.#nextSequence++;
    this.#previousCrc = header.crc;
    this.#unsynced.add(file);
    return walAddress(file.fileNumber, position + sizeBytes - writer.bodyBytes);
  }

  /**
   * Settles when every frame written before the call is on the device, and returns the last one's
   * sequence. A rejection is final: the pages that failed may be marked clean by now.
   */
  sync(): Promise<number> {
    // One at a time: a second one must not return before the first has covered its frames.
    this.#lastSync = this.#syncAfter(this.#lastSync);
    return this.#lastSync;
  }

  async #syncAfter(before: Promise<number>): Promise<number> {
    await before;
    const target = this.#nextSequence - 1;
    const files = [...this.#unsynced];
    const namesMade = this.#namesMade;
    this.#unsynced.clear();
    for (const file of files) this.#underWay.add(file);
    for (const file of files) {
      // Meanwhile a checkpoint may have let it go: what it held is on the device in segments then.
      if (this.#files.has(file.fileNumber)) await file.file.sync();
    }
    await this.#syncNames(namesMade);
    this.#underWay.clear();
    if (target > this.#syncedThrough) this.#syncedThrough = target;
    return target;
  }

  /**
   * Blocks until every frame written before is on the device, whatever is under way in the background,
   * and returns the last one's sequence. A throw is final, as a rejection of {@link FileWal.sync}.
   */
  syncNow(): number {
    const target = this.#nextSequence - 1;
    for (const file of new Set([...this.#underWay, ...this.#unsynced])) {
      if (this.#files.has(file.fileNumber)) twinOf(file).syncNow();
    }
    this.#unsynced.clear();
    if (this.#namesSynced < this.#namesMade) {
      this.#disk.syncDirectoryNow(this.#identity.directory);
      this.#namesSynced = this.#namesMade;
    }
    this.#syncedThrough = Math.max(target, this.#syncedThrough);
    return target;
  }

  /** Puts the first so many names on the device. */
  async #syncNames(count: number): Promise<void> {
    if (this.#namesSynced >= count) return;
    await this.#disk.syncDirectory(this.#identity.directory);
    this.#namesSynced = Math.max(count, this.#namesSynced);
  }

  /**
   * Puts the file that begins at or holds a cut on the device, with its name, so that recovery finds
   * where to go on. Of the files before it nothing is promised: they go once a checkpoint is durable.
   * A rejection is final, as that of {@link FileWal.sync}.
   */
  syncCut(fileNumber: number): Promise<void> {
    const done = this.#syncCutAfter(this.#lastSync, fileNumber);
    this.#lastSync = done;
    return done.then(() => undefined);
  }

  async #syncCutAfter(before: Promise<number>, fileNumber: number): Promise<number> {
    const target = await before;
    const namesMade = this.#namesMade;
    await this.file(fileNumber).file.sync();
    await this.#syncNames(namesMade);
    return target;
  }

  file(fileNumber: number): WalFile {
    const file = this.#files.get(fileNumber);
    invariant(file !== undefined, "an index points only into files that are kept");
    return file;
  }

  /** Removes the files before `fileNumber`; nothing may point into them any more. */
  trim(fileNumber: number): void {
    for (const file of this.#files.values()) {
      if (file.fileNumber >= fileNumber || file === this.#current) continue;
      this.#files.delete(file.fileNumber);
      this.#unsynced.delete(file);
      file.close();
      this.#disk.remove(file.file.path);
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #fileFor(sizeBytes: number): WalFile {
    const current = this.#current;
    if (current === undefined) return this.#begin();
    const isFull = current.endPosition + sizeBytes > this.#identity.fileBytesMax;
    return isFull && current.endPosition > WAL_HEADER_BYTES ? this.#begin() : current;
  }

  /**
   * Starts a file. Once that was tried nothing more goes to the file before it, and a number is used
   * once: a file that could not be begun, but whose header is found later, is then only an empty one.
   */
  #begin(): WalFile {
    this.#current = undefined;
    const fileNumber = this.#nextFileNumber++;
    const path = `${this.#identity.directory}/${walFileName(fileNumber)}`;
    const handle = this.#disk.open(path, "create");
    let twin: DiskFile | undefined;
    try {
      const header = encodeWalHeader({
        version: WAL_FORMAT_VERSION,
        storeId: this.#identity.storeId,
        frameMagic: this.#identity.frameMagic,
        fileNumber,
        firstSequence: this.#nextSequence,
        incarnation: this.#identity.incarnation,
        syncedThrough: this.#syncedThrough,
        previousCrc: this.#previousCrc,
      });
      handle.write([header], 0);
      if (this.#identity.hasTwins) twin = this.#disk.open(path, "write");
    } catch (error) {
      handle.close();
      this.#disk.remove(path);
      throw error;
    }
    const file = new WalFile(fileNumber, handle, WAL_HEADER_BYTES);
    file.twin = twin;
    this.#files.set(fileNumber, file);
    this.#unsynced.add(file);
    this.#namesMade++;
    this.#current = file;
    return file;
  }

  #fillAhead(file: WalFile, sizeBytes: number): void {
    const end = file.endPosition + sizeBytes;
    const isCovered = end + FILL_AHEAD_BYTES <= file.filledTo;
    if (isCovered || file.filledTo >= this.#identity.fileBytesMax) return;
    const from = Math.max(file.filledTo, end);
    const room = Math.max(this.#identity.fileBytesMax - from, 0);
    const zeros = this.#zeros.subarray(0, room);
    if (zeros.length === 0) return;
    try {
      file.file.write([zeros], from);
      file.filledTo = from + zeros.length;
    } catch {
      // Only speed is lost; where the frame itself finds no room, its own write says so.
    }
  }
}

function twinOf({ twin }: WalFile): DiskFile {
  invariant(twin !== undefined, "a log that is synced at once has its files opened twice");
  return twin;
}
