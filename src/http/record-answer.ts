/** Sends records as an array of JSON or as lines of it, of any length in bounded memory. */
import type { HttpExchange } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { RecordCursor } from "../records/index.ts";
import type { PartitionReading } from "./partition-reading.ts";
import { RecordEncoder } from "./record-encoder.ts";

export const ndjsonType = "application/x-ndjson";

const forms = {
  array: { type: "application/json", begin: "[", between: ",\n", end: "]\n" },
  lines: { type: ndjsonType, begin: "", between: "\n", end: "" },
} as const;

/** Waits for the client between two pieces. Where reading fails after the first, the answer is broken off. */
export async function sendRecords(
  exchange: HttpExchange,
  reading: PartitionReading,
  form: keyof typeof forms,
): Promise<void> {
  const { type, begin, between, end } = forms[form];
  const headers = { "content-type": type, "x-content-type-options": "nosniff" };
  const encoder = new RecordEncoder();
  let isFirst = true;
  const visit = (cursor: RecordCursor): void => {
    if (!isFirst) encoder.ascii(between);
    isFirst = false;
    encoder.record(reading.partition.index, cursor);
  };
  let hasBegun = false;
  encoder.ascii(begin);
  try {
    for (;;) {
      await reading.step(visit);
      if (!reading.hasMore) break;
      if (!hasBegun) exchange.begin(200, headers);
      hasBegun = true;
      if (!exchange.write(encoder.take())) await exchange.drained();
      if (exchange.isGone) return;
    }
  } catch (thrown) {
    if (!hasBegun || !(thrown instanceof LogError)) throw thrown;
    exchange.abort();
    return;
  }
  encoder.ascii(end === "" && !isFirst ? "\n" : end);
  if (!hasBegun) {
    exchange.answer(200, headers, encoder.take());
    return;
  }
  exchange.write(encoder.take());
  exchange.end();
}
