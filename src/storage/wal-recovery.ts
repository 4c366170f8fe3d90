/**
 * Finds the end of a write-ahead log, and tells a torn tail from damage.
 *
 * Blocks that were not synced reach the device in any order, so a bad frame before a good one proves
 * nothing by itself. Every frame, and every file, says how far the log was synced when it was
 * written: a bad frame at or below the largest such claim is damage, which is named and never cut;
 * above it, the valid run is kept and the rest was never promised to anybody.
 */
import type { Disk, DiskFile } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { BatchHeader, checkStoredBatch } from "../records/index.ts";
import type { WalTail } from "./file-wal.ts";
import {
  ENTRY_BATCH,
  FRAME_ENTRY_BYTES,
  FRAME_HEADER_BYTES,
  frameCrc,
  FrameEntry,
  FrameHeader,
} from "./frame.ts";
import {
  decodeWalHeader,
  WAL_FORMAT_VERSION,
  WAL_HEADER_BYTES,
  WalFile,
  walAddress,
  walFileName,
  walFileNumber,
  type WalFileHeader,
} from "./wal-file.ts";

/** Whose log it is, as the store's directory says. */
export interface WalOwner {
  readonly directory: string;
  readonly storeId: string;
  readonly frameMagic: Uint8Array;
}

const WINDOW_BYTES = 64 << 10;
const SEARCH_BYTES = 1 << 20;

/** Where reading starts: the beginning of the log, or the place that the checkpoint covers. */
export interface WalStart {
  readonly fileNumber: number;
  readonly position: number;
  readonly nextSequence: number;
  readonly previousCrc: number;
  readonly syncedThrough: number;
}

export interface WalScan extends WalTail {
  readonly lastIncarnation: number;
  /** What was cut: a torn tail that nobody was promised. */
  readonly cut: { readonly path: string; readonly position: number } | undefined;
  /** What is kept though nothing says that it was ever synced. */
  readonly unsynced: readonly FileRange[];
}

/** Bytes of a file, from `start` up to `end`. */
export interface FileRange {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

/** Called for each entry of each frame that is kept, in order; `address` is that of the frame's body. */
export type EntryVisitor = (entry: FrameEntry, address: number, header: FrameHeader) => void;

interface OpenFile {
  readonly header: WalFileHeader;
  readonly file: DiskFile;
  readonly size: number;
}

/**
 * Reads the WAL of `identity.directory` from `start` on.
 * @throws LogError `data_corrupt` with file and position, `format_newer`.
 */
export function recoverWal(
  disk: Disk,
  identity: WalOwner,
  start: WalStart | undefined,
  visit: EntryVisitor,
): WalScan {
  const scanner = new WalScanner(disk, identity, start);
  try {
    scanner.open(identity.directory);
    return scanner.recover(visit);
  } catch (error) {
    scanner.close();
    throw error;
  }
}

/** The same without changing anything: what a start would keep, and where it would cut. */
// oxlint-disable-next-line max-params -- the same four as its writing twin
export function scanWal(
  disk: Disk,
  identity: WalOwner,
  start: WalStart | undefined,
  visit: EntryVisitor,
): { readonly frameCount: number; readonly cut: string | undefined } {
  const scanner = new WalScanner(disk, identity, start);
  try {
    scanner.open(identity.directory);
    const { end } = scanner.read(visit);
    return { frameCount: scanner.frameCount(end), cut: scanner.cutPath(end) };
  } finally {
    scanner.close();
  }
}

/**
 * The same for a reader beside the writer: answers where the next look goes on. What it throws as
 * damage may be a frame that was being written; then a second look finds it whole.
 */
// oxlint-disable-next-line max-params -- the same four as its writing twin
export function followWal(
  disk: Disk,
  identity: WalOwner,
  start: WalStart | undefined,
  visit: EntryVisitor,
): WalStart | undefined {
  const scanner = new WalScanner(disk, identity, start);
  try {
    scanner.open(identity.directory);
    const { end, syncedThrough } = scanner.read(visit);
    return scanner.startAt(end, syncedThrough) ?? start;
  } finally {
    scanner.close();
  }
}

/** Where a frame is missing or damaged below what was synced. */
export interface WalDamage {
  readonly path: string;
  readonly position: number;
  /** Of the first frame that cannot be had. */
  readonly sequence: number;
}

/**
 * Looks for damage without changing anything; `visit` sees the frames before it.
 * @throws LogError `data_corrupt` where the beginning of the log is missing, `format_newer`.
 */
// oxlint-disable-next-line max-params -- the same four as its twins
export function findWalDamage(
  disk: Disk,
  identity: WalOwner,
  start: WalStart | undefined,
  visit: EntryVisitor,
): WalDamage | undefined {
  const scanner = new WalScanner(disk, identity, start);
  try {
    scanner.open(identity.directory);
    const { end, syncedThrough } = scanner.walkAll(visit);
    if (end.nextSequence > syncedThrough) return undefined;
    return { path: end.path, position: end.position, sequence: end.nextSequence };
  } finally {
    scanner.close();
  }
}

class WalScanner {
  readonly #disk: Disk;
  readonly #storeId: string;
  readonly #magic: Uint8Array;
  readonly #start: WalStart;
  readonly #isFromCheckpoint: boolean;
  readonly #files: OpenFile[] = [];
  /** Files without a whole header: begun by a process that died before it was on the device, or damaged. */
  readonly #headless: DiskFile[] = [];
  readonly #window = new FrameWindow();
  /** Of the first file that is there, whole or not. */
  #firstPath = "";
  /** Where in each file the last frame ends that is known to be synced. */
  readonly #syncedTo = new Map<number, number>();
  #lastFileNumber = 0;
  #lastIncarnation = 0;

  constructor(disk: Disk, { storeId, frameMagic }: WalOwner, start: WalStart | undefined) {
    this.#disk = disk;
    this.#storeId = storeId;
    this.#magic = frameMagic;
    this.#isFromCheckpoint = start !== undefined;
    this.#start = start ?? {
      fileNumber: 0,
      position: WAL_HEADER_BYTES,
      nextSequence: 0,
      previousCrc: 0,
      syncedThrough: -1,
    };
  }

  open(directory: string): void {
    for (const name of this.#disk.list(directory)) {
      const fileNumber = walFileNumber(name);
      if (fileNumber === undefined) continue;
      this.#lastFileNumber = Math.max(this.#lastFileNumber, fileNumber);
      if (fileNumber >= this.#start.fileNumber) this.#open(`${directory}/${name}`, fileNumber);
    }
    if (!this.#isFromCheckpoint) return;
    if (this.#files[0]?.header.fileNumber === this.#start.fileNumber) return;
    const path = `${directory}/${walFileName(this.#start.fileNumber)}`;
    throw corrupt(
      path,
      0,
      "the file, which the checkpoint needs, is missing or has lost its header",
    );
  }

  #open(path: string, fileNumber: number): void {
    this.#firstPath ||= path;
    const file = this.#disk.open(path, "read");
    const bytes = new Uint8Array(WAL_HEADER_BYTES);
    file.read(bytes, 0);
    const header = decodeWalHeader(bytes);
    if (header === undefined || header.fileNumber !== fileNumber) {
      this.#headless.push(file);
      return;
    }
    this.#files.push({ header, file, size: file.size() });
    if (header.version > WAL_FORMAT_VERSION) {
      throw new LogError(
        "format_newer",
        `${path} has WAL format ${header.version}; this version reads up to ${WAL_FORMAT_VERSION}. Use the newer version that wrote it.`,
      );
    }
    const isOurs =
      header.storeId === this.#storeId && Buffer.compare(header.frameMagic, this.#magic) === 0;
    if (!isOurs) {
      // Without this every frame of the file would pass for the rest of a torn tail.
      throw new LogError(
        "data_corrupt",
        `${path} belongs to store ${header.storeId}; cordwood.json says ${this.#storeId}, or another frame magic. Nothing was changed. Restore the one that is wrong from a backup.`,
      );
    }
    this.#lastIncarnation = Math.max(this.#lastIncarnation, header.incarnation);
  }

  recover(visit: EntryVisitor): WalScan {
    const { end, syncedThrough } = this.read(visit);
    return this.#finish(end, syncedThrough);
  }

  read(visit: EntryVisitor): { readonly end: WalEnd; readonly syncedThrough: number } {
    const { end, syncedThrough } = this.walkAll(visit);
    if (end.nextSequence <= syncedThrough) {
      throw corrupt(end.path, end.position, `frame ${end.nextSequence} is damaged or missing`);
    }
    return { end, syncedThrough };
  }

  walkAll(visit: EntryVisitor): { readonly end: WalEnd; readonly syncedThrough: number } {
    const whole = this.#walk(Infinity, undefined);
    let syncedThrough = Math.max(this.#start.syncedThrough, whole.syncedThrough);
    for (const { header } of this.#files) {
      syncedThrough = Math.max(syncedThrough, header.syncedThrough);
    }
    syncedThrough = Math.max(syncedThrough, this.#claimsBeyond(whole));
    const end = this.#walk(syncedThrough, visit);
    // The very first file may be the one that lost its header, or that is missing.
    if (end.fileIndex < 0) end.path = this.#firstPath;
    return { end, syncedThrough };
  }

  /** Goes through the frames in order; bodies above `trustedThrough` are checked where entries are delivered. */
  #walk(trustedThrough: number, visit: EntryVisitor | undefined): WalEnd {
    const end = new WalEnd(this.#start);
    for (const [index, open] of this.#files.entries()) {
      const isStart = this.#isFromCheckpoint && index === 0;
      if (!isStart && !end.isFollowedBy(open.header)) break;
      end.enter(index, open.file.path, isStart ? this.#start.position : WAL_HEADER_BYTES);
      if (isStart) this.#syncedTo.set(index, this.#start.position);
      this.#walkFile(index, end, trustedThrough, visit);
    }
    return end;
  }

  // oxlint-disable-next-line max-params -- the four are the walk itself; an object would be made for each file
  #walkFile(
    index: number,
    end: WalEnd,
    trustedThrough: number,
    visit: EntryVisitor | undefined,
  ): void {
    const open = this.#files[index];
    const next = this.#files[index + 1]?.header;
    if (open === undefined) return;
    const window = this.#window;
    window.reset(open.file, open.size, this.#magic);
    for (;;) {
      // A file ends where its successor begins: what lies behind was cut by an earlier recovery.
      if (next !== undefined && end.isFollowedBy(next)) return;
      const header = window.frameAt(end.position);
      if (header === undefined || !end.isNext(header, open.header.incarnation)) return;
      if (visit !== undefined) {
        const needsBody = header.sequence > trustedThrough;
        if (needsBody && !window.isBodyWhole(end.position)) return;
        window.visitEntries(walAddress(open.header.fileNumber, 0) + end.position, visit);
      }
      end.pass(header);
      const isSynced = visit !== undefined && header.sequence <= trustedThrough;
      if (isSynced) this.#syncedTo.set(index, end.position);
    }
  }

  /** The largest claim of any whole frame behind the place where the walk ended. */
  #claimsBeyond(end: WalEnd): number {
    const claims = [-1];
    const search = (file: DiskFile, from: number): void => {
      this.#window.reset(file, file.size(), this.#magic);
      claims.push(this.#window.largestClaim(from, end.nextSequence, this.#lastIncarnation + 1));
    };
    for (const [index, { file }] of this.#files.entries()) {
      if (index >= end.fileIndex) search(file, index === end.fileIndex ? end.position : 0);
    }
    for (const file of this.#headless) search(file, 0);
    return Math.max(...claims);
  }

  #finish(end: WalEnd, syncedThrough: number): WalScan {
    const path = this.cutPath(end);
    const kept: WalFile[] = [];
    const unsynced: FileRange[] = [];
    for (const [index, open] of this.#files.entries()) {
      if (index <= end.fileIndex) {
        const position = index === end.fileIndex ? end.position : open.size;
        kept.push(new WalFile(open.header.fileNumber, open.file, position));
        const start = this.#syncedTo.get(index) ?? 0;
        if (start < position) unsynced.push({ path: open.file.path, start, end: position });
      } else {
        // Every frame in it lies behind the cut.
        open.file.close();
        this.#disk.remove(open.file.path);
      }
    }
    for (const file of this.#headless) {
      file.close();
      this.#disk.remove(file.path);
    }
    return {
      files: kept,
      nextSequence: end.nextSequence,
      previousCrc: end.previousCrc,
      syncedThrough,
      nextFileNumber: this.#lastFileNumber + 1,
      lastIncarnation: this.#lastIncarnation,
      cut: path === undefined ? undefined : { path, position: end.position },
      unsynced,
    };
  }

  /** Where `end` is, for a later look; undefined where there is no file. */
  startAt(end: WalEnd, syncedThrough: number): WalStart | undefined {
    const open = this.#files[end.fileIndex];
    if (open === undefined) return undefined;
    const { position, nextSequence, previousCrc } = end;
    const { fileNumber } = open.header;
    return { fileNumber, position, nextSequence, previousCrc, syncedThrough };
  }

  frameCount(end: WalEnd): number {
    return end.nextSequence - this.#start.nextSequence;
  }

  /** The file that holds bytes behind the last good frame; undefined where there are none. */
  cutPath(end: WalEnd): string | undefined {
    const tail = this.#files[end.fileIndex];
    if (tail !== undefined && this.#hasBytes(tail, end.position)) return tail.file.path;
    return this.#files[end.fileIndex + 1]?.file.path;
  }

  /** Whether something else than zeros begins at `position`. */
  #hasBytes(open: OpenFile, position: number): boolean {
    const bytes = new Uint8Array(FRAME_HEADER_BYTES);
    const count = open.file.read(bytes, position);
    return bytes.subarray(0, count).some((byte) => byte !== 0);
  }

  close(): void {
    for (const { file } of this.#files) file.close();
    for (const file of this.#headless) file.close();
  }
}

/** How far a walk came. */
class WalEnd {
  nextSequence: number;
  previousCrc: number;
  syncedThrough: number;
  fileIndex = -1;
  path = "";
  position = 0;

  constructor(start: WalStart) {
    this.nextSequence = start.nextSequence;
    this.previousCrc = start.previousCrc;
    this.syncedThrough = start.syncedThrough;
  }

  enter(fileIndex: number, path: string, position: number): void {
    this.fileIndex = fileIndex;
    this.path = path;
    this.position = position;
  }

  isFollowedBy(header: WalFileHeader): boolean {
    return header.firstSequence === this.nextSequence && header.previousCrc === this.previousCrc;
  }

  isNext(header: FrameHeader, incarnation: number): boolean {
    return (
      header.sequence === this.nextSequence &&
      header.previousCrc === this.previousCrc &&
      header.incarnation === incarnation
    );
  }

  pass(header: FrameHeader): void {
    this.nextSequence = header.sequence + 1;
    this.previousCrc = header.crc;
    this.syncedThrough = Math.max(this.syncedThrough, header.syncedThrough);
    this.position += header.sizeBytes;
  }
}

/** A moving view of one file that hands out whole, checked frame headers and directories. */
class FrameWindow {
  #file: DiskFile | undefined;
  #fileBytes = 0;
  #magic: Uint8Array = new Uint8Array(0);
  #bytes = new Uint8Array(WINDOW_BYTES);
  #start = 0;
  #end = 0;
  #body = new Uint8Array(0);
  readonly #header = new FrameHeader();
  readonly #entry = new FrameEntry();
  readonly #batch = new BatchHeader();

  reset(file: DiskFile, fileBytes: number, magic: Uint8Array): void {
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.#magic = magic;
    this.#start = 0;
    this.#end = 0;
  }

  /** The frame that begins at `position` of the file; undefined where none does or it is damaged. Valid until the next call. */
  frameAt(position: number): FrameHeader | undefined {
    if (!this.#load(position, FRAME_HEADER_BYTES)) return undefined;
    const header = FrameHeader.read(this.#header, this.#bytes, position - this.#start, this.#magic);
    if (header === undefined || position + header.sizeBytes > this.#fileBytes) return undefined;
    if (!this.#load(position, FRAME_HEADER_BYTES + header.directoryBytes)) return undefined;
    const isWhole = frameCrc(this.#bytes, position - this.#start, header) === header.crc;
    return isWhole ? header : undefined;
  }

  /** Calls `visit` for each entry of the frame that {@link frameAt} last returned, which lies at `frameAddress`. */
  visitEntries(frameAddress: number, visit: EntryVisitor): void {
    const header = this.#header;
    const bodyAddress = frameAddress + FRAME_HEADER_BYTES + header.directoryBytes;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    const first = (frameAddress % 0x1_0000_0000) - this.#start + FRAME_HEADER_BYTES;
    for (let i = 0; i < header.entryCount; i++) {
      this.#entry.read(view, this.#bytes, first + i * FRAME_ENTRY_BYTES);
      visit(this.#entry, bodyAddress, header);
    }
  }

  /** Whether every batch of the frame at `position`, last returned by {@link frameAt}, is there as its directory says. */
  isBodyWhole(position: number): boolean {
    const header = this.#header;
    if (header.bodyBytes === 0) return true;
    if (this.#body.length < header.bodyBytes) this.#body = new Uint8Array(header.bodyBytes);
    const body = this.#body.subarray(0, header.bodyBytes);
    const bodyStart = position + FRAME_HEADER_BYTES + header.directoryBytes;
    if (this.#file?.read(body, bodyStart) !== header.bodyBytes) return false;
    let isWhole = true;
    this.visitEntries(position, (entry) => {
      if (isWhole && entry.kind === ENTRY_BATCH) isWhole = this.#isBatchWhole(body, entry);
    });
    return isWhole;
  }

  #isBatchWhole(body: Uint8Array, entry: FrameEntry): boolean {
    const batch = this.#batch;
    const fault = checkStoredBatch(body, entry.position, body.length, batch);
    return (
      fault === undefined &&
      batch.baseOffset === entry.baseOffset &&
      batch.sizeBytes === entry.sizeBytes &&
      batch.leaderEpoch === entry.leaderEpoch &&
      batch.crc === entry.crc
    );
  }

  /** The largest `syncedThrough` of whole frames at or behind `from`, wherever they begin, with a sequence of `sequenceMin` or more. */
  largestClaim(from: number, sequenceMin: number, incarnationMax: number): number {
    let claim = -1;
    const overlap = this.#magic.length - 1;
    const chunk = Buffer.alloc(
      Math.min(SEARCH_BYTES, Math.max(this.#fileBytes - from, 0) + overlap),
    );
    for (let at = from; at < this.#fileBytes; at += chunk.length - overlap) {
      const count = this.#file?.read(chunk, at) ?? 0;
      const bytes = chunk.subarray(0, count);
      for (let i = bytes.indexOf(this.#magic); i >= 0; i = bytes.indexOf(this.#magic, i + 1)) {
        const header = this.frameAt(at + i);
        if (header === undefined || header.sequence < sequenceMin) continue;
        if (header.incarnation <= incarnationMax) claim = Math.max(claim, header.syncedThrough);
      }
      if (count < chunk.length) break;
    }
    return claim;
  }

  /** Makes `count` bytes from `position` on available; false where the file ends before. */
  #load(position: number, count: number): boolean {
    if (position >= this.#start && position + count <= this.#end) return true;
    if (position + count > this.#fileBytes) return false;
    if (this.#bytes.length < count) this.#bytes = new Uint8Array(count + WINDOW_BYTES);
    this.#start = position;
    this.#end = position + (this.#file?.read(this.#bytes, position) ?? 0);
    return position + count <= this.#end;
  }
}

function corrupt(path: string, position: number, what: string): LogError {
  return new LogError(
    "data_corrupt",
    `${path}: ${what} at position ${position}, below data that was synced after it. Nothing was changed. ` +
      "Restore the file from a backup; `cordwood storage verify` shows what else is affected.",
  );
}
