// What only the machine can show: the kernel's lock, the socket without a handle.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

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
