// Topics, groups and settings over HTTP.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openScene, problemOf, type Scene } from "./http-scene.test.ts";

function fieldsOf(json: unknown): Record<string, unknown> {
  assert.ok(typeof json === "object" && json !== null);
  return { ...json };
}

async function done(
  scene: Scene,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const answer = await scene.ask(method, path, { body });
  assert.ok(answer.status < 300, answer.text);
  return answer.status === 204 ? {} : fieldsOf(answer.json);
}

test("a topic is made, shown, changed, cut short and deleted", async (context) => {
  const scene = await openScene(context);
  const body = { name: "orders", partitions: 2, settings: { "retention.ms": 1000 } };
  const judged = await done(scene, "POST", "/topics?validateOnly=true", body);
  assert.deepEqual(judged, { name: "orders", partitionCount: 2 });
  assert.deepEqual(await done(scene, "GET", "/topics"), { topics: [] });
  const made = await scene.ask("POST", "/topics", { body });
  assert.equal(made.status, 201);
  const { topicId, ...rest } = fieldsOf(made.json);
  assert.match(String(topicId), /^[0-9a-f-]{36}$/);
  const empty = { startOffset: 0, endOffset: 0, sizeBytes: 0 };
  assert.deepEqual(rest, {
    name: "orders",
    isInternal: false,
    partitions: [
      { partition: 0, ...empty },
      { partition: 1, ...empty },
    ],
    settings: { "retention.ms": "1000" },
  });
  assert.deepEqual(await done(scene, "GET", "/topics/orders"), made.json);
  const changed = await done(scene, "PATCH", "/topics/orders", {
    partitions: 3,
    settings: { "retention.ms": null, "max.message.bytes": 2000 },
  });
  assert.deepEqual(changed["settings"], { "max.message.bytes": "2000" });
  assert.ok(Array.isArray(changed["partitions"]));
  assert.equal(changed["partitions"].length, 3);
  const { settings } = await done(scene, "GET", "/topics/orders/config");
  assert.ok(Array.isArray(settings));
  const found = settings.find(({ name }: { name: string }) => name === "max.message.bytes");
  assert.deepEqual([found.value, found.origin], ["2000", "topic"]);

  const records = Array.from({ length: 5 }, (_, value) => ({
    value,
    partition: 1,
    timestamp: 1000 * value,
  }));
  await done(scene, "POST", "/topics/orders/records", records);
  const at = async (text: string): Promise<unknown> => {
    const { partitions } = await done(scene, "GET", `/topics/orders/offsets?at=${text}`);
    assert.ok(Array.isArray(partitions));
    return partitions.map(({ offset }: { offset: number }) => offset);
  };
  assert.deepEqual(await at("end"), [0, 5, 0]);
  assert.deepEqual(await at("-2"), [0, 3, 0]);
  assert.deepEqual(await at("@1970-01-01T00:00:02Z"), [0, 2, 0]);
  const partition = await scene.ask("GET", "/topics/orders/partitions/1");
  assert.equal(partition.headers.get("etag"), '"5"');
  await done(scene, "POST", "/topics/orders/truncate", { before: 2, partition: 1 });
  assert.equal((await done(scene, "GET", "/topics/orders/partitions/1"))["startOffset"], 2);
  await done(scene, "POST", "/topics/orders/truncate", { before: "end" });
  assert.equal((await done(scene, "GET", "/topics/orders/partitions/1"))["startOffset"], 5);
  const gone = await scene.ask("GET", "/topics/orders/partitions/1/records?range=1");
  assert.equal(gone.status, 416);

  await done(scene, "DELETE", "/topics/orders");
  assert.equal((await scene.ask("GET", "/topics/orders")).status, 404);
});

test("positions of a group are stored, shown with their lag, and forgotten", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await done(scene, "POST", "/topics/t/records", [{ value: 1 }, { value: 2 }, { value: 3 }]);
  const position = { topic: "t", partition: 0, offset: 1, metadata: "m" };
  const shown = { offsets: [{ ...position, endOffset: 3, lag: 2 }] };
  assert.deepEqual(await done(scene, "PUT", "/groups/g/offsets", { offsets: [position] }), shown);
  assert.deepEqual(await done(scene, "GET", "/groups/g/offsets"), shown);
  const group = await done(scene, "GET", "/groups/g");
  assert.deepEqual(
    [group["state"], group["members"], group["offsets"]],
    ["Empty", [], shown.offsets],
  );
  const { groups } = await done(scene, "GET", "/groups");
  assert.ok(Array.isArray(groups));
  assert.equal(groups[0].group, "g");
  await done(scene, "DELETE", "/groups/g/offsets?topic=t&partition=0");
  await done(scene, "PUT", "/groups/g/offsets", { offsets: [position] });
  await done(scene, "DELETE", "/groups/g");
  assert.equal((await scene.ask("GET", "/groups/g")).status, 404);
});

test("the server tells of itself, and its settings can be changed", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const cluster = await done(scene, "GET", "/cluster");
  assert.deepEqual([cluster["topics"], cluster["partitions"], cluster["controllerId"]], [1, 2, 1]);
  await done(scene, "PATCH", "/config", { settings: { "log.retention.ms": 5000 } });
  const { settings } = await done(scene, "GET", "/config");
  assert.ok(Array.isArray(settings));
  const found = settings.find(({ name }: { name: string }) => name === "log.retention.ms");
  assert.equal(found.value, "5000");
});

test("what is wrong is refused by name, and nothing is changed", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const cases: readonly (readonly [
    method: string,
    path: string,
    body: unknown,
    status: number,
    detail: RegExp,
    field?: string,
  ])[] = [
    ["POST", "/topics", "{", 400, /malformed JSON/, ""],
    ["POST", "/topics", [], 400, /the body is an object/, ""],
    ["POST", "/topics", {}, 400, /"name" is a string, and needed/, "name"],
    ["POST", "/topics", { name: "a", partition: 1 }, 400, /unknown field "partition"/, "partition"],
    ["POST", "/topics", { name: "a", partitions: "1" }, 400, /a number from 0/, "partitions"],
    ["POST", "/topics", { name: "a", partitions: 0 }, 400, /partition/],
    ["POST", "/topics", { name: "a b" }, 400, /a b/],
    ["POST", "/topics", { name: "t" }, 409, /"t"/],
    ["POST", "/topics", { name: "a", settings: { "retention.ms": "soon" } }, 400, /retention.ms/],
    [
      "POST",
      "/topics",
      { name: "a", settings: { "retention.ms": [] } },
      400,
      /a setting is/,
      "settings.retention.ms",
    ],
    ["POST", "/topics", { name: "a", settings: 1 }, 400, /names and values/, "settings"],
    ["POST", "/topics?validateOnly=yes", { name: "a" }, 400, /true or false/, "validateOnly"],
    ["PATCH", "/topics/t", { partitions: 5, settings: { "no.such": 1 } }, 400, /no\.such/],
    ["PATCH", "/topics/t", { partitions: 1 }, 400, /partitions/],
    ["PATCH", "/topics/none", { partitions: 1 }, 404, /"none"/],
    ["DELETE", "/topics/none", undefined, 404, /"none"/],
    ["GET", "/topics/t/offsets?at=soon", undefined, 400, /no range/],
    ["GET", "/topics/t/partitions/2", undefined, 404, /there is no 2/],
    ["POST", "/topics/t/truncate", {}, 400, /"before" is a string/, "before"],
    ["POST", "/topics/t/truncate", { before: 0 }, 400, /name the "partition"/, "partition"],
    ["POST", "/topics/t/truncate", { before: 7, partition: 0 }, 416, /no offset 7/],
    ["GET", "/groups/none", undefined, 404, /"none"/],
    ["DELETE", "/groups/none", undefined, 404, /none/],
    ["PUT", "/groups/g/offsets", { offsets: {} }, 400, /an array/, "offsets"],
    ["PUT", "/groups/g/offsets", { offsets: [] }, 400, /at least one/, "offsets"],
    ["PUT", "/groups/g/offsets", { offsets: [1] }, 400, /is an object/, "offsets[0]"],
    [
      "PUT",
      "/groups/g/offsets",
      { offsets: [{ topic: "t" }] },
      400,
      /needed/,
      "offsets[0].partition",
    ],
    [
      "PUT",
      "/groups/g/offsets",
      { offsets: [{ topic: "t", partition: 9, offset: 0 }] },
      404,
      /partition 9/,
    ],
    [
      "PUT",
      "/groups/g/offsets",
      { offsets: [{ topic: "t", partition: 0, offset: 1 }] },
      400,
      /ends before 0/,
      "offsets[0].offset",
    ],
    ["DELETE", "/groups/g/offsets", undefined, 400, /"topic" and "partition"/, "topic"],
    ["PATCH", "/config", { settings: { "no.such": 1 } }, 400, /no\.such/],
  ];
  for (const [method, path, body, status, detail, field] of cases) {
    const answer = await scene.ask(method, path, { body });
    const what = `${method} ${path} ${JSON.stringify(body)} ${answer.text}`;
    assert.equal(answer.status, status, what);
    const problem = problemOf(answer);
    assert.match(String(problem["detail"]), detail, what);
    assert.equal(problem["field"], field, what);
  }
  const { topics } = await done(scene, "GET", "/topics");
  assert.deepEqual(topics, [{ name: "t", isInternal: false, partitionCount: 2 }]);
});
