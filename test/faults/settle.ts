import type { OpenedStore } from "../fixtures/store.ts";

/** Lets a store write what is open, and waits until it is durable. */
export async function untilSettled({ env, store }: OpenedStore): Promise<void> {
  store.flush();
  await env.run(store.syncWal());
  while (store.durableSequence < store.writtenSequence) await Promise.resolve();
}
