import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";

import {
  ClusterService,
  ErrorDetailSchema,
  GroupService,
  health,
  LogService,
  proglog,
  reflection,
  reflectionAlpha,
  type Record,
  TopicService,
} from "../../proto/index.ts";
import { bothWays, openRpcScene, type RpcScene, transports } from "./rpc-scene.test.ts";

let scene: RpcScene;
let all: ReadonlyMap<string, Transport>;

before(async () => {
  scene = await openRpcScene();
  all = transports(scene.url);
});
after(async () => {
  await scene[Symbol.asyncDispose]();
});

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString();

const plain = ({ key, value, timestampMs, offset, headers: given }: Record): unknown[] => [
  text(key),
  text(value),
  timestampMs,
  offset,
  given.map((header) => [header.name, header.value?.length]),
];

const at = (offset: number) => ({ at: { case: "offset", value: BigInt(offset) } }) as const;

const time = (ms: number) => ({ at: { case: "timeMs", value: BigInt(ms) } }) as const;

async function* questions() {
  yield { messageRequest: { case: "listServices", value: "" } } as const;
  const symbol = "cordwood.v1.LogService.Append";
  yield { messageRequest: { case: "fileContainingSymbol", value: symbol } } as const;
  const file = "google/protobuf/empty.proto";
  yield { messageRequest: { case: "fileByFilename", value: file } } as const;
  const gone = "no.such.Symbol";
  yield { messageRequest: { case: "fileContainingSymbol", value: gone } } as const;
}

async function* produces() {
  yield { record: { value: Buffer.from("second") } };
  yield { record: { value: Buffer.from("third") } };
}

let topicCount = 0;

/** Runs a test over each protocol, with a topic of its own. */
function overAll(
  name: string,
  run: (transport: Transport, topic: string) => Promise<void>,
  options: { readonly partitions?: number; readonly bothWays?: boolean } = {},
): void {
  test(name, async (t) => {
    const chosen = options.bothWays === true ? bothWays(all) : all;
    for (const [protocol, transport] of chosen) {
      await t.test(protocol, async () => {
        const topic = `topic-${topicCount++}`;
        await scene.createTopic(topic, options.partitions);
        await run(transport, topic);
      });
    }
  });
}

async function isRefused(call: Promise<unknown>, code: string, connect: Code): Promise<string> {
  let thrown: unknown;
  try {
    await call;
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof ConnectError, `it is refused, not ${String(thrown)}`);
  assert.equal(thrown.code, connect, thrown.message);
  const [detail] = thrown.findDetails(ErrorDetailSchema);
  assert.equal(detail?.code, code);
  return thrown.rawMessage;
}

async function readAll(
  client: Client<typeof LogService>,
  request: Parameters<Client<typeof LogService>["read"]>[0],
): Promise<Record[]> {
  const records: Record[] = [];
  for await (const message of client.read(request)) records.push(...message.records);
  return records;
}

overAll("what is appended is read as it was", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const headers = [{ name: "trace", value: new Uint8Array([1]) }, { name: "bare" }];
  const records = [
    {
      key: Buffer.from("o-1"),
      value: Buffer.from("one"),
      headers,
      timestampMs: 1_700_000_000_000n,
    },
    { key: new Uint8Array(0), value: new Uint8Array(0), timestampMs: 0n },
    { value: Buffer.from("no key"), timestampMs: 5n },
    { key: Buffer.from("o-1"), timestampMs: 7n },
  ];
  const { runs } = await client.append({ topic, records });
  assert.deepEqual(
    runs.map(({ partition, offset, count }) => [partition, offset, count]),
    [[0, 0n, 4]],
  );
  const read = await readAll(client, { topic });
  assert.deepEqual(read.map(plain), [
    [
      "o-1",
      "one",
      1_700_000_000_000n,
      0n,
      [
        ["trace", 1],
        ["bare", undefined],
      ],
    ],
    ["", "", 0n, 1n, []],
    [undefined, "no key", 5n, 2n, []],
    ["o-1", undefined, 7n, 3n, []],
  ]);
});

overAll("an append on condition is made or refused", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const record = { key: Buffer.from("k"), value: Buffer.from("v") };
  await client.append({ topic, records: [record], expectedOffset: 0n });
  const message = await isRefused(
    client.append({ topic, records: [record], expectedOffset: 0n }),
    "offset_conflict",
    Code.FailedPrecondition,
  );
  assert.match(message, /next offset is 1, not 0/);
  const last = { case: "expectedLastOffset", value: 0n } as const;
  const { runs } = await client.append({ topic, records: [record], expectedLast: last });
  assert.equal(runs[0]?.offset, 1n);
  await isRefused(
    client.append({ topic, records: [record], expectedLast: last }),
    "offset_conflict",
    Code.FailedPrecondition,
  );
  const none = { case: "expectedNoRecord", value: {} } as const;
  await isRefused(
    client.append({ topic, records: [record], expectedLast: none }),
    "offset_conflict",
    Code.FailedPrecondition,
  );
  const { record: newest } = await client.lastOfKey({ topic, key: record.key });
  assert.equal(newest?.offset, 1n);
});

overAll("an append that is sent again is made once", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const { producerId, producerEpoch } = await client.initProducer({});
  const records = [{ value: Buffer.from("a") }, { value: Buffer.from("b") }];
  const producer = { producerId, producerEpoch, baseSequence: 0 };
  const first = await client.append({ topic, records, producer, expectedOffset: 0n });
  const again = await client.append({ topic, records, producer, expectedOffset: 0n });
  assert.equal(again.runs[0]?.offset, first.runs[0]?.offset);
  const next = { ...producer, baseSequence: 2 };
  assert.equal((await client.append({ topic, records, producer: next })).runs[0]?.offset, 2n);
  await isRefused(
    client.append({ topic, records, producer: { ...producer, baseSequence: 9 } }),
    "sequence_out_of_order",
    Code.FailedPrecondition,
  );
});

overAll(
  "records go to the partitions of their keys, and are read by their times",
  async (transport, topic) => {
    const client = createClient(LogService, transport);
    const records = Array.from({ length: 30 }, (_, index) => ({
      key: Buffer.from(`key-${index % 7}`),
      value: Buffer.from(String(index)),
      timestampMs: BigInt(1000 + index),
    }));
    const { runs } = await client.append({ topic, records });
    assert.equal(
      runs.reduce((sum, { count }) => sum + count, 0),
      30,
    );
    const read = await readAll(client, { topic });
    assert.deepEqual(
      read.map(({ value }) => Number(text(value))),
      Array.from({ length: 30 }, (_, index) => index),
    );
    const { partitions } = await client.listOffsets({ topic, timeMs: 1010n });
    const counted = partitions.reduce((sum, { endOffset }) => sum + Number(endOffset), 0);
    assert.equal(counted, 30);
    const tail = await client.tail({ topic, limit: 4 });
    assert.deepEqual(
      tail.records.map(({ value }) => text(value)),
      ["26", "27", "28", "29"],
    );
    assert.deepEqual(
      tail.next.map(({ offset }) => offset),
      partitions.map(({ endOffset }) => endOffset),
    );
    await isRefused(
      readAll(client, { topic, from: { at: { case: "offset", value: 1n } } }),
      "invalid_argument",
      Code.InvalidArgument,
    );
  },
  { partitions: 3 },
);

overAll("a reading begins and ends where it is told", async (transport, topic) => {
  const client = createClient(LogService, transport);
  for (let index = 0; index < 10; index++) {
    const records = [{ value: Buffer.from(String(index)), timestampMs: BigInt(100 * index) }];
    await client.append({ topic, records });
  }
  const end = { at: { case: "end", value: {} } } as const;
  const cases = [
    [{ from: at(7) }, "789"],
    [{ from: at(-2) }, "89"],
    [{ from: at(2), to: at(5) }, "234"],
    [{ from: at(2), to: at(-5) }, "234"],
    [{ from: time(450) }, "56789"],
    [{ from: time(450), to: time(700) }, "56"],
    [{ from: time(9999) }, ""],
    [{ from: end }, ""],
    [{ from: at(3), limit: 2n }, "34"],
    [{ from: at(3), to: at(3) }, ""],
    [{ to: at(99) }, "0123456789"],
    [{ offsets: [{ partition: 0, offset: 8n }] }, "89"],
  ] as const;
  for (const [range, wanted] of cases) {
    const { offsets, ...rest } = { offsets: [], ...range };
    const records = await readAll(client, { topic, ...rest, offsets: [...offsets] });
    assert.equal(records.map(({ value }) => text(value)).join(""), wanted, JSON.stringify(wanted));
  }
  await isRefused(readAll(client, { topic, from: at(11) }), "offset_out_of_range", Code.OutOfRange);
  await scene.broker.deleteRecords([{ topic: { name: topic }, partition: 0, before: 4 }]);
  await isRefused(readAll(client, { topic, from: at(2) }), "offset_out_of_range", Code.OutOfRange);
  const skipping = { topic, offsets: [{ partition: 0, offset: 2n }], skipMissing: true };
  assert.equal((await readAll(client, skipping))[0]?.offset, 4n);
});

overAll("a follower gets what comes, and where it stands", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const append = (value: string): Promise<unknown> =>
    client.append({ topic, records: [{ value: Buffer.from(value) }] });
  await append("before");
  const ending = new AbortController();
  const from = { at: { case: "end", value: {} } } as const;
  const messages = client.read({ topic, from, follow: true }, { signal: ending.signal });
  const iterator = messages[Symbol.asyncIterator]();
  const { value: first } = await iterator.next();
  assert.deepEqual(
    first?.next.map(({ partition, offset }: { partition: number; offset: bigint }) => [
      partition,
      offset,
    ]),
    [[0, 1n]],
  );
  assert.deepEqual(first?.records, []);
  assert.deepEqual(first?.end, []);
  for (const value of ["one", "two"]) {
    await append(value);
    const { value: message } = await iterator.next();
    assert.equal(text(message?.records[0]?.value), value);
  }
  ending.abort();
  await assert.rejects(iterator.next(), { code: Code.Canceled });
});

overAll(
  "an append stream acknowledges every record in its order",
  async (transport, topic) => {
    const client = createClient(LogService, transport);
    const count = 500;
    async function* requests() {
      for (let index = 0; index < count; index++) {
        const value = Buffer.from(String(index));
        yield { topic: index === 0 ? topic : "", records: [{ value }] };
      }
    }
    let acknowledged = 0;
    for await (const { runs } of client.appendStream(requests())) {
      for (const run of runs) {
        assert.equal(Number(run.offset), acknowledged);
        acknowledged += run.count;
      }
    }
    assert.equal(acknowledged, count);
    const read = await readAll(client, { topic });
    assert.deepEqual(
      read.map(({ value }) => Number(text(value))),
      Array.from({ length: count }, (_, index) => index),
    );
  },
  { bothWays: true },
);

overAll(
  "an append stream ends with the first failure",
  async (transport, topic) => {
    const client = createClient(LogService, transport);
    async function* requests() {
      yield { topic, records: [{ value: Buffer.from("a") }] };
      yield { records: [{ value: Buffer.from("b") }], expectedOffset: 1n };
      yield { records: [{ value: Buffer.from("c") }], expectedOffset: 1n };
      yield { records: [{ value: Buffer.from("d") }] };
    }
    const run = async (): Promise<void> => {
      for await (const { runs } of client.appendStream(requests())) assert.ok(runs.length > 0);
    };
    await isRefused(run(), "offset_conflict", Code.FailedPrecondition);
    const values = (await readAll(client, { topic })).map(({ value }) => text(value));
    assert.deepEqual(values, ["a", "b"]);
  },
  { bothWays: true },
);

overAll("a deadline and a cancellation end what waits", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const from = { at: { case: "end", value: {} } } as const;
  const late = async (): Promise<void> => {
    for await (const { records } of client.read({ topic, from, follow: true }, { timeoutMs: 50 })) {
      assert.deepEqual(records, []);
    }
  };
  await assert.rejects(late(), { code: Code.DeadlineExceeded });
});

overAll("what is wrong is said with its code", async (transport, topic) => {
  const client = createClient(LogService, transport);
  const records = [{ value: Buffer.from("x") }];
  const unknown = client.append({ topic: "no-such-topic", records });
  const message = await isRefused(unknown, "topic_not_found", Code.NotFound);
  assert.equal(message, 'there is no topic "no-such-topic"');
  await isRefused(client.append({ topic }), "invalid_argument", Code.InvalidArgument);
  await isRefused(
    client.append({ topic, records, partition: 4 }),
    "partition_not_found",
    Code.NotFound,
  );
  const large = [{ value: new Uint8Array(2 << 20) }];
  await isRefused(
    client.append({ topic, records: large }),
    "record_too_large",
    Code.ResourceExhausted,
  );
  const expectedLast = { case: "expectedLastOffset", value: 1n } as const;
  await isRefused(
    client.append({ topic, records: [...records, ...records], expectedLast }),
    "invalid_argument",
    Code.InvalidArgument,
  );
});

overAll("topics are made, changed and removed", async (transport) => {
  const client = createClient(TopicService, transport);
  const name = `made-${topicCount++}`;
  await client.createTopic({
    topic: name,
    partitionCount: 2,
    settings: { "retention.ms": "5000" },
  });
  await isRefused(client.createTopic({ topic: name }), "topic_exists", Code.AlreadyExists);
  await client.addPartitions({ topic: name, partitionCount: 3 });
  const change = { case: "set", value: "7000" } as const;
  await client.alterTopic({ topic: name, changes: [{ name: "retention.ms", change }] });
  const described = await client.describeTopic({ topic: name });
  assert.equal(described.topic?.partitionCount, 3);
  assert.equal(described.partitions.length, 3);
  const retention = described.settings.find((setting) => setting.name === "retention.ms");
  assert.deepEqual([retention?.value, retention?.origin], ["7000", "topic"]);
  const { topics } = await client.listTopics({});
  assert.ok(topics.some((topic) => topic.name === name));
  const append = { topic: name, partition: 1, records: [{ value: Buffer.from("x") }] };
  await createClient(LogService, transport).append(append);
  const deleted = await client.deleteRecords({ topic: name, partition: 1 });
  assert.equal(deleted.startOffset, 1n);
  await client.deleteTopic({ topic: name });
  await isRefused(client.describeTopic({ topic: name }), "topic_not_found", Code.NotFound);
});

overAll("a topic is compacted when it is asked for", async (transport, topic) => {
  const key = Buffer.from("k");
  const append = { topic, records: [1, 2, 3].map(() => ({ key, value: key })) };
  for (let count = 0; count < 2; count++) await createClient(LogService, transport).append(append);
  const client = createClient(TopicService, transport);
  const { partitions } = await client.compactTopic({ topic });
  assert.deepEqual(
    partitions.map(({ partition, recordsRead, recordsRemoved }) => [
      partition,
      recordsRead,
      recordsRemoved,
    ]),
    [[0, 6n, 5n]],
  );
  const read = await readAll(createClient(LogService, transport), { topic });
  assert.deepEqual(
    read.map(({ offset }) => offset),
    [5n],
  );
  await isRefused(client.compactTopic({ topic: "no-such" }), "topic_not_found", Code.NotFound);
});

overAll("groups store positions", async (transport, topic) => {
  const client = createClient(GroupService, transport);
  const group = `group-${topic}`;
  const append = { topic, records: [{ value: Buffer.from("x") }, { value: Buffer.from("y") }] };
  await createClient(LogService, transport).append(append);
  const offsets = [{ topic, partition: 0, offset: 1n, metadata: "m" }];
  await client.commitOffsets({ group, offsets });
  const fetched = await client.fetchOffsets({ group });
  assert.deepEqual(
    fetched.offsets.map(({ committed, endOffset, lag }) => [committed?.offset, endOffset, lag]),
    [[1n, 2n, 1n]],
  );
  const { groups } = await client.listGroups({});
  assert.ok(groups.some((one) => one.group === group && one.state === "Empty"));
  assert.equal((await client.describeGroup({ group })).group?.state, "Empty");
  await isRefused(
    client.commitOffsets({ group, offsets: [{ topic: "no-such", partition: 0, offset: 1n }] }),
    "topic_not_found",
    Code.NotFound,
  );
  await client.deleteOffsets({ group, partitions: [{ topic, partition: 0 }] });
  assert.deepEqual((await client.fetchOffsets({ group })).offsets, []);
  await client.commitOffsets({ group, offsets });
  await client.deleteGroup({ group });
  await isRefused(client.describeGroup({ group }), "group_not_found", Code.NotFound);
});

overAll("the server says who it is", async (transport) => {
  const client = createClient(ClusterService, transport);
  const { nodes, clusterId } = await client.describeCluster({});
  assert.equal(clusterId, scene.broker.clusterId);
  assert.deepEqual(
    nodes.map(({ host, port }) => [host, port]),
    [["127.0.0.1", 9092]],
  );
  const earlier = await client.getStats({});
  await client.checkpoint({});
  const stats = await client.getStats({});
  assert.equal(stats.checkpoints, earlier.checkpoints + 1n);
  assert.ok(stats.topics > 0);
});

overAll("health is told, and watched", async (transport) => {
  const client = createClient(health.Health, transport);
  const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = health.HealthCheckResponse_ServingStatus;
  assert.equal((await client.check({})).status, SERVING);
  assert.equal((await client.check({ service: LogService.typeName })).status, SERVING);
  await assert.rejects(client.check({ service: "no.such" }), { code: Code.NotFound });
  const watch = client.watch({})[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.status, SERVING);
  scene.isReady = false;
  assert.equal((await watch.next()).value?.status, NOT_SERVING);
  scene.isReady = true;
  assert.equal((await watch.next()).value?.status, SERVING);
  await watch.return?.();
  const unknown = client.watch({ service: "no.such" })[Symbol.asyncIterator]();
  assert.equal((await unknown.next()).value?.status, SERVICE_UNKNOWN);
  await unknown.return?.();
});

overAll(
  "services and messages describe themselves",
  async (transport) => {
    for (const service of [reflection.ServerReflection, reflectionAlpha.ServerReflection]) {
      const client = createClient(service, transport);
      const answers: string[] = [];
      for await (const { messageResponse } of client.serverReflectionInfo(questions())) {
        answers.push(messageResponse.case ?? "none");
        if (messageResponse.case !== "listServicesResponse") continue;
        const names = messageResponse.value.service.map(({ name }) => name);
        assert.ok(names.includes("cordwood.v1.LogService"));
        assert.ok(names.includes("log.v1.Log"));
      }
      const file = "fileDescriptorResponse";
      assert.deepEqual(answers, ["listServicesResponse", file, file, "errorResponse"]);
    }
  },
  { bothWays: true },
);

overAll(
  "a program written for proglog finds its log",
  async (transport) => {
    const client = createClient(proglog.Log, transport);
    const { offset } = await client.produce({ record: { value: Buffer.from("first") } });
    const { record } = await client.consume({ offset });
    assert.deepEqual([text(record?.value), record?.offset], ["first", offset]);
    await assert.rejects(client.consume({ offset: offset + 1n }), (thrown) => {
      assert.ok(thrown instanceof ConnectError);
      assert.equal(thrown.rawMessage, `offset out of range: ${offset + 1n}`);
      return true;
    });
    const offsets: bigint[] = [];
    for await (const produced of client.produceStream(produces())) offsets.push(produced.offset);
    assert.deepEqual(offsets, [offset + 1n, offset + 2n]);
    const values: (string | undefined)[] = [];
    for await (const { record: consumed } of client.consumeStream({ offset })) {
      values.push(text(consumed?.value));
      if (values.length === 3) break;
    }
    assert.deepEqual(values, ["first", "second", "third"]);
    const { servers } = await client.getServers({});
    assert.deepEqual(
      servers.map(({ rpcAddr, isLeader }) => [rpcAddr, isLeader]),
      [[`127.0.0.1:${scene.port}`, true]],
    );
  },
  { bothWays: true },
);
