// A typed topic beside JSON alone: what the log costs on top of the values.
import { rmSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { open, type Store, type Topic } from "../../src/index.ts";

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

/** Events of one `appendMany`. */
const PER_CALL = 1000;
/** Events that are measured at a time. */
const PIECE = 5 * PER_CALL;
/** Pieces that go before, until everything is compiled. */
const PIECES_BEFORE = 6;

export interface TypedFigures {
  readonly appendNs: number;
  readonly readNs: number;
  readonly stringifyNs: number;
  readonly parseNs: number;
}

/**
 * Nanoseconds for one event. The log and JSON alone take turns, a few milliseconds each, so that
 * whatever else the machine does meets both; the medians of the turns are answered.
 */
export async function measureTyped(directory: string, count: number): Promise<TypedFigures> {
  const events = Array.from({ length: count + PIECES_BEFORE * PIECE }, (_, n) => event(n));
  const texts = events.map((one) => JSON.stringify(one));
  rmSync(directory, { recursive: true, force: true });
  await using store = await open(`file:${directory}`, { durability: "os" });
  const topic = await store.topic<Event>("events", { codec: "json" });
  // What was made so far is moved to where it stays, at nobody's cost.
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  const stringify: number[] = [];
  const append: number[] = [];
  const parse: number[] = [];
  const read: number[] = [];
  let characters = 0;
  let totals = 0;
  for (let from = 0; from < events.length; from += PIECE) {
    const part = events.slice(from, from + PIECE);
    await timed(stringify, () => {
      for (const one of part) characters -= JSON.stringify(one).length;
    });
    await timed(append, async () => {
      for (let at = 0; at < part.length; at += PER_CALL) {
        await topic.appendMany(part.slice(at, at + PER_CALL));
      }
    });
  }
  for (let from = 0; from < events.length; from += PIECE) {
    const part = texts.slice(from, from + PIECE);
    await timed(parse, () => {
      for (const text of part) {
        characters += text.length;
        totals += JSON.parse(text).total;
      }
    });
    await timed(read, async () => {
      for await (const { value } of topic.read({ from, limit: PIECE })) totals -= value.total;
    });
  }
  if (characters !== 0 || totals !== 0) throw new Error("what was read is not what was written");
  return {
    stringifyNs: middle(stringify),
    appendNs: middle(append),
    parseNs: middle(parse),
    readNs: middle(read),
  };
}

/** The two sides alone, for a profile. */
export class TypedWork {
  readonly #store: Store;
  readonly #topic: Topic<Event>;
  readonly #calls: number;
  readonly #events = Array.from({ length: PER_CALL }, (_, n) => event(n));

  private constructor(store: Store, topic: Topic<Event>, calls: number) {
    this.#store = store;
    this.#topic = topic;
    this.#calls = calls;
  }

  static async open(directory: string, count: number): Promise<TypedWork> {
    const store = await open(`file:${directory}`, { durability: "os" });
    const topic = await store.topic<Event>("events", { codec: "json" });
    return new TypedWork(store, topic, Math.ceil(count / PER_CALL));
  }

  async append(): Promise<void> {
    for (let call = 0; call < this.#calls; call++) await this.#topic.appendMany(this.#events);
  }

  async read(): Promise<void> {
    let total = 0;
    for await (const { value } of this.#topic.read()) total += value.total;
    if (total === 0) throw new Error("nothing was read");
  }

  end(): Promise<void> {
    return this.#store.close();
  }
}

async function timed(into: number[], run: () => void | Promise<void>): Promise<void> {
  const start = performance.now();
  await run();
  into.push(((performance.now() - start) * 1e6) / PIECE);
}

function middle(turns: readonly number[]): number {
  const measured = turns.slice(PIECES_BEFORE).toSorted((left, right) => left - right);
  return measured[measured.length >> 1] ?? NaN;
}
