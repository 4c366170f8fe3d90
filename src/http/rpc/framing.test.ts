// What a client can get wrong, frame by frame: no library would send it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from "node:http2";
import { gzipSync } from "node:zlib";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import {
  AppendRequestSchema,
  AppendResponseSchema,
  AppendStreamRequestSchema,
  AppendStreamResponseSchema,
  ReadRequestSchema,
  ReadResponseSchema,
} from "../../proto/index.ts";
import { rpcLimits } from "./limits.ts";
import { openRpcScene, type RpcScene } from "./rpc-scene.test.ts";

let scene: RpcScene;
let session: ClientHttp2Session;

before(async () => {
  scene = await openRpcScene();
  await scene.createTopic("t");
  session = connect(scene.url);
});
after(async () => {
  session.close();
  await scene[Symbol.asyncDispose]();
});

interface Answer {
  readonly head: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The status of gRPC, wherever it is. */
  readonly status: string;
  readonly message: string;
}

function begin(method: string, headers: Record<string, string> = {}): ClientHttp2Stream {
  return session.request(
    {
      ":method": "POST",
      ":path": `/cordwood.v1.LogService/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    },
    { endStream: false },
  );
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (headers) => (head = headers));
  stream.on("trailers", (headers) => (trailers = headers));
  const pieces: Buffer[] = [];
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  await once(stream, "close");
  const given = { ...head, ...trailers };
  return {
    head,
    trailers,
    body: Buffer.concat(pieces),
    status: String(given["grpc-status"]),
    message: decodeURIComponent(String(given["grpc-message"] ?? "")),
  };
}

function envelope(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function append(topic = "t", value = "x"): Uint8Array {
  return toBinary(
    AppendRequestSchema,
    create(AppendRequestSchema, { topic, records: [{ value: Buffer.from(value) }] }),
  );
}

async function unary(body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
  const stream = begin("Append", headers);
  stream.end(body);
  return answerOf(stream);
}

function highWatermark(): number {
  return scene.broker.partition("t", 0)?.highWatermark ?? -1;
}

test("a body that is no message is refused, and nothing is appended", async () => {
  const earlier = highWatermark();
  const cases: readonly [string, Uint8Array, Record<string, string>, string, RegExp][] = [
    ["nothing", Buffer.alloc(0), {}, "3", /one message is expected/],
    ["half a head", Buffer.alloc(3), {}, "3", /one message is expected/],
    ["a cut message", envelope(append()).subarray(0, 8), {}, "3", /one message is expected/],
    ["two messages", Buffer.concat([envelope(append()), envelope(append())]), {}, "3", /one/],
    ["unknown flags", envelope(append(), 0x40), {}, "3", /flags 64/],
    ["compressed without a name", envelope(append(), 1), {}, "3", /names no compression/],
    [
      "compressed and not so",
      envelope(append(), 1),
      { "grpc-encoding": "gzip" },
      "3",
      /not what gzip makes/,
    ],
    ["an unknown compression", envelope(append()), { "grpc-encoding": "br" }, "12", /"br"; gzip/],
    ["garbage", envelope(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])), {}, "3", /malformed/],
    ["a cut field", envelope(Buffer.from([0x0a, 0x20, 0x61])), {}, "3", /cut/],
    ["a wrong wire type", envelope(Buffer.from([0x08, 0x01])), {}, "3", /field 1 has the wire/],
    ["no UTF-8", envelope(Buffer.from([0x0a, 0x01, 0xff])), {}, "3", /not UTF-8/],
    ["a deadline that is none", envelope(append()), { "grpc-timeout": "soon" }, "3", /deadline/],
  ];
  for (const [name, body, headers, status, message] of cases) {
    const answer = await unary(body, headers);
    assert.deepEqual([name, answer.status], [name, status], answer.message);
    assert.match(answer.message, message, name);
    // An answer that has no message says everything in its head.
    assert.equal(answer.head["grpc-status"], status, name);
  }
  assert.equal(highWatermark(), earlier);
});

test("a message over the limit is refused, compressed or not", async () => {
  const large = Buffer.alloc(rpcLimits.messageBytesMax + 1);
  for (const [body, headers] of [
    [envelope(large), {}],
    [envelope(gzipSync(large), 1), { "grpc-encoding": "gzip" }],
  ] as const) {
    const { status, message } = await unary(body, headers);
    assert.equal(status, "8", message);
  }
});

test("a stream whose message claims too many bytes is ended before they come", async () => {
  const stream = begin("AppendStream");
  stream.write(envelope(Buffer.alloc(10), 0, rpcLimits.messageBytesMax + 1));
  const { status, message } = await answerOf(stream);
  assert.equal(status, "8");
  assert.match(message, new RegExp(`${rpcLimits.messageBytesMax} are allowed`));
});

test("messages are found wherever they are cut", async () => {
  const first = toBinary(
    AppendStreamRequestSchema,
    create(AppendStreamRequestSchema, { topic: "t", records: [{ value: Buffer.from("cut") }] }),
  );
  const next = toBinary(
    AppendStreamRequestSchema,
    create(AppendStreamRequestSchema, { records: [{ value: Buffer.alloc(3000, "z") }] }),
  );
  const bytes = Buffer.concat([envelope(first), envelope(next), envelope(next)]);
  const earlier = highWatermark();
  for (const size of [1, 4, 5, 6, 999]) {
    const stream = begin("AppendStream");
    for (let position = 0; position < bytes.length; position += size) {
      stream.write(bytes.subarray(position, position + size));
    }
    stream.end();
    const { status, body } = await answerOf(stream);
    assert.equal(status, "0");
    assert.equal(acknowledged(body), 3);
  }
  assert.equal(highWatermark(), earlier + 15);
});

function acknowledged(body: Buffer): number {
  let count = 0;
  for (let position = 0; position < body.length;) {
    const length = body.readUInt32BE(position + 1);
    const message = body.subarray(position + 5, position + 5 + length);
    const { runs } = fromBinary(AppendStreamResponseSchema, message);
    for (const run of runs) count += run.count;
    position += 5 + length;
  }
  return count;
}

test("a stream that ends within a message acknowledges what was whole", async () => {
  const stream = begin("AppendStream");
  stream.write(envelope(append()));
  await once(stream, "data");
  stream.end(envelope(append()).subarray(0, 7));
  const { status, message } = await answerOf(stream);
  assert.equal(status, "3");
  assert.match(message, /ends within a message/);
});

test("the first message of a stream names its topic", async () => {
  const stream = begin("AppendStream");
  stream.write(envelope(append("")));
  const { status, message } = await answerOf(stream);
  assert.equal(status, "3");
  assert.match(message, /names no topic/);
});

test("a stream that its client resets leaves nothing behind, and what was acknowledged stays", async () => {
  const stream = begin("AppendStream");
  stream.on("error", () => {});
  stream.write(envelope(append("t", "kept")));
  await once(stream, "data");
  const kept = highWatermark();
  stream.close(8);
  await once(stream, "close");
  assert.equal(highWatermark(), kept);
  const { status } = await unary(envelope(append()));
  assert.equal(status, "0");
  assert.equal(highWatermark(), kept + 1);
});

test("a reader that takes nothing costs a bounded number of bytes", async () => {
  await scene.createTopic("large");
  const records = Array.from({ length: 8 }, () => ({ value: Buffer.alloc(100_000) }));
  const request = create(AppendRequestSchema, { topic: "large", records });
  for (let count = 0; count < 16; count++) {
    const { status } = await unary(envelope(toBinary(AppendRequestSchema, request)));
    assert.equal(status, "0");
  }
  const earlier = process.memoryUsage().arrayBuffers;
  const streams = Array.from({ length: 20 }, () => {
    const stream = begin("Read");
    stream.end(
      envelope(
        toBinary(ReadRequestSchema, create(ReadRequestSchema, { topic: "large", follow: true })),
      ),
    );
    return stream;
  });
  await Promise.all(streams.map((stream) => once(stream, "response")));
  // Another call goes through the same connection while all of them stand still.
  assert.equal((await unary(envelope(append()))).status, "0");
  const each = (process.memoryUsage().arrayBuffers - earlier) / streams.length;
  assert.ok(each < 2 << 20, `each takes ${each} bytes of ${8 * 16 * 100_000}`);
  for (const stream of streams) {
    stream.on("error", () => {});
    stream.close(8);
  }
});

test("the messages written here are those of the generated code", async () => {
  await scene.createTopic("oracle", 3);
  const appended = await unary(
    envelope(
      toBinary(
        AppendRequestSchema,
        create(AppendRequestSchema, {
          topic: "oracle",
          partition: 2,
          records: [
            { timestampMs: -5n, value: Buffer.from("early") },
            { timestampMs: 1_700_000_000_000n, key: Buffer.alloc(200) },
            { headers: [{ name: "" }, { name: "ü", value: Buffer.alloc(300, 1) }] },
          ],
        }),
      ),
    ),
  );
  const runs = fromBinary(AppendResponseSchema, appended.body.subarray(5));
  assert.deepEqual(toBinary(AppendResponseSchema, runs), new Uint8Array(appended.body.subarray(5)));
  assert.deepEqual(
    runs.runs.map(({ partition, offset, count }) => [partition, offset, count]),
    [[2, 0n, 3]],
  );
  const stream = begin("Read");
  const request = create(ReadRequestSchema, { topic: "oracle" });
  stream.end(envelope(toBinary(ReadRequestSchema, request)));
  const { body, status } = await answerOf(stream);
  assert.equal(status, "0");
  const times: bigint[] = [];
  for (let position = 0; position < body.length;) {
    const length = body.readUInt32BE(position + 1);
    const bytes = body.subarray(position + 5, position + 5 + length);
    const message = fromBinary(ReadResponseSchema, bytes);
    assert.deepEqual(toBinary(ReadResponseSchema, message), new Uint8Array(bytes));
    times.push(...message.records.map(({ timestampMs }) => timestampMs));
    position += 5 + length;
  }
  assert.deepEqual(times.slice(0, 2), [-5n, 1_700_000_000_000n]);
});
