// cordwood/client in a browser.
import { LogError, open, type Store, type Topic } from "../../../src/client.ts";
import { equal, restartServer, run, serverUrl } from "./report.ts";

let store: Store;
interface Order {
  readonly id: string;
  readonly total: number;
}

let orders: Topic<Order>;
const abandoned = new AbortController();

await run({
  "opens a topic": async () => {
    store = await open(serverUrl);
    orders = await store.topic<Order>("orders", { codec: "json", key: ({ id }) => id });
    equal(orders.partitionCount, 1);
  },
  "appends, and reads what was appended": async () => {
    equal(await orders.append({ id: "o-1", total: 12 }), { partition: 0, offset: 0 });
    const appended = await orders.appendMany([
      { id: "o-2", total: 7 },
      { id: "o-1", total: 15 },
    ]);
    equal(
      appended.map(({ offset }) => offset),
      [1, 2],
    );
    equal(await values(orders), [12, 7, 15]);
    equal((await orders.last("o-1"))?.value.total, 15);
  },
  "bytes, headers and times come back": async () => {
    const bytes = await store.topic("bytes");
    const options = { key: "ü", headers: { lang: "en" }, timestamp: 1_700_000_000_123 };
    await bytes.append(new Uint8Array([0, 255, 128]), options);
    for await (const record of bytes.read()) {
      const { key, timestamp, headers, value } = record;
      const lang = new TextDecoder().decode(headers[0]?.value);
      equal([key, timestamp, lang, [...value]], ["ü", 1_700_000_000_123, "en", [0, 255, 128]]);
    }
  },
  "an append on condition is refused where it does not hold": async () => {
    try {
      await orders.append({ id: "o-3", total: 1 }, { expectedOffset: 0 });
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      equal(error.code, "offset_conflict");
      return;
    }
    throw new Error("it was appended");
  },
  "a subscription stores its position": async () => {
    const seen: number[] = [];
    const options = { group: "browsers", topics: [orders], follow: false };
    await store.subscribe(options, ({ records }) => {
      for (const { value } of records) seen.push(value.total);
    }).finished;
    equal(seen, [12, 7, 15]);
    equal(await store.position("browsers"), { "orders/0": 3 });
  },
  "following and appending go on when the server was killed": async () => {
    const numbers = await store.topic<number>("numbers", { codec: "json" });
    const following = values(numbers, 300);
    const appending: Promise<unknown>[] = [];
    for (let n = 0; n < 300; n++) {
      appending.push(numbers.append(n));
      if (n === 100) await Promise.all(appending);
      if (n === 150) appending.push(restartServer());
    }
    await Promise.all(appending);
    const expected = Array.from({ length: 300 }, (_, n) => n);
    equal(await following, expected);
    equal(await values(numbers), expected);
  },
  "a signal ends a reading that waits": async () => {
    const reading = orders.read({ from: "end", follow: true, signal: abandoned.signal }).next();
    abandoned.abort();
    const ended = await reading.catch((error: unknown) => error);
    equal(ended instanceof LogError && ended.code, "cancelled");
  },
  "a store that is closed says so": async () => {
    await store.close();
    const refused = await store.topics().catch((error: unknown) => error);
    equal(refused instanceof LogError && refused.code, "closed");
  },
});

async function values<T>(topic: Topic<T>, following?: number): Promise<unknown[]> {
  const found: unknown[] = [];
  const options = following === undefined ? {} : { follow: true, limit: following };
  for await (const { value } of topic.read(options)) found.push(totalOf(value));
  return found;
}

function totalOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "total" in value ? value.total : value;
}
