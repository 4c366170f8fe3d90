// A typed topic beside JSON alone: what the log costs on top of the values.
import { rmSync } from "node:fs";

import { open } from "../../src/index.ts";

interface Event {
  readonly id: string;
  readonly kind: string;
  readonly total: number;
  readonly items: readonly number[];
  readonly note: string;
}

function event(n: number): Event {
  return {
    id: `order-${n}`,
    kind: "order.created",
    total: n * 1.5,
    items: [n, n + 1, n + 2],
    note: "leave it with the neighbours",
  };
}

export interface TypedFigures {
  readonly appendNs: number;
  readonly readNs: number;
  readonly stringifyNs: number;
  readonly parseNs: number;
}

/** Nanoseconds for one event. */
export async function measureTyped(directory: string, count: number): Promise<TypedFigures> {
  const events = Array.from({ length: count }, (_, n) => event(n));
  const texts: string[] = [];
  const stringifyNs = timed(count, () => {
    for (const one of events) texts.push(JSON.stringify(one));
  });
  let checked = 0;
  const parseNs = timed(count, () => {
    for (const text of texts) checked += JSON.parse(text).total;
  });
  rmSync(directory, { recursive: true, force: true });
  await using store = await open(`file:${directory}`, { durability: "os" });
  const topic = await store.topic<Event>("events", { codec: "json" });
  const perCall = 1000;
  const start = performance.now();
  for (let at = 0; at < count; at += perCall) {
    await topic.appendMany(events.slice(at, at + perCall));
  }
  const appendNs = ((performance.now() - start) * 1e6) / count;
  const readStart = performance.now();
  for await (const { value } of topic.read()) checked -= value.total;
  const readNs = ((performance.now() - readStart) * 1e6) / count;
  if (checked !== 0) throw new Error("what was read is not what was written");
  return { appendNs, readNs, stringifyNs, parseNs };
}

function timed(count: number, run: () => void): number {
  const start = performance.now();
  run();
  return ((performance.now() - start) * 1e6) / count;
}
