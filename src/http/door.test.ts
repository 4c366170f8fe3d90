import assert from "node:assert/strict";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { host, openScene, problemOf } from "./http-scene.test.ts";

test("a server lives before it serves, and is ready only while it does", async (context) => {
  const scene = await openScene(context);
  assert.deepEqual((await scene.ask("GET", "/health/ready")).json, { status: "ready" });
  scene.isReady = false;
  const answer = await scene.ask("GET", "/health/ready");
  assert.equal(answer.status, 503);
  assert.equal(problemOf(answer)["title"], "Not ready");
  const live = await scene.ask("GET", "/health/live");
  assert.deepEqual([live.status, live.json], [200, { status: "live" }]);
});

test("metrics are told in the format of Prometheus", async (context) => {
  const scene = await openScene(context);
  const answer = await scene.ask("GET", "/metrics");
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(answer.text, /^cordwood_http_requests_total 1$/m);
  assert.match(answer.text, /^cordwood_http_received_bytes [1-9]\d*$/m);
});

test("what is not there, and what cannot be written, is a problem that says what to do", async (context) => {
  const scene = await openScene(context);
  const missing = await scene.ask("GET", "/nothing?x=1");
  assert.equal(missing.status, 404);
  assert.match(String(problemOf(missing)["detail"]), /\/nothing; try .*\/metrics/);
  const written = await scene.ask("POST", "/metrics", { body: "x" });
  assert.equal(written.status, 405);
  assert.equal(written.headers.get("allow"), "GET, HEAD");
  assert.equal(problemOf(written)["title"], "Method not allowed");
  const head = await scene.ask("HEAD", "/health/live");
  assert.deepEqual([head.status, head.text], [200, ""]);
});

/** Node's fetch sets the host itself. */
async function askAs(
  port: number,
  headers: Record<string, string>,
  method = "GET",
): Promise<[number, string, Record<string, unknown>]> {
  const sending = request({ host, port, path: "/topics/t/records", method, headers });
  const answered = new Promise<[number, string, Record<string, unknown>]>((resolve, reject) => {
    sending.on("error", reject);
    sending.on("response", (response) => {
      text(response).then(
        (body) => resolve([response.statusCode ?? 0, body, response.headers]),
        reject,
      );
    });
  });
  sending.end();
  return answered;
}

test("a name that is made to point to this machine is not answered", async (context) => {
  const { door } = await openScene(context, { allowedHosts: ["log.example"] });
  for (const [name, isAllowed] of [
    ["localhost", true],
    [`127.0.0.1:${door.port}`, true],
    ["[::1]:8080", true],
    ["log.example:8080", true],
    ["LOG.example", true],
    ["evil.example", false],
    ["127.0.0.1.evil.example", false],
    ["localhost.evil.example:8080", false],
  ] as const) {
    const [status] = await askAs(door.port, { host: name });
    assert.equal(status, isAllowed ? 405 : 421, name);
  }
});

test("pages of other origins are refused, unless they are let in", async (context) => {
  const { door } = await openScene(context, { corsOrigins: ["https://console.example"] });
  const own = { host: `localhost:${door.port}` };
  const origin = `http://${own.host}`;
  assert.equal((await askAs(door.port, { ...own, origin }))[0], 405);
  for (const bad of ["https://evil.example", "null", "http://localhost:1"]) {
    const [status, body] = await askAs(door.port, { ...own, origin: bad }, "POST");
    assert.equal(status, 403, bad);
    assert.match(body, /may not use this server/);
  }
  const allowed = { ...own, origin: "https://console.example" };
  const [status, , headers] = await askAs(door.port, allowed);
  assert.equal(status, 405);
  assert.equal(headers["access-control-allow-origin"], "https://console.example");
  const asked = { ...allowed, "access-control-request-headers": "if-match" };
  const [preflight, , rights] = await askAs(door.port, asked, "OPTIONS");
  assert.equal(preflight, 204);
  assert.equal(rights["access-control-allow-headers"], "if-match");
  const { door: closed } = await openScene(context);
  const [refused] = await askAs(closed.port, {
    host: "localhost",
    origin: "https://console.example",
  });
  assert.equal(refused, 403);
});
