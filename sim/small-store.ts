/**
 * Opens every store of this process with the sizes that its environment asks for. The broker leaves
 * them at their defaults, with which a short world would never leave its first file.
 */
import type { Env } from "../src/env/index.ts";
import { Store, type StoreOptions } from "../src/storage/index.ts";

export type StoreSizes = Pick<
  StoreOptions,
  | "walFileBytes"
  | "segmentBytes"
  | "segmentRecords"
  | "segmentMs"
  | "checkpointBytes"
  | "checkpointBatches"
  | "checkpointMs"
  | "durability"
>;

const sizesOf = new WeakMap<Env, Partial<StoreSizes>>();
const storeOf = new WeakMap<Env, Store>();
const open = Store.open.bind(Store);

Store.open = async (env, options, owner) => {
  const sizes = sizesOf.get(env);
  const store = await open(env, { ...options, ...sizes, syncsNow: true }, owner);
  storeOf.set(env, store);
  return store;
};

/** The sizes of the store that will be opened with `env`. */
export function setStoreSizes(env: Env, sizes: Partial<StoreSizes>): void {
  sizesOf.set(env, sizes);
}

/** The store that was opened with `env`: the broker keeps it to itself. */
export function openedStore(env: Env): Store {
  const store = storeOf.get(env);
  if (store === undefined) throw new Error("no store was opened with this environment");
  return store;
}
