// Requests within one process: what a handler sees is what the machine's server shows it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../../errors/index.ts";
import type { HttpExchange } from "../http.ts";
import { memoryEnv } from "./world.ts";

const at = { host: "memory", port: 80 };

function echo(exchange: HttpExchange): void {
  const received = (bytes: Uint8Array): void => void exchange.write(bytes);
  const ended = (): void => exchange.end({ "x-sum": "3" });
  exchange.begin(200, { "x-query": exchange.query });
  exchange.receive({ received, ended, failed: assert.fail }, { bytesMax: 10 });
}

test("a request is answered in pieces, with trailers", async () => {
  const { network, run } = memoryEnv({ seed: 1 });
  const listener = await network.serveHttp({ ...at, port: 0 }, { handle: echo });
  const to = { ...at, port: listener.port };
  const body = Buffer.from("abc");
  const call = network.ask(to, { method: "POST", path: "/x?a=1", body, pieceBytes: 1 });
  const answer = await run(call.answer);
  assert.deepEqual([answer.status, answer.headers], [200, { "x-query": "a=1" }]);
  assert.deepEqual(
    [Buffer.from(answer.body).toString(), answer.trailers],
    ["abc", { "x-sum": "3" }],
  );
  assert.equal(listener.stats().requestsInFlight, 0);
  await listener.close();
  assert.throws(() => network.ask(to, { method: "GET", path: "/" }), { code: "ECONNREFUSED" });
});

test("a body over the limit, a client that hangs up and a server that closes are told", async () => {
  const { network, timers, run } = memoryEnv({ seed: 1 });
  const told: string[] = [];
  const handle = (exchange: HttpExchange): void => {
    exchange.readBody(3, (body) => {
      if (body instanceof LogError) exchange.answer(413, {}, body.message);
      else exchange.write("waits");
    });
    exchange.whenGone(() => told.push(exchange.path));
    exchange.signal.addEventListener("abort", () => told.push("signal"));
  };
  const listener = await network.serveHttp(at, { handle, limits: { headBytesMax: 100 } });
  const body = Buffer.alloc(4);
  const refused = await run(network.ask(at, { method: "POST", path: "/", body }).answer);
  assert.deepEqual(
    [refused.status, Buffer.from(refused.body).toString()],
    [413, "the body is larger than 3 bytes"],
  );
  const long = network.ask(at, { method: "GET", path: `/${"x".repeat(100)}` });
  assert.equal((await run(long.answer)).status, 431);
  const one = network.ask(at, { method: "GET", path: "/one" });
  one.hangUp();
  await assert.rejects(run(one.answer), { code: "cancelled" });
  const two = network.ask(at, { method: "GET", path: "/two" });
  await run(listener.close());
  await assert.rejects(run(two.answer), { code: "cancelled" });
  await run(new Promise<void>((resolve) => timers.soon(resolve)));
  assert.deepEqual(told, ["/one", "signal", "/two", "signal"]);
});
