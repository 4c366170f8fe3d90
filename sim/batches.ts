import { BatchBuilder } from "../src/records/index.ts";

export interface BatchIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** A batch of records with these values. */
export function batchOf(
  values: readonly string[],
  timestampMs: number,
  identity?: BatchIdentity,
): Uint8Array {
  const builder = new BatchBuilder({ codec: "none", ...identity });
  for (const value of values) builder.append(timestampMs, undefined, Buffer.from(value));
  return new Uint8Array(builder.finish());
}
