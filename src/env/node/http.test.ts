// The HTTP server of the machine, by real clients and by bytes on a socket.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { type ClientHttp2Session, connect as connect2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";

import { LogError } from "../../errors/index.ts";
import type { Connection } from "../env.ts";
import type { HttpExchange, HttpLimits, HttpListener } from "../http.ts";
import { nodeEnv } from "./index.ts";

const host = "127.0.0.1";

interface Served {
  readonly listener: HttpListener;
  readonly port: number;
  readonly url: string;
}

async function serve(
  context: TestContext,
  handle: (exchange: HttpExchange) => void,
  limits: Partial<HttpLimits> = {},
): Promise<Served> {
  const listener = await nodeEnv().network.serveHttp({ host, port: 0 }, { handle, limits });
  context.after(() => listener.close());
  return { listener, port: listener.port, url: `http://${host}:${listener.port}` };
}

async function open(context: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host, port });
  socket.on("error", () => {});
  context.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function open2(context: TestContext, url: string): Promise<ClientHttp2Session> {
  const session = connect2(url);
  session.on("error", () => {});
  context.after(() => session.destroy());
  await once(session, "connect");
  return session;
}

/** Answers with what was asked. */
function echo(exchange: HttpExchange): void {
  exchange.readBody(5, (body) => {
    if (body instanceof LogError) exchange.answer(413, {}, body.message);
    else {
      const { httpVersion, method, path, query, headers } = exchange;
      const seen = [httpVersion, method, path, query, headers["x-own"], headers["host"]];
      exchange.answer(201, { "content-type": "text/plain" }, `${seen.join(" ")} ${body.length}`);
    }
  });
}

test("a request and its answer, over HTTP/1.1 and over HTTP/2 on the same port", async (context) => {
  const { url, port } = await serve(context, echo);
  const one = await fetch(`${url}/a%20b?x=1&x=2`, {
    method: "PUT",
    body: "12345",
    headers: { "x-own": "yes" },
  });
  assert.deepEqual([one.status, one.headers.get("content-type")], [201, "text/plain"]);
  assert.equal(await one.text(), `1 PUT /a%20b x=1&x=2 yes ${host}:${port} 5`);
  const session = await open2(context, url);
  const stream = session.request({ ":method": "PUT", ":path": "/a%20b?x=1", "x-own": "yes" });
  stream.end("123");
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 201);
  assert.equal(await text(stream), `2 PUT /a%20b x=1 yes ${host}:${port} 3`);
  const head = await fetch(url, { method: "HEAD" });
  assert.ok(Number(head.headers.get("content-length")) > 0);
  assert.equal(await head.text(), "");
});

test("a body over the limit is refused, whether its length is told or not", async (context) => {
  const { url } = await serve(context, echo);
  const told = await fetch(url, { method: "POST", body: "x".repeat(300_000) });
  assert.equal(told.status, 413);
  assert.match(await told.text(), /larger than 5 bytes/);
  const untold = request(url, { method: "POST", headers: { "transfer-encoding": "chunked" } });
  untold.on("error", () => {});
  const answered = once(untold, "response");
  for (let count = 0; count < 6; count++) untold.write("x");
  const [response] = await answered;
  assert.equal(response.statusCode, 413);
  untold.destroy();
  const session = await open2(context, url);
  const stream = session.request({ ":method": "POST" });
  stream.on("error", () => {});
  stream.write("x".repeat(100_000));
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 413);
});

/** Sends a body; answers what the server says of it, and what the client has not got rid of yet. */
function send1(url: string, body: Buffer): { unsent: () => number; answer: Promise<string> } {
  const sending = request(url, { method: "POST" });
  sending.end(body);
  const answer = once(sending, "response").then(([response]) => text(response));
  return { unsent: () => sending.socket?.writableLength ?? body.length, answer };
}

function send2(
  session: ClientHttp2Session,
  body: Buffer,
): { unsent: () => number; answer: Promise<string> } {
  const stream = session.request({ ":method": "POST" });
  stream.end(body);
  return { unsent: () => stream.writableLength, answer: text(stream) };
}

test("a body in pieces can be held back, and the client feels it", async (context) => {
  const size = 32 * 1024 * 1024;
  for (const version of [1, 2]) {
    const held = Promise.withResolvers<HttpExchange>();
    let bytes = 0;
    const { url } = await serve(context, (exchange) => {
      const received = (chunk: Uint8Array): void => {
        const isFirst = bytes === 0;
        bytes += chunk.length;
        if (!isFirst) return;
        exchange.pause();
        held.resolve(exchange);
      };
      const ended = (): void => exchange.answer(200, {}, String(bytes));
      exchange.receive({ received, ended, failed: assert.fail }, { bytesMax: Infinity });
    });
    const body = Buffer.alloc(size);
    const sending = version === 1 ? send1(url, body) : send2(await open2(context, url), body);
    const exchange = await held.promise;
    // Another request is answered meanwhile, and by then what was under way has come.
    const other = await fetch(url, { method: "POST" });
    assert.equal(await other.text(), String(bytes));
    assert.ok(bytes < size / 4, `${bytes} bytes were read`);
    assert.ok(sending.unsent() > 0);
    exchange.resume();
    assert.equal(await sending.answer, String(size));
  }
});

test("an answer in pieces waits for a client that does not read", async (context) => {
  const piece = Buffer.alloc(64 * 1024, "x");
  const count = 512;
  const exchanges: HttpExchange[] = [];
  const { url, port } = await serve(context, (exchange) => {
    exchanges.push(exchange);
    exchange.begin(200, { "content-type": "text/plain" });
    // More than any system takes for a client that does not read.
    for (let sent = 0; sent < count; sent++) exchange.write(piece);
    blocked.resolve(exchange);
  });
  let blocked = Promise.withResolvers<HttpExchange>();
  const finish = async (exchange: HttpExchange): Promise<void> => {
    for (let sent = 0; sent < count; sent++) {
      if (!exchange.write(piece)) await exchange.drained();
    }
    exchange.end();
  };
  const response = await fetch(url);
  const one = await blocked.promise;
  assert.ok(one.unsentBytes > 0);
  const reading = response.text();
  await finish(one);
  assert.ok((await reading).length >= count * piece.length);

  blocked = Promise.withResolvers<HttpExchange>();
  const session = await open2(context, `http://${host}:${port}`);
  const stream = session.request({});
  const two = await blocked.promise;
  assert.ok(two.unsentBytes > 0);
  const whole = text(stream);
  await finish(two);
  assert.ok((await whole).length >= count * piece.length);
  assert.equal(exchanges.length, 2);
});

test("trailers follow the answer", async (context) => {
  const { url } = await serve(context, (exchange) => {
    exchange.begin(200, { trailer: "x-sum" }, { hasTrailers: true });
    exchange.write("body");
    exchange.end({ "x-sum": 4 });
  });
  const session = await open2(context, url);
  const stream = session.request({});
  const trailers = once(stream, "trailers");
  assert.equal(await text(stream), "body");
  assert.equal((await trailers)[0]["x-sum"], "4");
  const sending = request(url).end();
  const [response] = await once(sending, "response");
  assert.equal(await text(response), "body");
  assert.equal(response.trailers["x-sum"], "4");
});

test("trailers reach a client that has not sent everything", async (context) => {
  const { url } = await serve(context, (exchange) => {
    exchange.begin(200, {}, { hasTrailers: true });
    exchange.write("enough");
    exchange.end({ "x-why": "enough" });
  });
  const session = await open2(context, url);
  const stream = session.request({ ":method": "POST" }, { endStream: false });
  stream.write("and more");
  const trailers = once(stream, "trailers");
  assert.equal(await text(stream), "enough");
  assert.equal((await trailers)[0]["x-why"], "enough");
});

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame as in RFC 9113, section 4.1. */
// oxlint-disable-next-line max-params -- its fields
function frame(type: number, flags: number, streamId: number, payload = ""): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, Buffer.from(payload, "latin1")]);
}

/** The head of a POST in stream 1, each field a literal without index (RFC 7541, section 6.2.2). */
function postFrame(path: string): Buffer {
  const fields = { ":method": "POST", ":scheme": "http", ":path": path, ":authority": "x" };
  const coded = Object.entries(fields).map(
    ([name, value]) => `\0${counted(name)}${counted(value)}`,
  );
  return frame(1, 4, 1, coded.join(""));
}

function counted(field: string): string {
  return String.fromCharCode(field.length) + field;
}

test("a handler hears that its client has gone, whatever it was doing", async (context) => {
  const gone: string[] = [];
  let all = Promise.withResolvers<void>();
  let started = Promise.withResolvers<void>();
  const { port, listener } = await serve(context, (exchange) => {
    const tell = (what: string) => () => {
      gone.push(`${exchange.path} ${what}`);
      if (gone.length === 3) all.resolve();
    };
    exchange.whenGone(tell("gone"));
    exchange.signal.addEventListener("abort", tell("signal"));
    const failed = (error: LogError): void => tell(error.code)();
    exchange.receive({ received() {}, ended: assert.fail, failed }, { bytesMax: 100 });
    exchange.begin(200, {});
    exchange.write("x");
    started.resolve();
  });
  const socket = await open(context, port);
  socket.write("POST /one HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nhalf");
  await started.promise;
  socket.destroy();
  await all.promise;
  assert.deepEqual(gone.toSorted(), ["/one cancelled", "/one gone", "/one signal"]);
  gone.length = 0;
  all = Promise.withResolvers();
  started = Promise.withResolvers();
  // Not by Node's client, which ends the body before it resets the stream.
  const reset = (await open(context, port)).resume();
  reset.write(Buffer.concat([preface, frame(4, 0, 0), postFrame("/two"), frame(0, 0, 1, "half")]));
  await started.promise;
  reset.write(frame(3, 0, 1, "\0\0\0\x08"));
  await all.promise;
  assert.deepEqual(gone.toSorted(), ["/two cancelled", "/two gone", "/two signal"]);
  assert.equal(listener.stats().requestsInFlight, 0);
});

test("who is told a whole answer has not gone", async (context) => {
  let goneCount = 0;
  const { url } = await serve(context, (exchange) => {
    exchange.whenGone(() => goneCount++);
    exchange.answer(200, {}, "whole");
  });
  for (let count = 0; count < 3; count++) assert.equal(await (await fetch(url)).text(), "whole");
  assert.equal(goneCount, 0);
});

async function hears(socket: Socket): Promise<string> {
  return text(socket);
}

function postHead(path: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n`;
}

function handshakeHead(path: string, protocol: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;
}

test("slow and senseless senders are answered, and cut off", async (context) => {
  const limits = { headMsMax: 500, bodyMsMax: 500, bodyIdleMsMax: 500, headBytesMax: 1024 };
  const { port, listener } = await serve(
    context,
    (exchange) => {
      const failed = (error: LogError): void => exchange.answer(408, {}, error.code);
      if (exchange.path === "/whole") {
        exchange.readBody(100, (body) => void (body instanceof LogError && failed(body)));
      } else {
        const ended = (): void => exchange.answer(200, {}, "ended");
        const isOpenEnded = exchange.path === "/open";
        exchange.receive({ received() {}, ended, failed }, { bytesMax: 100, isOpenEnded });
      }
    },
    limits,
  );
  const cases: readonly (readonly [sent: string, heard: RegExp])[] = [
    ["", /^$/],
    ["P", /^$/],
    ["GET / HTTP/1.1\r\nhost:", /^HTTP\/1\.1 408 .*"title":"Request timeout"/s],
    [`${postHead("/whole")}half`, /^HTTP\/1\.1 408 .*timeout$/s],
    [`${postHead("/pieces")}half`, /^HTTP\/1\.1 408 .*timeout$/s],
    ["hello\r\n\r\n", /^HTTP\/1\.1 400 .*problem\+json.*"This is no request of HTTP\."/s],
    ["GET / HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
    [`GET / HTTP/1.1\r\nx: ${"y".repeat(2_000)}\r\n\r\n`, /^HTTP\/1\.1 431 .*larger than/s],
    ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", /./s],
  ];
  await Promise.all(
    cases.map(async ([sent, heard]) => {
      const socket = await open(context, port);
      socket.write(sent);
      assert.match(await hears(socket), heard, JSON.stringify(sent));
    }),
  );
  const patient = await open(context, port);
  patient.write(`${postHead("/open")}half`);
  // The others were cut off by the same clock, so this one has been looked at too.
  patient.write("-done");
  const [answer] = await once(patient, "data");
  assert.match(String(answer), /^HTTP\/1\.1 200 /);
  assert.equal(listener.stats().requestsInFlight, 0);
});

test("a head that comes byte by byte is a head, of either protocol", async (context) => {
  const { port } = await serve(context, (exchange) => exchange.answer(200, {}, "whole"));
  const socket = await open(context, port);
  socket.setNoDelay(true);
  const head = "PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
  for (const byte of head) await new Promise((resolve) => socket.write(byte, resolve));
  assert.match(await hears(socket), /^HTTP\/1\.1 200 .*whole$/s);
  const other = await open(context, port);
  other.setNoDelay(true);
  for (const byte of Buffer.concat([preface, frame(4, 0, 0)])) {
    await new Promise((resolve) => other.write(Buffer.of(byte), resolve));
  }
  const [settings] = await once(other, "data");
  assert.equal(settings[3], 4);
});

test("connections over the limit are closed, and the others do not notice", async (context) => {
  const { port, listener } = await serve(context, (exchange) => exchange.answer(200, {}, "here"), {
    connectionsMax: 3,
  });
  const sockets = [await open(context, port), await open(context, port), await open(context, port)];
  for (const socket of sockets) {
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(socket, "data");
  }
  const refused = await open(context, port);
  await once(refused.resume(), "close");
  const { connections, connectionsAccepted, connectionsRefused } = listener.stats();
  assert.deepEqual([connections, connectionsAccepted, connectionsRefused], [3, 3, 1]);
  const [first] = sockets;
  first?.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(String(await once(first ?? refused, "data")), /here/);
});

test("a handshake goes on in its own protocol, with what came behind it", async (context) => {
  const closed = Promise.withResolvers<void>();
  const { port, listener } = await serve(context, (exchange) => {
    if (!exchange.isUpgrade) {
      exchange.answer(200, {}, "plain");
      return;
    }
    if (exchange.path === "/refused") {
      exchange.answer(403, {}, "refused");
      return;
    }
    const connection: Connection = exchange.upgrade({ upgrade: "websocket" });
    const memory = new Uint8Array(10);
    connection.start({
      target: () => memory,
      received: (count) => connection.write([Buffer.from(memory.subarray(0, count))]),
      drained() {},
      closed: () => closed.resolve(),
    });
  });
  const socket = await open(context, port);
  socket.write(`${handshakeHead("/", "websocket")}early`);
  let heard = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  while (!heard.endsWith("early")) await once(socket, "data");
  assert.match(heard, /^HTTP\/1\.1 101 .*\r\nupgrade: websocket\r\n\r\nearly$/s);
  socket.write("a longer piece than its memory");
  while (!heard.endsWith("memory")) await once(socket, "data");
  assert.equal(listener.stats().requestsInFlight, 1);
  socket.end();
  await closed.promise;
  assert.equal(listener.stats().requestsInFlight, 0);
  const refused = await open(context, port);
  refused.write(handshakeHead("/refused", "websocket"));
  assert.match(await hears(refused), /^HTTP\/1\.1 403 .*refused$/s);
  const other = await open(context, port);
  other.write(handshakeHead("/", "h2c"));
  assert.match(String(await once(other, "data")), /^HTTP\/1\.1 200 .*plain$/s);
});

test("a server that closes lets what is in flight end, and waits no longer than it was told", async (context) => {
  const asked = [Promise.withResolvers<HttpExchange>(), Promise.withResolvers<HttpExchange>()];
  let count = 0;
  const { url, port, listener } = await serve(context, (exchange) => {
    asked[count++]?.resolve(exchange);
  });
  const answering = fetch(url);
  const idle = await open(context, port);
  const exchange = await asked[0]?.promise;
  const session = await open2(context, url);
  const stream = session.request({});
  const answering2 = text(stream);
  const exchange2 = await asked[1]?.promise;
  const closing = listener.close(60_000);
  await once(idle.resume(), "close");
  await assert.rejects(fetch(`${url}/late`));
  exchange?.answer(200, {}, "in time");
  exchange2?.answer(200, {}, "in time");
  assert.equal(await (await answering).text(), "in time");
  assert.equal(await answering2, "in time");
  await closing;
  await listener.close();

  const other = await serve(context, () => {});
  const unanswered = assert.rejects(fetch(other.url));
  while (other.listener.stats().requestsInFlight === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await other.listener.close(10);
  await unanswered;
});
