/** One file of the write-ahead log: its name, its header, and what is known of its end. */
import { crc32c, readInt64, uuidToString, writeInt64, writeUuid } from "../bytes/index.ts";
import type { DiskFile } from "../env/index.ts";
import { FRAME_MAGIC_BYTES } from "./frame.ts";

export const WAL_HEADER_BYTES = 128;
export const WAL_FORMAT_VERSION = 1;
const MAGIC = new TextEncoder().encode("CWDWAL1\n");
const SUFFIX = ".wal";
const NUMBER_DIGITS = 20;

/** What the first bytes of a WAL file say. */
export interface WalFileHeader {
  readonly version: number;
  readonly storeId: string;
  /** Starts every frame of the store. */
  readonly frameMagic: Uint8Array;
  readonly fileNumber: number;
  /** Sequence of the first frame, whether or not one follows. */
  readonly firstSequence: number;
  readonly incarnation: number;
  /** Every frame up to here was on the device when this file was begun. */
  readonly syncedThrough: number;
  /** CRC of the frame before the first. */
  readonly previousCrc: number;
}

export function walFileName(fileNumber: number): string {
  return String(fileNumber).padStart(NUMBER_DIGITS, "0") + SUFFIX;
}

/** The number in a WAL file's name; undefined for other files. */
export function walFileNumber(name: string): number | undefined {
  if (!name.endsWith(SUFFIX) || name.length !== NUMBER_DIGITS + SUFFIX.length) return undefined;
  const digits = name.slice(0, NUMBER_DIGITS);
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

export function encodeWalHeader(header: WalFileHeader): Uint8Array {
  const bytes = new Uint8Array(WAL_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint32(12, header.version);
  writeUuid(header.storeId, bytes, 16);
  bytes.set(header.frameMagic, 32);
  writeInt64(view, 40, header.fileNumber);
  writeInt64(view, 48, header.firstSequence);
  writeInt64(view, 56, header.incarnation);
  writeInt64(view, 64, header.syncedThrough);
  view.setUint32(72, header.previousCrc);
  view.setUint32(8, crc32c(bytes, 12, WAL_HEADER_BYTES));
  return bytes;
}

/** Undefined when the bytes are not a whole header with the right CRC. */
export function decodeWalHeader(bytes: Uint8Array): WalFileHeader | undefined {
  if (bytes.length < WAL_HEADER_BYTES) return undefined;
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, WAL_HEADER_BYTES);
  if (view.getUint32(8) !== crc32c(bytes, 12, WAL_HEADER_BYTES)) return undefined;
  return {
    version: view.getUint32(12),
    storeId: uuidToString(bytes, 16),
    frameMagic: bytes.slice(32, 32 + FRAME_MAGIC_BYTES),
    fileNumber: readInt64(view, 40),
    firstSequence: readInt64(view, 48),
    incarnation: readInt64(view, 56),
    syncedThrough: readInt64(view, 64),
    previousCrc: view.getUint32(72),
  };
}

/** An open WAL file. */
export class WalFile {
  readonly fileNumber: number;
  readonly file: DiskFile;
  /**
   * The file, opened once more for those who sync it and wait. The system tells a failure once to each open
   * file, and what it told of a sync in the background may not have been heard yet.
   */
  twin: DiskFile | undefined;
  /** Where the next frame goes: behind the last valid one. */
  endPosition: number;
  /** Zeros were written up to here; equal to `endPosition` or above it. */
  filledTo: number;

  constructor(fileNumber: number, file: DiskFile, endPosition: number) {
    this.fileNumber = fileNumber;
    this.file = file;
    this.endPosition = endPosition;
    this.filledTo = endPosition;
  }

  close(): void {
    this.file.close();
    this.twin?.close();
  }
}

/** One number for a place in the WAL: its order is the order of writing. */
export function walAddress(fileNumber: number, position: number): number {
  return fileNumber * 0x1_0000_0000 + position;
}

export function addressFile(address: number): number {
  return Math.floor(address / 0x1_0000_0000);
}

export function addressPosition(address: number): number {
  return address % 0x1_0000_0000;
}
