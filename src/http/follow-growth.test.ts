// What takes time, in a world where time is cheap.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Broker } from "../broker/index.ts";
import { memoryEnv } from "../env/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { HttpDoor } from "./index.ts";

const at = { host: "127.0.0.1", port: 80 };
const headers = { host: "localhost" };

test("followers of a topic that grows are told to come again, and hear the new partitions then", async () => {
  const env = memoryEnv({ seed: 1 });
  const metrics = new MetricRegistry();
  const options = { directory: "/log", advertised: () => at, onFatal: assert.ifError, metrics };
  const broker = await env.run(Broker.open(env, options));
  const door = new HttpDoor(env, { broker, metrics, isReady: () => true });
  await env.run(door.listen(at));
  await env.run(broker.createTopics([{ name: "t", partitionCount: 1 }]));
  const ask = (
    method: string,
    path: string,
    body = "",
    more = {},
  ): ReturnType<typeof env.network.ask> =>
    env.network.ask(at, {
      method,
      path,
      headers: { ...headers, ...more },
      body: Buffer.from(body),
    });
  await env.run(ask("POST", "/topics/t/records", '{"value":"old"}').answer);
  const all = ask("GET", "/topics/t/events?range=start");
  const one = ask("GET", "/topics/t/events?range=start&partition=0");
  await env.run(broker.createPartitions([{ name: "t", partitionCount: 2 }]));
  await env.run(ask("POST", "/topics/t/records", '{"value":"new","partition":1}').answer);
  const ended = await env.run(all.answer);
  const heard = Buffer.from(ended.body).toString();
  assert.match(heard, /id: 1\ndata: .*"old"/);
  assert.doesNotMatch(heard, /"new"/);
  const again = ask("GET", "/topics/t/events", "", { "last-event-id": "1" });
  await env.run(new Promise<void>((resolve) => env.timers.after(16_000, resolve)));
  assert.match(Buffer.from(again.received()).toString(), /id: 1,1\ndata: .*"new"/);
  // Who chose a partition has what it chose, and hears that the line is alive.
  assert.match(Buffer.from(one.received()).toString(), /"old".*\n\n:\n\n/);
  await env.run(door.close());
  await env.run(broker.close());
});
