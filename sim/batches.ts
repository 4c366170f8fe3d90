import { BatchBuilder } from "../src/records/index.ts";

export interface BatchIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** A batch of records with these values, all of one key where there is one. */
export function batchOf(
  values: readonly string[],
  timestampMs: number,
  { key, ...identity }: Partial<BatchIdentity> & { readonly key?: string | undefined } = {},
): Uint8Array {
  const builder = new BatchBuilder({ codec: "none", ...identity });
  const keyBytes = key === undefined ? undefined : Buffer.from(key);
  for (const value of values) builder.append(timestampMs, keyBytes, Buffer.from(value));
  return new Uint8Array(builder.finish());
}
