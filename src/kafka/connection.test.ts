import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { LogError } from "../errors/index.ts";
import { sourceOf } from "./codec/writer.ts";
import {
  framesOf,
  heartbeat,
  held,
  hello,
  listening,
  noError,
  produce,
  request,
} from "./connection-scene.test.ts";
import type { Exchange, Handlers } from "./exchange.ts";
import { decodeResponse } from "./header.ts";

test("requests cut at any byte get the answers of whole ones", async () => {
  const { machine } = await listening({ Heartbeat: () => noError });
  const bytes = Buffer.concat([hello(1), heartbeat(2), heartbeat(3)]);
  const whole = machine.connect();
  whole.send(bytes);
  machine.settle();
  assert.deepEqual(whole.answered, [1, 2, 3]);
  for (let cut = 1; cut < bytes.length; cut++) {
    const client = machine.connect();
    client.send(bytes.subarray(0, cut));
    machine.settle();
    client.send(bytes.subarray(cut));
    machine.settle();
    assert.deepEqual(Buffer.concat(client.writes), Buffer.concat(whole.writes), `cut at ${cut}`);
  }
  const slow = machine.connect();
  for (const byte of bytes) slow.send(Uint8Array.of(byte));
  machine.settle();
  assert.deepEqual(slow.answered, [1, 2, 3]);
});

test("answers leave in the order of the requests, those of one turn in one write", async () => {
  const { exchanges, handlers } = held();
  const { machine } = await listening(handlers);
  const client = machine.connect();
  client.send(Buffer.concat([heartbeat(1), heartbeat(2), heartbeat(3), heartbeat(4)]));
  machine.settle();
  exchanges[2]?.send(noError);
  exchanges[1]?.send(noError);
  machine.settle();
  assert.deepEqual(client.answered, []);
  exchanges[0]?.send(noError);
  exchanges[3]?.send(noError);
  assert.equal(client.writes.length, 0, "nothing leaves before the turn ends");
  machine.settle();
  assert.deepEqual(client.answered, [1, 2, 3, 4]);
  assert.equal(client.writes.length, 1);
});

test("handlers may answer at once, by a promise, or later", async () => {
  let later: Exchange<"ListGroups"> | undefined;
  const { machine } = await listening({
    Heartbeat: async () => noError,
    ListGroups: (_request, exchange) => {
      later = exchange;
      return undefined;
    },
  });
  const client = machine.connect();
  client.send(Buffer.concat([request("ListGroups", 0, 1, {}), heartbeat(2), hello(3)]));
  await Promise.resolve();
  machine.settle();
  assert.deepEqual(client.answered, []);
  later?.send({ errorCode: 0, groups: [] });
  machine.settle();
  assert.deepEqual(client.answered, [1, 2, 3]);
});

test("a request without an answer does not hold up those behind it", async () => {
  const { machine, listener } = await listening({
    Produce: (_request, exchange) => {
      exchange.sendNothing();
      return undefined;
    },
  });
  const client = machine.connect();
  client.send(Buffer.concat([produce(1, new Uint8Array(8), 0), hello(2)]));
  machine.settle();
  assert.deepEqual(client.answered, [2]);
  assert.equal(listener.stats().requestBytes, 0);
});

test("an ApiVersions request of an unknown version is told the known ones, as version 0", async () => {
  const { machine } = await listening({});
  const client = machine.connect();
  client.send(
    Buffer.from("00000010 0012 0009 00000007 ffff 00 0000000000".replaceAll(" ", ""), "hex"),
  );
  machine.settle();
  const answer = "00000010 00000007 0023 00000001 0012 0000 0005";
  assert.equal(Buffer.concat(client.writes).toString("hex"), answer.replaceAll(" ", ""));
  client.send(hello(8));
  machine.settle();
  assert.deepEqual(client.answered, [7, 8]);
});

test("what is not Kafka is closed with its name, and everyone else is served", async () => {
  const table: readonly (readonly [bytes: Buffer, reason: RegExp])[] = [
    [Buffer.from("GET / HTTP/1.1\r\n"), /HTTP request/],
    [Buffer.from("POST /topics HTTP/1.1\r\n"), /HTTP request/],
    [Buffer.from("PRI * HTTP/2.0\r\n"), /HTTP\/2/],
    [Buffer.from("160301020001000", "hex"), /TLS handshake/],
    [Buffer.from("SSH-2.0-OpenSSH_9.2"), /SSH client/],
    [Buffer.from("ffffffff00", "hex"), /a frame of -1 bytes/],
    [Buffer.from("00000003001200", "hex"), /a request of 3 bytes has no header/],
    [Buffer.from("000000080012000300000001", "hex"), /ends in its client id/],
    [Buffer.from("0000000a7fff000000000001ffff", "hex"), /no API with key 32767/],
    [Buffer.from("0000000a0000000200000001ffff", "hex"), /Produce v2 is not spoken/],
    [Buffer.from("0000000a0000000e00000001ffff", "hex"), /Produce v14 is not spoken/],
    [Buffer.from("0000000b0003000000000001ffff00", "hex"), /Metadata request v0: topics ends/],
  ];
  for (const [bytes, reason] of table) {
    const { machine, listener } = await listening({});
    const other = machine.connect();
    const stranger = machine.connect();
    stranger.send(bytes);
    machine.settle();
    assert.ok(stranger.isClosed, `${reason} was not closed`);
    assert.equal(machine.events.length, 1);
    assert.match(machine.events[0] ?? "", reason);
    assert.equal(listener.stats().requestBytes, 0);
    other.send(hello(1));
    machine.settle();
    assert.deepEqual(other.answered, [1]);
  }
});

test("random bytes are answered or closed, and the memory they took is given back", async () => {
  const { machine, listener } = await listening({});
  const frames = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 });
  fc.assert(
    fc.property(frames, fc.boolean(), (pieces, hasSize) => {
      const client = machine.connect();
      for (const piece of pieces) {
        const size = Buffer.alloc(4);
        size.writeInt32BE(piece.length);
        client.send(hasSize ? Buffer.concat([size, piece]) : piece);
      }
      machine.settle();
      client.destroy();
      machine.settle();
      assert.equal(listener.stats().requestBytes, 0);
      assert.equal(listener.stats().connections, 0);
    }),
    { numRuns: 300 },
  );
});

test("request memory is not written again before the answer, whatever the sizes and the order", async () => {
  const plans = fc.array(fc.tuple(fc.integer({ min: 1, max: 90_000 }), fc.nat(100)), {
    minLength: 1,
    maxLength: 12,
  });
  // Reads end anywhere, or with each request; few or many requests may be in flight.
  const cutting = fc.option(fc.array(fc.integer({ min: 1, max: 70_000 })), { nil: undefined });
  const inFlight = fc.constantFrom(1, 3, 512);
  await fc.assert(
    fc.asyncProperty(plans, cutting, inFlight, async (plan, cuts, requestsInFlightMax) => {
      const waiting: { records: Uint8Array; exchange: Exchange<"Produce"> }[] = [];
      const Produce: Handlers["Produce"] = (body, exchange) => {
        const records = body.topicData[0]?.partitionData[0]?.records ?? new Uint8Array(0);
        waiting.push({ records, exchange });
        return undefined;
      };
      const { machine, listener } = await listening({ Produce }, { requestsInFlightMax });
      const client = machine.connect();
      client.send(hello(0));
      machine.settle();
      const answerOne = (pick: number): void => {
        const [entry] = waiting.splice(pick % Math.max(1, waiting.length), 1);
        if (entry === undefined) return;
        const { records, exchange } = entry;
        const mark = exchange.correlationId;
        assert.ok(
          records.every((byte) => byte === mark),
          "the records are still what was sent",
        );
        exchange.send({ responses: [] });
        machine.settle();
      };
      const frames = plan.map(([size], index) => {
        // One batch in three is short, so that many lie in one piece of memory.
        const bytes = index % 3 === 0 ? size % 500 : size;
        return produce(index + 1, new Uint8Array(bytes).fill(index + 1));
      });
      for (const [step, piece] of (cuts === undefined ? frames : cutUp(frames, cuts)).entries()) {
        client.send(piece);
        if (step % 3 === 1) answerOne(step);
      }
      for (const [, pick] of plan) answerOne(pick);
      while (waiting.length > 0) answerOne(0);
      assert.deepEqual(client.answered, [0, ...plan.map((_, index) => index + 1)]);
      assert.equal(listener.stats().requestBytes, 0);
    }),
    { numRuns: 60 },
  );
});

function cutUp(frames: readonly Uint8Array[], cuts: readonly number[]): Uint8Array[] {
  const bytes = Buffer.concat(frames);
  const pieces: Uint8Array[] = [];
  for (let done = 0; done < bytes.length; done += pieces.at(-1)?.length ?? 0) {
    pieces.push(bytes.subarray(done, done + (cuts[pieces.length] ?? 50_000)));
  }
  return pieces;
}

test("a handler that throws closes its connection with an error event", async () => {
  const failures: readonly Handlers["Heartbeat"][] = [
    () => {
      throw new LogError("storage_failed", "the disk is gone");
    },
    async () => {
      throw new TypeError("x is not a function");
    },
    () => ({ errorCode: 70_000 }),
    (_request, exchange) => {
      exchange.send(noError);
      return noError;
    },
  ];
  const messages = [
    /the disk is gone/,
    /x is not a function/,
    /errorCode cannot be/,
    /answered once/,
  ];
  for (const [index, Heartbeat] of failures.entries()) {
    const { machine, listener } = await listening({ Heartbeat });
    const client = machine.connect();
    client.send(heartbeat(1));
    await Promise.resolve();
    await Promise.resolve();
    machine.settle();
    machine.pass(5_000);
    assert.ok(client.isClosed);
    assert.match(machine.events[0] ?? "", /^error kafka request failed/);
    assert.match(machine.events[0] ?? "", messages[index] ?? /^$/);
    assert.equal(listener.stats().requestBytes, 0);
  }
});

test("bytes of an answer are free when they were sent themselves, not when earlier ones were", async () => {
  const { exchanges, handlers } = held();
  const { machine } = await listening(handlers);
  const client = machine.connect();
  client.isReading = false;
  client.send(Buffer.concat([heartbeat(1), heartbeat(2)]));
  machine.settle();
  exchanges[0]?.send(noError);
  machine.settle();
  const heard: string[] = [];
  exchanges[1]?.send(noError, () => heard.push("second sent"));
  client.read();
  assert.deepEqual([client.answered, heard], [[1], []]);
  machine.settle();
  client.read();
  assert.deepEqual([client.answered, heard], [[1, 2], ["second sent"]]);
});

test("who waits for an answer or for sent bytes hears when the connection is gone", async () => {
  const { exchanges, handlers } = held();
  const { machine, listener } = await listening(handlers);
  const client = machine.connect();
  client.isReading = false;
  client.send(Buffer.concat([heartbeat(1), heartbeat(2), heartbeat(3)]));
  const heard: string[] = [];
  const [first, second, third] = exchanges;
  if (second !== undefined) second.onGone = () => heard.push("second gone");
  first?.send(noError, () => heard.push("first sent"));
  machine.turn();
  third?.send(noError, () => heard.push("third sent"));
  machine.turn();
  assert.equal(heard.length, 0);
  client.destroy();
  machine.settle();
  assert.deepEqual(
    heard.toSorted((left, right) => left.localeCompare(right)),
    ["first sent", "second gone", "third sent"],
  );
  assert.equal(second?.isOpen, false);
  let isSent = false;
  second?.send(noError, () => {
    isSent = true;
  });
  assert.ok(isSent, "an answer to nobody is done at once");
  assert.equal(listener.stats().requestBytes, 0);
});

test("a listener that ends answers what is in flight, starts nothing, and closes", async () => {
  const { exchanges, handlers } = held();
  const { machine, listener } = await listening(handlers);
  const idle = machine.connect();
  const busy = machine.connect();
  busy.send(heartbeat(1));
  const ended = listener.close(5_000);
  busy.send(heartbeat(2));
  machine.settle();
  assert.ok(idle.isClosed);
  assert.ok(!busy.isClosed);
  const late = machine.connect();
  assert.ok(late.isClosed);
  exchanges[0]?.send(noError);
  machine.settle();
  assert.deepEqual(busy.answered, [1]);
  assert.ok(busy.isEnded);
  busy.destroy();
  machine.settle();
  await ended;
  assert.equal(exchanges.length, 1);
});

test("a listener that ends does not wait longer than its grace", async () => {
  const { handlers } = held();
  const { machine, listener } = await listening(handlers);
  const busy = machine.connect();
  busy.send(heartbeat(1));
  const ended = listener.close(5_000);
  machine.pass(4_999);
  assert.ok(!busy.isClosed);
  machine.pass(1);
  await ended;
  assert.ok(busy.isClosed);
});

test("the client's name is known to handlers once ApiVersions told it", async () => {
  const names: string[] = [];
  const { machine } = await listening({
    Heartbeat: (_request, { peer, clientId }) => {
      names.push(`${clientId} ${peer.softwareName} ${peer.softwareVersion} ${peer.host}`);
      return noError;
    },
  });
  const client = machine.connect("10.1.2.3:555");
  const software = { clientSoftwareName: "kcat", clientSoftwareVersion: "1.7.1" };
  client.send(request("ApiVersions", 3, 1, software));
  client.send(heartbeat(2));
  machine.settle();
  assert.deepEqual(names, ["test kcat 1.7.1 10.1.2.3"]);
});

test("responses are read back by the client's side", async () => {
  const { machine } = await listening({
    Metadata: () => ({ brokers: [{ nodeId: 5, host: "h", port: 9092 }], topics: [] }),
  });
  for (const version of [0, 8, 9, 12]) {
    const client = machine.connect();
    client.send(request("Metadata", version, 77, { topics: [] }));
    machine.settle();
    const [frame] = framesOf(Buffer.concat(client.writes));
    assert.ok(frame);
    const answer = decodeResponse("Metadata", version, sourceOf(frame), 0, frame.length);
    assert.deepEqual(answer.brokers, [{ nodeId: 5, host: "h", port: 9092, rack: undefined }]);
  }
});
