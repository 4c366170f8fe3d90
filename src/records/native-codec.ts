import { createRequire } from "node:module";

import { LogError } from "../errors/index.ts";

/**
 * Loads a native codec at its first use, so that a start that needs none pays for none.
 * @throws LogError unsupported_compression where this platform has no binary of it.
 */
export function loadNativeCodec(packageName: string): unknown {
  try {
    return createRequire(import.meta.url)(packageName);
  } catch (thrown) {
    const message = `the package ${packageName} cannot be loaded on this platform`;
    throw new LogError("unsupported_compression", message, { cause: thrown });
  }
}
