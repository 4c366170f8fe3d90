/**
 * Cordwood in your program: `open` for a store with topics, `openLog` for a single fast log.
 *
 * This file loads nothing but the error class; the engine is loaded when the first store is opened.
 *
 * @example
 * import { open } from "cordwood";
 *
 * await using store = await open("file:./data");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
import type { LogStore, StoreOptions } from "./library/index.ts";

export type { ErrorCode } from "./errors/index.ts";
export { LogError } from "./errors/index.ts";
export type * from "./library/index.ts";

/**
 * Opens a store: `memory:` for one that ends with the program, `file:./data` for a directory, which
 * is made where there is none.
 * @throws LogError invalid_argument, unsupported, directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt.
 */
export async function open(url: string, options?: StoreOptions): Promise<LogStore> {
  const [library, { localEnv }] = await Promise.all([
    import("./library/index.ts"),
    import("./env/node/local.ts"),
  ]);
  return library.LogStore.open(localEnv({ timersHoldProcess: false }), url, options);
}
