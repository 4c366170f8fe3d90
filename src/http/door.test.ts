import assert from "node:assert/strict";
import { test } from "node:test";

import { nodeEnv } from "../env/node/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { openHttpDoor } from "./index.ts";

interface Door extends AsyncDisposable {
  readonly url: string;
  isReady: boolean;
}

async function open(): Promise<Door> {
  const metrics = new MetricRegistry();
  metrics.counter("cordwood_things_total", "Things.").add(3);
  const at = { host: "127.0.0.1", port: 0 };
  const listener = await openHttpDoor(nodeEnv(), { at, isReady: () => door.isReady, metrics });
  const door: Door = {
    url: `http://127.0.0.1:${listener.port}`,
    isReady: true,
    [Symbol.asyncDispose]: () => listener.close(),
  };
  return door;
}

interface Problem {
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

async function problemOf(response: Response): Promise<Problem> {
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- looked at field by field
  const problem = (await response.json()) as Problem;
  assert.equal(problem.status, response.status);
  return problem;
}

test("a server lives before it serves, and is ready only while it does", async () => {
  await using door = await open();
  assert.deepEqual(await (await fetch(`${door.url}/health/ready`)).json(), { status: "ready" });
  door.isReady = false;
  const response = await fetch(`${door.url}/health/ready`);
  assert.equal(response.status, 503);
  assert.equal((await problemOf(response)).title, "Not ready");
  const live = await fetch(`${door.url}/health/live`);
  assert.deepEqual([live.status, await live.json()], [200, { status: "live" }]);
});

test("metrics are told in the format of Prometheus", async () => {
  await using door = await open();
  const response = await fetch(`${door.url}/metrics`);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(await response.text(), /^cordwood_things_total 3$/m);
});

test("what is not there, and what cannot be written, is a problem that says what to do", async () => {
  await using door = await open();
  const missing = await fetch(`${door.url}/nothing?x=1`);
  assert.equal(missing.status, 404);
  assert.match((await problemOf(missing)).detail, /\/nothing; try .*\/metrics/);
  const written = await fetch(`${door.url}/metrics`, { method: "POST", body: "x" });
  assert.equal(written.status, 405);
  assert.equal(written.headers.get("allow"), "GET, HEAD");
  assert.equal((await problemOf(written)).title, "Method not allowed");
  const head = await fetch(`${door.url}/health/live`, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
});
