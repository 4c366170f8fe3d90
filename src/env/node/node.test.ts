// What only the machine can show: HTTP, the kernel's lock, the socket without a handle.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import type { HttpAnswer, HttpQuestion } from "../env.ts";
import { SocketConnection } from "./connection.ts";
import { nodeEnv } from "./index.ts";

const host = "127.0.0.1";
const env = nodeEnv();

test("a lock ends with the process that held it, even when it is killed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cordwood-lock-"));
  const path = join(directory, "lock");
  const module = JSON.stringify(fileURLToPath(new URL("./index.ts", import.meta.url)));
  const script = `
    const { nodeEnv } = await import(${module});
    const lock = nodeEnv().disk.lock(${JSON.stringify(path)});
    console.log(lock === undefined ? "refused" : "held");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(child.stdout, "data");
  assert.equal(String(said).trim(), "held");
  assert.equal(env.disk.lock(path), undefined);
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  const lock = env.disk.lock(path);
  assert.ok(lock !== undefined);
  lock.release();
  rmSync(directory, { recursive: true });
});

test("a stream without a handle is read by its data events", async () => {
  const [near, far] = duplexPair();
  const connection = new SocketConnection(near);
  const memory = new Uint8Array(3);
  const got: number[] = [];
  const closed = Promise.withResolvers<void>();
  connection.start({
    target: () => memory,
    received: (count) => void got.push(...memory.subarray(0, count)),
    drained() {},
    closed: () => closed.resolve(),
  });
  const answer = once(far, "data");
  connection.write([Uint8Array.of(9), Uint8Array.of(8)]);
  const [first] = await answer;
  assert.equal(first instanceof Uint8Array && first[0], 9);
  far.end(Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
  await once(near, "end");
  connection.destroy();
  await closed.promise;
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7]);
});

test("a reset by the other side reaches the handler as an error, once", async () => {
  const closed = Promise.withResolvers<Error | undefined>();
  const memory = new Uint8Array(10);
  const listener = await env.network.listen({ host, port: 0 }, (connection) => {
    connection.start({
      target: () => memory,
      received: () => socket.resetAndDestroy(),
      drained() {},
      closed: closed.resolve,
    });
  });
  const socket = connect({ host, port: listener.port });
  socket.write("x");
  const error = await closed.promise;
  assert.equal(error !== undefined && "code" in error && error.code, "ECONNRESET");
  await listener.close();
});

test("HTTP questions are handed on and answered", async () => {
  const seen: HttpQuestion[] = [];
  const listener = await env.network.serveHttp({ host, port: 0 }, { bodyBytesMax: 5 }, echo(seen));
  const url = `http://${host}:${listener.port}`;
  const answer = await fetch(`${url}/a%20b/c?x=1&x=2`, {
    method: "PUT",
    body: "12345",
    headers: { "x-own": "yes" },
  });
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get("content-type"), "text/plain");
  assert.equal(await answer.text(), "PUT 5");
  const [question] = seen;
  assert.equal(question?.path, "/a%20b/c");
  assert.deepEqual(question?.query.getAll("x"), ["1", "2"]);
  assert.equal(question?.headers["x-own"], "yes");
  const head = await fetch(url, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), "6");
  assert.equal(await head.text(), "");
  await listener.close();
  await assert.rejects(fetch(url));
});

test("a body over the limit is refused, whether its length is told or not", async () => {
  const seen: HttpQuestion[] = [];
  const listener = await env.network.serveHttp({ host, port: 0 }, { bodyBytesMax: 5 }, echo(seen));
  const url = `http://${host}:${listener.port}/`;
  const told = await fetch(url, { method: "POST", body: "x".repeat(300_000) });
  assert.equal(told.status, 413);
  const untold = request(url, { method: "POST", headers: { "transfer-encoding": "chunked" } });
  untold.on("error", () => {});
  const answered = once(untold, "response");
  for (let count = 0; count < 6; count++) untold.write("x");
  const [response] = await answered;
  assert.equal(response.statusCode, 413);
  untold.destroy();
  assert.deepEqual(seen, []);
  await listener.close();
});

test("timers, clocks and random numbers are the machine's", async () => {
  const before = env.clock.monotonicMs();
  await new Promise<void>((resolve) => {
    env.timers.after(2 ** 40, resolve).cancel();
    const cancelled = env.timers.after(1, () => assert.fail("a cancelled timer ran"));
    cancelled.cancel();
    env.timers.after(3.5, () => env.timers.soon(resolve));
  });
  assert.ok(env.clock.monotonicMs() - before >= 3);
  assert.ok(Math.abs(env.clock.wallMs() - Date.now()) < 1_000);
  const uuid = Buffer.from(env.random.uuid()).toString("hex");
  assert.match(uuid, /^.{12}4.{3}[89ab].{15}$/);
  const filled = new Uint8Array(64);
  // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- this is no array
  env.random.fill(filled);
  assert.ok(filled.some((byte) => byte !== 0));
});

function echo(seen: HttpQuestion[]): (question: HttpQuestion) => Promise<HttpAnswer> {
  return async (question) => {
    seen.push(question);
    const body = `${question.method} ${question.body.length}`;
    return { status: 201, headers: { "content-type": "text/plain" }, body };
  };
}
