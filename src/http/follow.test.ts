// Followers: nothing twice, nothing left out, one encoding for all of them, and no one slowed by another.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect as connect2 } from "node:http2";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";

import { openScene, problemOf, type Scene } from "./http-scene.test.ts";

interface SentEvent {
  readonly id: string;
  readonly value: unknown;
  readonly partition: number;
}

/** A client of server-sent events that keeps what it heard. */
class Listener {
  readonly events: SentEvent[] = [];
  readonly sending: ClientRequest;
  #response: IncomingMessage | undefined;
  #left = "";
  #onChange: () => void = () => {};
  isEnded = false;

  constructor(context: TestContext, scene: Scene, path: string, headers = {}) {
    this.sending = request(scene.url + path, { headers, agent: false });
    this.sending.on("error", () => {});
    context.after(() => this.sending.destroy());
    this.sending.on("response", (response) => {
      this.#response = response;
      response.on("data", (chunk: Buffer) => this.#heard(chunk.toString()));
      response.on("error", () => {});
      response.on("close", () => {
        this.isEnded = true;
        this.#onChange();
      });
      this.#onChange();
    });
    this.sending.end();
  }

  get status(): number | undefined {
    return this.#response?.statusCode;
  }

  get hasBegun(): boolean {
    return this.#response !== undefined;
  }

  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  get values(): unknown[] {
    return this.events.map(({ value }) => value);
  }

  async until(isReached: (listener: this) => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onChange = () => {
        if (isReached(this)) resolve();
      };
      this.#onChange();
    });
  }

  #heard(chunk: string): void {
    const blocks = (this.#left + chunk).split("\n\n");
    this.#left = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, id, data] = /^id: (.*)\ndata: (.*)$/.exec(block) ?? [];
      if (id === undefined || data === undefined) {
        assert.match(block, /^(retry: \d+|:)$/);
        continue;
      }
      const { value, partition } = JSON.parse(data);
      this.events.push({ id, value, partition });
    }
    this.#onChange();
  }
}

async function follow(
  context: TestContext,
  scene: Scene,
  path: string,
  headers = {},
): Promise<Listener> {
  const listener = new Listener(context, scene, path, headers);
  await listener.until(({ hasBegun }) => hasBegun);
  return listener;
}

async function append(
  scene: Scene,
  topic: string,
  values: readonly unknown[],
  partition = 0,
): Promise<void> {
  const body = values.map((value) => ({ value, partition }));
  const answer = await scene.ask("POST", `/topics/${topic}/records`, { body });
  assert.equal(answer.status, 200, answer.text);
}

async function metric(scene: Scene, name: string): Promise<number> {
  const { text: page } = await scene.ask("GET", "/metrics");
  return Number(new RegExp(`^cordwood_http_${name} (\\d+)$`, "m").exec(page)?.[1]);
}

test("a follower hears what is there from where it asked, and then what comes", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await append(scene, "t", [0, 1, 2]);
  const listener = await follow(context, scene, "/topics/t/events?range=1");
  await listener.until(({ events }) => events.length === 2);
  await append(scene, "t", [3]);
  await append(scene, "t", [4, 5]);
  await listener.until(({ events }) => events.length === 5);
  assert.deepEqual(listener.values, [1, 2, 3, 4, 5]);
  assert.deepEqual(
    listener.events.map(({ id }) => id),
    ["2", "3", "4", "5", "6"],
  );
});

test("a follower that comes back goes on behind the last event, over all partitions", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 3);
  await append(scene, "t", ["a0", "a1"], 0);
  await append(scene, "t", ["c0"], 2);
  const first = await follow(context, scene, "/topics/t/events?range=start");
  await first.until(({ events }) => events.length === 3);
  await append(scene, "t", ["b0", "b1"], 1);
  await first.until(({ events }) => events.length === 5);
  const { events } = first;
  first.sending.destroy();
  await append(scene, "t", ["a2"], 0);
  const all = new Set([...first.values, "a2"]);
  for (const [index, { id }] of events.entries()) {
    const again = await follow(context, scene, "/topics/t/events", { "last-event-id": id });
    await again.until((listener) => index + 1 + listener.events.length === all.size);
    const heard = [...events.slice(0, index + 1).map(({ value }) => value), ...again.values];
    assert.equal(heard.length, all.size);
    assert.deepEqual(new Set(heard), all, id);
    again.sending.destroy();
  }
  const some = await follow(context, scene, "/topics/t/events?partition=2,0&lastEventId=0,2");
  await some.until((listener) => listener.events.length === 2);
  assert.deepEqual(some.values, ["c0", "a2"]);
});

test("a record is encoded once for all who follow, not once for each", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const count = 40;
  const listeners = await Promise.all(
    Array.from({ length: count }, () => follow(context, scene, "/topics/t/events")),
  );
  while ((await metric(scene, "followers_behind")) > 0);
  assert.equal(await metric(scene, "followers"), count);
  for (let round = 0; round < 10; round++) await append(scene, "t", [round], round % 2);
  await Promise.all(listeners.map((each) => each.until(({ events }) => events.length === 10)));
  assert.equal(await metric(scene, "followed_records_encoded_total"), 10);
  for (const { events } of listeners) assert.deepEqual(events, listeners[0]?.events);
  for (const { sending } of listeners) sending.destroy();
  while ((await metric(scene, "followers")) > 0);
});

test("who does not read is left behind in bounded memory, slows nobody, and misses nothing", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const [slow, quick] = await Promise.all([
    follow(context, scene, "/topics/t/events"),
    follow(context, scene, "/topics/t/events"),
  ]);
  slow.pause();
  const filler = "x".repeat(200_000);
  const count = 200;
  for (let value = 0; value < count; value++) {
    await append(scene, "t", [{ value, filler }]);
    await quick.until(({ events }) => events.length === value + 1);
  }
  // Far more than any system takes for a client that does not read.
  assert.equal(await metric(scene, "followers_behind"), 1);
  assert.ok((await metric(scene, "followers_left_behind_total")) >= 1);
  assert.ok(slow.events.length < count);
  slow.resume();
  await slow.until(({ events }) => events.length === count);
  assert.deepEqual(slow.events, quick.events);
  while ((await metric(scene, "followers_behind")) > 0);
  await append(scene, "t", ["last"]);
  await Promise.all(
    [slow, quick].map((each) => each.until(({ values }) => values.at(-1) === "last")),
  );
});

test("followers who join while records come miss none and hear none twice", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const count = 300;
  const listeners: Listener[] = [];
  for (let value = 0; value < count; value++) {
    await append(scene, "t", [value], value % 2);
    if (value % 10 === 0)
      listeners.push(new Listener(context, scene, "/topics/t/events?range=start"));
  }
  for (const listener of listeners) {
    await listener.until(({ events }) => events.length >= count);
    for (const partition of [0, 1]) {
      const own = listener.events.filter((event) => event.partition === partition);
      const expected = Array.from({ length: count / 2 }, (_, index) => 2 * index + partition);
      assert.deepEqual(
        own.map(({ value }) => value),
        expected,
      );
    }
  }
});

test("a range that ends is sent once, and a browser is told not to come again", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await append(scene, "t", [0, 1, 2, 3]);
  const listener = await follow(context, scene, "/topics/t/events?range=1..3");
  await listener.until(({ isEnded }) => isEnded);
  assert.deepEqual(listener.values, [1, 2]);
  const over = await scene.ask("GET", "/topics/t/events?range=1..3", {
    headers: { "last-event-id": "3" },
  });
  assert.equal(over.status, 204);
  const accept = { accept: "application/x-ndjson" };
  const lines = await scene.ask("GET", "/topics/t/events?range=..2", { headers: accept });
  assert.equal(lines.text.split("\n").length, 3);
});

test("lines can be followed too, over HTTP/2 as well", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await append(scene, "t", [0]);
  const session = connect2(scene.url);
  context.after(() => session.destroy());
  const stream = session.request({
    ":path": "/topics/t/events?range=start",
    accept: "application/x-ndjson",
  });
  let heard = "";
  stream.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  while (!heard.endsWith("0}\n")) await once(stream, "data");
  await append(scene, "t", [1]);
  while (!heard.endsWith("1}\n")) await once(stream, "data");
  stream.close(8);
  while ((await metric(scene, "followers")) > 0);
});

test("followers end with their topic, and with the server", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await scene.createTopic("other");
  const one = await follow(context, scene, "/topics/t/events");
  const other = await follow(context, scene, "/topics/other/events");
  await scene.broker.deleteTopics([{ name: "t" }]);
  await one.until(({ isEnded }) => isEnded);
  assert.equal(other.isEnded, false);
  await scene.door.close(60_000);
  await other.until(({ isEnded }) => isEnded);
});

test("what cannot be followed is refused by name", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const cases: readonly (readonly [path: string, status: number, detail: RegExp, id?: string])[] = [
    ["/topics/none/events", 404, /there is no topic "none"/],
    ["/topics/t/events?range=7", 416, /no offset 7/],
    ["/topics/t/events?partition=2", 404, /numbered from 0; there is no 2/],
    ["/topics/t/events?partition=0,0", 400, /a number, or several/],
    ["/topics/t/events?partition=a", 400, /a number, or several/],
    ["/topics/t/events?limit=1", 400, /unknown query parameter "limit"/],
    ["/topics/t/events", 400, /no id of an event/, "x"],
    ["/topics/t/events", 400, /no id of an event/, "0,0,0"],
    ["/topics/t/events", 416, /it is of another log/, "1,0"],
  ];
  for (const [path, status, detail, id] of cases) {
    const headers: Record<string, string> = id === undefined ? {} : { "last-event-id": id };
    const answer = await scene.ask("GET", path, { headers });
    assert.equal(answer.status, status, answer.text);
    assert.match(String(problemOf(answer)["detail"]), detail);
  }
});

const key = Buffer.alloc(16, 7).toString("base64");

function handshake(path: string, more = ""): string {
  return `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n${more}\r\n`;
}

/** A frame of a client, masked. */
function clientFrame(opcode: number, payload = ""): Buffer {
  const mask = Buffer.of(1, 2, 3, 4);
  const bytes = Buffer.from(payload).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | bytes.length), mask, bytes]);
}

/** Reads from a socket as much as it is asked for. */
class SocketReader {
  readonly #socket: Socket;
  #heard = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => (this.#heard = Buffer.concat([this.#heard, chunk])));
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#heard.length < count) await once(this.#socket, "data");
    const taken = this.#heard.subarray(0, count);
    this.#heard = this.#heard.subarray(count);
    return taken;
  }

  async head(): Promise<string> {
    while (!this.#heard.includes("\r\n\r\n")) await once(this.#socket, "data");
    return (await this.bytes(this.#heard.indexOf("\r\n\r\n") + 4)).toString();
  }

  async frame(): Promise<readonly [opcode: number, payload: string]> {
    const [first = 0, told = 0] = await this.bytes(2);
    let length = told;
    if (told === 126) length = (await this.bytes(2)).readUInt16BE();
    if (told === 127) length = Number((await this.bytes(8)).readBigUInt64BE());
    return [first, (await this.bytes(length)).toString()];
  }
}

test("a WebSocket is fed with messages of every length, and resumes by the id in them", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const values = ["short", "x".repeat(1_000), "y".repeat(100_000)];
  await append(scene, "t", values);
  const socket = await scene.socket(context);
  const reader = new SocketReader(socket);
  socket.write(handshake("/topics/t/events?range=start"));
  const head = await reader.head();
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  assert.match(head, /^HTTP\/1\.1 101 /);
  assert.ok(head.includes(`sec-websocket-accept: ${accept}\r\n`));
  for (const [offset, value] of values.entries()) {
    const [first, payload] = await reader.frame();
    assert.equal(first, 0x81);
    const { id, record } = JSON.parse(payload);
    assert.deepEqual([id, record.value], [String(offset + 1), value]);
  }
  await append(scene, "t", ["live"]);
  assert.match((await reader.frame())[1], /"value":"live"\}\}$/);
  socket.write(clientFrame(9, "are you there"));
  assert.deepEqual(await reader.frame(), [0x8a, "are you there"]);
  socket.write(clientFrame(1, "a client has nothing to say, and that is all right"));
  socket.write(clientFrame(8, "\x03\xe8"));
  assert.equal((await reader.frame())[0], 0x88);
  await once(socket, "close");
  while ((await metric(scene, "followers")) > 0);
  const again = await scene.socket(context);
  const resumed = new SocketReader(again);
  again.write(handshake("/topics/t/events?lastEventId=3"));
  await resumed.head();
  assert.match((await resumed.frame())[1], /"value":"live"\}\}$/);
});

test("what is no WebSocket is refused, and one that breaks the rules is ended", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const refused: readonly (readonly [sent: string, heard: RegExp])[] = [
    [
      handshake("/topics/t/events").replace("version: 13", "version: 8"),
      /^HTTP\/1\.1 400 .*version 13/s,
    ],
    [handshake("/topics/t/events").replace(key, "short"), /^HTTP\/1\.1 400 .*16 bytes/s],
    [handshake("/topics/none/events"), /^HTTP\/1\.1 404 /],
    [handshake("/topics/t/events", "origin: https://evil.example\r\n"), /^HTTP\/1\.1 403 /],
    [handshake("/metrics"), /^HTTP\/1\.1 200 /],
  ];
  for (const [sent, heard] of refused) {
    const socket = await scene.socket(context);
    socket.write(sent);
    assert.match(await text(socket), heard);
  }
  const broken: readonly (readonly [frame: Buffer, why: string])[] = [
    [Buffer.of(0x81, 1, 65), "not masked"],
    [Buffer.concat([Buffer.of(0xc1, 0x80), Buffer.alloc(4)]), "an extension that nobody agreed on"],
    [Buffer.concat([Buffer.of(0x09, 0x80), Buffer.alloc(4)]), "a ping in pieces"],
    [Buffer.concat([Buffer.of(0x89, 0xfe, 0, 126), Buffer.alloc(130)]), "a long ping"],
    [Buffer.of(0x82, 0xfe, 0xff, 0xff), "more than it may say"],
    [Buffer.of(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0), "far more than it may say"],
  ];
  for (const [frame, why] of broken) {
    const socket = await scene.socket(context);
    const reader = new SocketReader(socket);
    socket.write(handshake("/topics/t/events"));
    await reader.head();
    socket.write(frame);
    assert.equal((await reader.frame())[0], 0x88, why);
    await once(socket, "close");
  }
  while ((await metric(scene, "followers")) > 0);
});
