// The client of a server that is killed and comes back: no gap, no repeat, in order.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";

import { LogError, open, type Topic } from "../src/index.ts";
import { startServer, until } from "./servers.ts";

const kills = 4;
const appendsPerLife = 1_500;
/** Appends that wait for their answers at a time. */
const windowSize = 64;

test("appends and a reading that follows go on through kill -9 and restart, each record once and in order", async () => {
  await using server = await startServer();
  await using store = await open(server.httpUrl);
  const numbers = await store.topic<number>("numbers", { codec: "json" });
  const total = appendsPerLife * (kills + 1);
  const seen: number[] = [];
  const following = (async () => {
    for await (const { offset, value } of numbers.read({ follow: true, limit: total })) {
      assert.equal(offset, seen.length, "the offset behind the one before");
      seen.push(value);
    }
  })();
  let acknowledged = 0;
  const appending = appendNumbers(numbers, total, () => acknowledged++);
  for (let kill = 1; kill <= kills; kill++) {
    await until("more is acknowledged", () => acknowledged >= kill * appendsPerLife);
    await server.kill("SIGKILL");
    server.launch();
    await server.ready();
  }
  await Promise.all([appending, following]);
  assert.deepEqual(seen, range(total));
  assert.deepEqual(await all(numbers), range(total), "what the log holds");
});

test("two who append to several partitions, and a subscription, go on through a restart", async () => {
  await using server = await startServer();
  await using one = await open(server.httpUrl);
  await using two = await open(server.httpUrl);
  const options = { codec: "string", partitions: 3 } as const;
  const topics = await Promise.all([one.topic("texts", options), two.topic("texts", options)]);
  const total = 2 * appendsPerLife;
  const seen = new Map<string, number>();
  const done = Promise.withResolvers<void>();
  const subscription = one.subscribe({ group: "g", topics: [topics[0]] }, (batch) => {
    for (const { value } of batch.records) seen.set(value, (seen.get(value) ?? 0) + 1);
    if (seen.size === total) done.resolve();
  });
  let acknowledged = 0;
  const appending = topics.map(async (topic, who) => {
    for (let n = 0; n < appendsPerLife; n += 50) {
      const texts = range(50).map((m) => `${who}-${n + m}`);
      await Promise.all(texts.map((text) => topic.append(text, { key: text })));
      acknowledged += 50;
    }
  });
  await until("a part is acknowledged", () => acknowledged >= total / 3);
  await server.kill("SIGKILL");
  server.launch();
  await server.ready();
  await Promise.all([...appending, done.promise]);
  // The subscription had one handler that never died, so it has seen each record once.
  assert.deepEqual([...new Set(seen.values())], [1]);
  await subscription.close();
  const ends = (await topics[0].offsets()).map(({ endOffset }) => endOffset);
  assert.equal(
    ends.reduce((sum, end) => sum + end, 0),
    total,
  );
});

test("a reading ends at what was there when it began, though the server was away and more came since", async () => {
  await using server = await startServer();
  await using store = await open(server.httpUrl);
  const topic = await store.topic("large", { codec: "string" });
  const texts = range(400).map((n) => `${n}-${"x".repeat(20_000)}`);
  for (let at = 0; at < texts.length; at += 40) await topic.appendMany(texts.slice(at, at + 40));
  const seen: string[] = [];
  for await (const { value } of topic.read()) {
    seen.push(value);
    if (seen.length !== 1) continue;
    await server.kill("SIGKILL");
    server.launch();
    await server.ready();
    await topic.append("later");
  }
  assert.deepEqual(seen.length, texts.length);
  assert.deepEqual(seen, texts);
});

test("a conditional append that is sent again is no conflict with itself", async () => {
  await using server = await startServer();
  await using store = await open(server.httpUrl);
  const topic = await store.topic<number>("counter", { codec: "json" });
  let acknowledged = 0;
  const counting = (async () => {
    for (let n = 0; n < 400; n++) {
      const expectedLastOffset = n === 0 ? ("none" as const) : n - 1;
      const options = { key: "c", expectedOffset: n, expectedLastOffset };
      assert.equal((await topic.append(n, options)).offset, n);
      acknowledged++;
    }
  })();
  for (const count of [100, 200, 300]) {
    await until("more is acknowledged", () => acknowledged >= count);
    await server.kill("SIGKILL");
    server.launch();
    await server.ready();
  }
  await counting;
  assert.deepEqual(await all(topic), range(400));
});

test("an append whose answer is lost is in the log once, whatever it expects", async () => {
  await using server = await startServer();
  await using between = await losingAnswers(server.httpUrl);
  await using store = await open(between.url);
  const topic = await store.topic<number>("numbers", { codec: "json", key: String });
  for (let n = 0; n < 12; n += 3) {
    assert.equal((await topic.append(n)).offset, n);
    const options = { expectedOffset: n + 1, expectedLastOffset: "none" } as const;
    assert.equal((await topic.append(n + 1, options)).offset, n + 1);
    assert.deepEqual(await topic.appendMany([n + 2]), [{ partition: 0, offset: n + 2 }]);
  }
  const together = await Promise.all(range(50).map((n) => topic.append(12 + n)));
  assert.deepEqual(
    together.map(({ offset }) => offset),
    range(50).map((n) => 12 + n),
  );
  assert.ok(between.lost > 5, `${between.lost} answers were lost`);
  assert.deepEqual(await all(topic), range(62));
});

test("when the server does not come back, an append says that its outcome is not known, a reading that nobody answers", async () => {
  const server = await startServer();
  await using store = await open(server.httpUrl, { patienceMs: 200 });
  const topic = await store.topic<number>("t", { codec: "json" });
  await topic.append(0);
  const left = rejects(all(topic, true), "unreachable", /does not answer/);
  await server.kill("SIGKILL");
  await rejects(topic.append(1), "timeout", /t\/0: .*is not known/);
  await left;
  await rejects(store.topics(), "unreachable", /does not answer/);
  await rejects(open(server.httpUrl), "unreachable", /does not answer/);
  server.launch();
  await server.ready();
  // Under a new number: whether the one before was taken nobody knows.
  const { offset } = await topic.append(2);
  assert.ok(offset === 1 || offset === 2);
  await server.stop();
});

interface Between extends AsyncDisposable {
  readonly url: string;
  readonly lost: number;
}

/** Stands between a client and a server, and cuts the connection in place of every other answer to an append. */
async function losingAnswers(to: string): Promise<Between> {
  let appends = 0;
  const relay = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { url = "", headers } = request;
    const body = await buffer(request);
    const type = headers["content-type"] ?? "";
    const answer = await fetch(`${to}${url}`, {
      method: "POST",
      headers: { "content-type": type, "connect-protocol-version": "1" },
      body,
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (url.endsWith("/Append") && appends++ % 2 === 0) {
      response.destroy();
      return;
    }
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    response.end(bytes);
  };
  const proxy = createServer((request, response) => {
    relay(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    url: `http://127.0.0.1:${address.port}`,
    get lost() {
      return Math.ceil(appends / 2);
    },
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}

async function appendNumbers(
  topic: Topic<number>,
  total: number,
  acknowledged: () => void,
): Promise<void> {
  const waiting: Promise<void>[] = [];
  for (let n = 0; n < total; n++) {
    waiting.push(appendNumber(topic, n).then(acknowledged));
    if (waiting.length >= windowSize) await waiting.shift();
  }
  await Promise.all(waiting);
}

async function appendNumber(topic: Topic<number>, n: number): Promise<void> {
  const { offset } = await topic.append(n);
  assert.equal(offset, n, "appends get offsets in the order of the calls");
}

async function all<T>(topic: Topic<T>, follow = false): Promise<T[]> {
  const values: T[] = [];
  for await (const { value } of topic.read({ follow })) values.push(value);
  return values;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof LogError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}
