import assert from "node:assert/strict";
import { test } from "node:test";

import {
  type Client,
  heartbeat,
  held,
  hello,
  listening,
  noError,
  produce,
  request,
} from "./connection-scene.test.ts";
import type { Exchange, Handlers } from "./exchange.ts";

/** A Produce request that takes `size` bytes. */
function big(size: number): Buffer {
  const frame = produce(1, new Uint8Array(size));
  return produce(1, new Uint8Array(size - (frame.length - 4 - size)));
}

const noted: Handlers["Produce"] = () => ({ responses: [] });

test("a client sends as much as the limit says, also with its first request", async () => {
  for (const [size, isKnown, isServed] of [
    [65_537, false, true],
    [200_000, false, true],
    [200_001, false, false],
    [65_537, true, true],
    [200_000, true, true],
    [200_001, true, false],
  ] as const) {
    const { machine } = await listening({ Produce: noted }, { requestBytesMax: 200_000 });
    const client = machine.connect();
    if (isKnown) client.send(hello(0));
    const frame = big(size);
    assert.equal(frame.length, 4 + size);
    client.send(frame);
    machine.settle();
    assert.equal(client.isClosed || client.isEnded, !isServed, `${size} bytes`);
    assert.equal(client.answered.includes(1), isServed, `${size} bytes`);
  }
});

test("a stranger that announces more than 64 KiB is closed before it sends them", async () => {
  for (const [what, position, value] of [
    ["an API that is not there", 4, 0x7777],
    ["a version that is not spoken", 6, 99],
  ] as const) {
    for (const [size, isClosed] of [
      [65_536, false],
      [65_537, true],
    ] as const) {
      const { machine } = await listening({ Produce: noted }, { requestBytesMax: 200_000 });
      const client = machine.connect();
      const opening = big(size).subarray(0, 1_000);
      opening.writeInt16BE(value, position);
      client.send(opening);
      machine.settle();
      assert.equal(client.isClosed || client.isEnded, isClosed, `${what}, ${size} bytes`);
    }
  }
});

test("a client with too many requests in flight is read again when one is answered", async () => {
  const { exchanges, handlers } = held();
  const { machine } = await listening(handlers, { requestsInFlightMax: 2 });
  const client = machine.connect();
  client.send(Buffer.concat([heartbeat(1), heartbeat(2), heartbeat(3), heartbeat(4)]));
  machine.settle();
  assert.equal(exchanges.length, 2);
  assert.ok(client.isPaused);
  exchanges[0]?.send(noError);
  machine.settle();
  assert.equal(exchanges.length, 3);
  exchanges[1]?.send(noError);
  exchanges[2]?.send(noError);
  machine.settle();
  assert.equal(exchanges.length, 4);
  assert.ok(!client.isPaused);
});

const Metadata: Handlers["Metadata"] = () => ({
  brokers: [{ nodeId: 1, host: "h".repeat(1_000), port: 1 }],
  topics: [],
});

const ask = (id: number): Buffer => request("Metadata", 1, id, {});

test("a client that does not read its answers is not read either", async () => {
  const { machine } = await listening({ Metadata }, { unsentBytesMax: 5_000 });
  const client = machine.connect();
  client.isReading = false;
  client.send(Buffer.concat(Array.from({ length: 9 }, (_, index) => ask(index))));
  machine.settle();
  assert.equal(client.answered.length, 5);
  assert.ok(client.isPaused);
  client.isReading = true;
  client.read();
  machine.settle();
  assert.equal(client.answered.length, 9);
  assert.ok(!client.isPaused);
});

test("a busy client leaves the turn to others after its share of bytes", async () => {
  const order: string[] = [];
  const Heartbeat: Handlers["Heartbeat"] = (_request, exchange) => {
    order.push(exchange.peer.remote);
    return noError;
  };
  const { machine } = await listening({ Heartbeat }, { turnBytesMax: 2 * heartbeat(0).length });
  const busy = machine.connect("a:1");
  const other = machine.connect("b:1");
  busy.send(Buffer.concat([1, 2, 3, 4].map(heartbeat)));
  other.send(heartbeat(1));
  machine.settle();
  assert.deepEqual(order, ["a:1", "a:1", "b:1", "a:1", "a:1"]);
  assert.deepEqual(busy.answered, [1, 2, 3, 4]);
  assert.ok(!busy.isPaused);
});

test("when unanswered requests fill the memory set aside for them, nobody is read until some leave", async () => {
  const exchanges: Exchange<"Produce">[] = [];
  const Produce: Handlers["Produce"] = (_request, exchange) => {
    exchanges.push(exchange);
    return undefined;
  };
  const { machine, listener } = await listening({ Produce }, { requestBytesInMemoryMax: 1_000 });
  const first = machine.connect();
  const second = machine.connect();
  first.send(produce(1, new Uint8Array(1_000)));
  second.send(hello(1));
  machine.settle();
  assert.ok(first.isPaused);
  assert.ok(second.isPaused);
  assert.deepEqual(second.answered, [1], "what arrived is still served");
  exchanges[0]?.send({ responses: [] });
  machine.settle();
  assert.ok(!first.isPaused);
  assert.ok(!second.isPaused);
  assert.equal(listener.stats().requestBytes, 0);
});

test("a frame has 30 seconds to arrive, and a second more for each MiB", async () => {
  const { machine } = await listening({});
  const small = machine.connect();
  small.send(hello(1).subarray(0, 7));
  const large = machine.connect();
  large.send(hello(1));
  large.send(Buffer.from("00a00000", "hex"));
  machine.pass(29_000);
  assert.ok(!small.isClosed);
  machine.pass(2_000);
  assert.ok(small.isClosed);
  assert.match(machine.events.join("\n"), /took too long to arrive/);
  machine.pass(8_000);
  assert.ok(!large.isClosed, "ten more seconds for ten MiB");
  machine.pass(3_000);
  assert.ok(large.isClosed);
});

test("a connection without traffic is closed, one that waits for an answer is not", async () => {
  const { exchanges, handlers } = held();
  const { machine } = await listening(handlers, { idleMsMax: 60_000 });
  const idle = machine.connect();
  idle.send(hello(1));
  const waiting = machine.connect();
  waiting.send(heartbeat(1));
  machine.pass(59_000);
  assert.ok(!idle.isClosed);
  machine.pass(3_000);
  assert.ok(idle.isClosed);
  assert.ok(!waiting.isClosed);
  exchanges[0]?.send(noError);
  machine.settle();
  assert.deepEqual(waiting.answered, [1]);
});

test("connections beyond the limits are refused", async () => {
  const { machine, listener } = await listening(
    {},
    { connectionsMax: 3, connectionsPerAddressMax: 2 },
  );
  const from = (host: string): Client => machine.connect(`${host}:1`);
  const isClosed = ["a", "a", "a", "b", "c"].map((host) => from(host).isClosed);
  assert.deepEqual(isClosed, [false, false, true, false, true]);
  assert.match(machine.events[0] ?? "", /2 from this address/);
  assert.match(machine.events[1] ?? "", /there are 3 already/);
  assert.equal(listener.stats().connectionsRefused, 2);
});

test("a flood of strangers is counted, not told one by one", async () => {
  const { machine } = await listening({});
  machine.connect();
  for (let count = 0; count < 100; count++) machine.connect().send(Buffer.from("GET / HTTP/1.1"));
  machine.settle();
  assert.equal(machine.events.length, 20);
  machine.pass(1_000);
  assert.match(machine.events.at(-1) ?? "", /left out {"count":80}/);
});
