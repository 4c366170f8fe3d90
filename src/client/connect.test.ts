// What answers that no server of ours gives come to.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";

import { type ErrorCode, LogError } from "../errors/index.ts";
import {
  ClusterService,
  ErrorDetailSchema,
  LogService,
  ReadResponseSchema,
} from "../proto/index.ts";
import { Connection } from "./connect.ts";
import { webPlatform } from "./platform.ts";

interface Stranger extends AsyncDisposable {
  readonly connection: Connection;
}

/** Something that listens, and answers every request in the same way. */
async function stranger(answer: (response: ServerResponse) => void): Promise<Stranger> {
  const server = createServer((request, response) => {
    request.resume();
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const url = `http://127.0.0.1:${address.port}`;
  return {
    connection: new Connection(url, webPlatform, {}),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

const never = new AbortController().signal;

function ask({ connection }: Stranger): Promise<unknown> {
  return connection.unary(ClusterService.method.describeCluster, {}, { signal: never });
}

async function offsetsOf({ connection }: Stranger): Promise<bigint[]> {
  const offsets: bigint[] = [];
  const messages = connection.stream(LogService.method.read, { topic: "t" }, { signal: never });
  for await (const { records } of messages) offsets.push(...records.map(({ offset }) => offset));
  return offsets;
}

function envelope(flags: number, message: Uint8Array | string): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function recordsAt(...offsets: readonly number[]): Buffer {
  const response = { records: offsets.map((offset) => ({ offset: BigInt(offset) })) };
  return envelope(0, toBinary(ReadResponseSchema, create(ReadResponseSchema, response)));
}

const end = envelope(2, "{}");

async function fails(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof LogError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

function told(code: string, message: string, detail?: { code: string }): string {
  const value =
    detail === undefined
      ? "AAA"
      : base64Encode(toBinary(ErrorDetailSchema, create(ErrorDetailSchema, detail)));
  const details = [{ type: "cordwood.v1.ErrorDetail", value: value.replaceAll("=", "") }];
  return JSON.stringify({ code, message, details });
}

const answers: readonly (readonly [
  why: string,
  status: number,
  body: string,
  code: ErrorCode,
  message: RegExp,
])[] = [
  [
    "a page of something else",
    404,
    "<html>",
    "protocol_violation",
    /404.*is the port that of HTTP/,
  ],
  ["an answer that is no message", 200, "\xff\xff\xff", "protocol_violation", /cannot be read/],
  ["a proxy whose server is away", 502, "bad gateway", "unreachable", /502/],
  [
    "an error with its code",
    409,
    told("failed_precondition", "t/0: the next offset is 1", { code: "offset_conflict" }),
    "offset_conflict",
    /^t\/0: the next offset is 1$/,
  ],
  [
    "an error of a newer server, whose code is not known here",
    404,
    told("not_found", "no such thing", { code: "thing_not_found" }),
    "topic_not_found",
    /no such thing \(not_found\)/,
  ],
  ["an error without a detail", 503, '{"code":"unavailable"}', "unreachable", /unavailable/],
  ["an error of no known kind", 500, '{"code":"odd","message":"x"}', "internal", /x \(odd\)/],
  ["a detail that cannot be read", 501, told("unimplemented", "y"), "unsupported", /y/],
];

for (const [why, status, body, code, message] of answers) {
  test(`${why} is ${code}`, async () => {
    await using server = await stranger((response) => {
      response.writeHead(status).end(Buffer.from(body, "latin1"));
    });
    await fails(ask(server), code, message);
  });
}

test("messages are put together however they are cut", async () => {
  const bytes = Buffer.concat([recordsAt(1, 2), recordsAt(), recordsAt(3), end]);
  await using server = await stranger((response) => {
    // Each byte in a piece of its own, as far as the network keeps them apart.
    for (const byte of bytes) response.write(Uint8Array.of(byte));
    response.end();
  });
  assert.deepEqual(await offsetsOf(server), [1n, 2n, 3n]);
});

const streams: readonly (readonly [
  why: string,
  bytes: Uint8Array,
  code: ErrorCode,
  message: RegExp,
])[] = [
  ["a stream without its end", recordsAt(1), "unreachable", /broke off/],
  ["a stream that ends within a message", recordsAt(1).subarray(0, 7), "unreachable", /broke off/],
  ["an empty stream", new Uint8Array(0), "unreachable", /broke off/],
  ["a message over the limit", Buffer.from([0, 255, 255, 255, 255]), "protocol_violation", /limit/],
  ["a message that is compressed", envelope(1, "x"), "protocol_violation", /compressed/],
  ["a message that is none", envelope(0, "\x08"), "protocol_violation", /cannot be read/],
  [
    "an error at the end",
    envelope(2, `{"error":${told("out_of_range", "gone", { code: "offset_out_of_range" })}}`),
    "offset_out_of_range",
    /^gone$/,
  ],
];

for (const [why, bytes, code, message] of streams) {
  test(`${why} is ${code}`, async () => {
    await using server = await stranger((response) => {
      response.end(bytes);
    });
    await fails(offsetsOf(server), code, message);
  });
}

test("who leaves a stream closes its connection, and a silent server is not waited for", async () => {
  const closed = Promise.withResolvers<void>();
  await using server = await stranger((response) => {
    response.on("close", () => closed.resolve());
    response.write(recordsAt(1));
  });
  const { connection } = server;
  for await (const message of connection.stream(
    LogService.method.read,
    { topic: "t" },
    { signal: never },
  )) {
    assert.equal(message.records.length, 1);
    break;
  }
  await closed.promise;
  await using silent = await stranger(() => undefined);
  const { describeCluster } = ClusterService.method;
  const asked = silent.connection.unary(describeCluster, {}, { signal: never, timeoutMs: 20 });
  await fails(asked, "unreachable", /no answer within 0\.02 s/);
  const leaving = new AbortController();
  const left = silent.connection.unary(describeCluster, {}, { signal: leaving.signal });
  leaving.abort();
  await fails(left, "cancelled", /cancelled/);
});
