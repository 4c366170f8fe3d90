import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { LogError } from "../errors/index.ts";
import { type ServerOptions, startServer } from "./index.ts";

async function directoryOf(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "cordwood-server-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const free = { kafka: { port: 0 }, http: { port: 0 } } as const;

function codeOf(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LogError && error.code === code;
}

test("a server answers on both ports, and keeps its topics for the next one", async (context) => {
  const directory = await directoryOf(context);
  const events: string[] = [];
  const keep = (message: string): void => void events.push(message);
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const options: ServerOptions = {
    directory,
    ...free,
    durability: "os",
    nodeId: 7,
    settings: new Map([["num.partitions", "3"]]),
    advertised: { host: "logs.example" },
    events: log,
  };
  {
    await using server = await startServer(options);
    assert.ok(server.kafkaPort > 0 && server.httpPort > 0);
    const ready = await fetch(`http://127.0.0.1:${server.httpPort}/health/ready`);
    assert.equal(ready.status, 200);
    const metrics = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`)).text();
    for (const name of [
      "process_resident_memory_bytes",
      "nodejs_eventloop_lag_p99_seconds",
      "cordwood_kafka_connections",
      'cordwood_kafka_requests_total{api="Produce"}',
      "cordwood_topics",
    ]) {
      assert.ok(metrics.includes(`\n${name} `), name);
    }
    const [self] = server.broker.describeCluster().brokers;
    assert.deepEqual([self?.nodeId, self?.host, self?.port], [7, "logs.example", server.kafkaPort]);
    await server.broker.createTopics([{ name: "kept" }]);
    assert.ok(events.includes("serving"));
  }
  await using again = await startServer({ directory, ...free });
  assert.equal(again.broker.topicNamed("kept")?.partitions.length, 3);
});

test("a directory has one server, and the second leaves the first alone", async (context) => {
  const directory = await directoryOf(context);
  await using server = await startServer({ directory, ...free });
  await assert.rejects(startServer({ directory, ...free }), codeOf("directory_in_use"));
  assert.equal((await server.broker.createTopics([{ name: "t" }]))[0]?.errorCode, undefined);
});

test("a port that is taken is named, and the directory is free again", async (context) => {
  const directory = await directoryOf(context);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", () => resolve()));
  context.after(() => other.close());
  const address = other.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  const refused = startServer({ directory, kafka: { port }, http: { port: 0 } });
  await assert.rejects(refused, (error: unknown) => {
    assert.ok(codeOf("address_in_use")(error));
    assert.match(
      String(error),
      new RegExp(`127\\.0\\.0\\.1:${port} for Kafka: the port is in use`),
    );
    return true;
  });
  const server = await startServer({ directory, ...free });
  await server.close();
  await server.close();
});

test("a setting that is none is refused before anything listens", async (context) => {
  const directory = await directoryOf(context);
  const settings = new Map([["num.partitons", "3"]]);
  await assert.rejects(startServer({ directory, ...free, settings }), codeOf("invalid_config"));
});
