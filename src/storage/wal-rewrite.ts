/** Makes bytes of the page cache dirty again, so that a sync means them. */
import type { Disk, DiskFile } from "../env/index.ts";
import { writeError } from "./io-errors.ts";
import type { FileRange } from "./wal-recovery.ts";

const CHUNK_BYTES = 1 << 20;

/**
 * Writes ranges over themselves. After a sync that failed, the system may take pages for clean that
 * never reached the device: the process that ended with it leaves them to be read by its successor,
 * whose own sync would succeed without having done anything.
 * @throws LogError `storage_full`, `storage_failed`.
 */
export function rewrite(disk: Disk, ranges: readonly FileRange[]): void {
  for (const range of ranges) {
    let file: DiskFile | undefined;
    try {
      file = disk.open(range.path, "write");
      rewriteRange(file, range);
    } catch (error) {
      throw writeError(error, range.path);
    } finally {
      file?.close();
    }
  }
}

function rewriteRange(file: DiskFile, { start, end }: FileRange): void {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - start));
  for (let at = start; at < end; at += chunk.length) {
    const count = file.read(chunk.subarray(0, end - at), at);
    if (count > 0) file.write([chunk.subarray(0, count)], at);
  }
}
