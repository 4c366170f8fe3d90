/** Errors of the operating system, as what they are to the user. */
import type { DiskFile } from "../env/index.ts";
import { LogError } from "../errors/index.ts";

/**
 * `file.read`, with the operating system's error as what it is to the user.
 * @throws LogError `storage_failed`.
 */
export function readOrFail(file: DiskFile, target: Uint8Array, position: number): number {
  try {
    return file.read(target, position);
  } catch (error) {
    throw readError(error, file.path);
  }
}

/** An error of the operating system at a read: it says nothing of what the file holds. */
export function readError(thrown: unknown, path: string): LogError {
  if (thrown instanceof LogError) return thrown;
  const { code = "", message = String(thrown) } = (thrown ?? {}) as Partial<
    Record<"code" | "message", string>
  >;
  if (code === "ENOENT") {
    return new LogError(
      "data_corrupt",
      `${path} is missing, and the store needs it. Nothing was changed. Restore it from a backup.`,
      { cause: thrown },
    );
  }
  return new LogError("storage_failed", `${path}: a read failed (${message}). Try again.`, {
    cause: thrown,
  });
}

/** An error of the operating system at a write, as what it is to the user. */
export function writeError(thrown: unknown, directory: string): LogError {
  if (thrown instanceof LogError) return thrown;
  const { code = "", message = String(thrown) } = (thrown ?? {}) as Partial<
    Record<"code" | "message", string>
  >;
  const isFull = ["ENOSPC", "EDQUOT", "EFBIG"].includes(code);
  return isFull
    ? new LogError(
        "storage_full",
        `${directory}: no space left (${message}). Nothing is lost; make room and try again.`,
        { cause: thrown },
      )
    : new LogError(
        "storage_failed",
        `${directory}: a write failed (${message}). Nothing of it was kept; try again.`,
        { cause: thrown },
      );
}
