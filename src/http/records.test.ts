// Records in and out over HTTP: what is written, what is read, and what is refused.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { MemoryDisk } from "../env/index.ts";
import { openScene, problemOf, type Scene } from "./http-scene.test.ts";

const ndjson = { "content-type": "application/x-ndjson" };

/** What a record shows, without its time. */
function untimed(records: unknown): unknown {
  assert.ok(Array.isArray(records));
  return records.map((record: object) => {
    const fields: Record<string, unknown> = { ...record };
    assert.equal(typeof fields["timestamp"], "number");
    delete fields["timestamp"];
    return fields;
  });
}

async function appended(scene: Scene, topic: string, body: unknown): Promise<unknown> {
  const answer = await scene.ask("POST", `/topics/${topic}/records`, { body });
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

test("a value is stored as it was sent, to the byte, and comes back so", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const odd = '{"value": {"b":1.0 , "a":12345678901234567890, "ü":"\\u00fc"}}';
  assert.deepEqual(await appended(scene, "t", odd), { partition: 0, offset: 0 });
  const path = "/topics/t/partitions/0/records";
  const stored = await scene.ask("GET", `${path}/0`, {
    headers: { accept: "application/octet-stream" },
  });
  assert.equal(stored.text, '{"b":1.0 , "a":12345678901234567890, "ü":"\\u00fc"}');
  const shown = await scene.ask("GET", `${path}/0`);
  assert.ok(shown.text.includes(`"value":${stored.text}}`), shown.text);
});

test("records of every kind come back as they are", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const records = [
    { value: "text as JSON" },
    { value: 1, key: "k", timestamp: 1_700_000_000_000 },
    { value: null, key: "gone" },
    {
      value: [true, { a: null }],
      headers: { one: "1", two: ["2", null], bytes: { base64: "/w==" } },
    },
    { text: "plain\ntext" },
    { text: "null" },
    { base64: "/wA=", keyBase64: "//4=" },
    { text: "", key: 'ü\n"' },
  ];
  await appended(scene, "t", records);
  const shown = await scene.records("t");
  assert.deepEqual(
    untimed(shown),
    records.map((record, offset) => {
      const fields: Record<string, unknown> = { partition: 0, offset, ...record };
      delete fields["timestamp"];
      return fields;
    }),
  );
  assert.ok(Array.isArray(shown));
  assert.equal(shown[1].timestamp, 1_700_000_000_000);
});

test("JSON with line breaks in it is one line where lines are records", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  await appended(scene, "t", '{"value":{\n"a":\r\n1}}');
  const accept = { accept: "application/x-ndjson" };
  const lines = await scene.ask("GET", "/topics/t/partitions/0/records", { headers: accept });
  assert.equal(lines.headers.get("content-type"), "application/x-ndjson");
  assert.match(lines.text, /^[^\n]*"value":\{ "a":  1\}\}\n$/);
  const none = await scene.ask("GET", "/topics/t/partitions/0/records?range=end", {
    headers: accept,
  });
  assert.deepEqual([none.status, none.text], [200, ""]);
});

test("records go to the partition of their key, to the one they name, or stay together", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 4);
  // As Kafka's clients place it.
  assert.deepEqual(await appended(scene, "t", { key: "a", value: 1 }), { partition: 0, offset: 0 });
  const many = await appended(scene, "t", [
    { value: 1 },
    { value: 2 },
    { value: 3, partition: 3 },
    { value: 4, key: "a" },
  ]);
  assert.ok(
    typeof many === "object" && many !== null && "offsets" in many && Array.isArray(many.offsets),
  );
  const partitions = many.offsets.map((each: { partition: number }) => each.partition);
  assert.equal(partitions[0], partitions[1]);
  assert.deepEqual(partitions.slice(2), [3, 0]);
  const raw = await scene.ask("POST", "/topics/t/records?partition=2&key=k&timestamp=5", {
    body: Buffer.of(0, 255),
    headers: { "content-type": "application/octet-stream" },
  });
  assert.deepEqual(raw.json, { partition: 2, offset: 0 });
  assert.deepEqual(await scene.records("t", 2), [
    { partition: 2, offset: 0, timestamp: 5, key: "k", base64: "AP8=" },
  ]);
});

test("ranges, limits and single records", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const records = Array.from({ length: 10 }, (_, value) => ({
    value,
    timestamp: 1000 * (value + 1),
  }));
  await appended(scene, "t", records);
  await scene.broker.deleteRecords([{ topic: { name: "t" }, partition: 0, before: 2 }]);
  const cases: readonly (readonly [query: string, first: number | undefined, count: number])[] = [
    ["", 2, 8],
    ["?range=start", 2, 8],
    ["?range=end", undefined, 0],
    ["?range=5", 5, 5],
    ["?range=10", undefined, 0],
    ["?range=-3", 7, 3],
    ["?range=-300", 2, 8],
    ["?range=3..5", 3, 2],
    ["?range=3..100", 3, 7],
    ["?range=3..3", undefined, 0],
    ["?range=..4", 2, 2],
    ["?range=@1970-01-01T00:00:06Z", 5, 5],
    ["?range=@1970-01-01T02:00:06%2b02:00", 5, 5],
    ["?range=@1970-01-01T02:00:06+02:00", 5, 5],
    ["?range=..@1970-01-01T00:00:06Z", 2, 3],
    ["?range=@-1h..", undefined, 0],
    ["?limit=1", 2, 1],
    ["?limit=0", undefined, 0],
    ["?range=4..&limit=3", 4, 3],
  ];
  for (const [query, first, count] of cases) {
    const answer = await scene.ask("GET", `/topics/t/partitions/0/records${query}`);
    assert.equal(answer.status, 200, query);
    assert.ok(Array.isArray(answer.json));
    assert.deepEqual([answer.json[0]?.offset, answer.json.length], [first, count], query);
  }
  const one = await scene.ask("GET", "/topics/t/partitions/0/records/4");
  assert.equal(one.headers.get("etag"), '"4"');
  assert.deepEqual(one.json, { partition: 0, offset: 4, timestamp: 5000, value: 4 });
  const known = { "if-none-match": '"4"' };
  assert.equal(
    (await scene.ask("GET", "/topics/t/partitions/0/records/4", { headers: known })).status,
    304,
  );
});

type Asked = Parameters<Scene["ask"]>;

function post(body: unknown, type = "application/json", query = ""): Asked {
  return ["POST", `/topics/t/records${query}`, { body, headers: { "content-type": type } }];
}

function get(path: string): Asked {
  return ["GET", path];
}

test("what makes no sense is refused by name, and nothing is written", async (context) => {
  const scene = await openScene(context, {
    settings: new Map([["auto.create.topics.enable", "false"]]),
  });
  await scene.createTopic("t", 2);
  await appended(scene, "t", { value: 0, partition: 0 });
  const cases: readonly (readonly [ask: Asked, status: number, detail: RegExp, field?: string])[] =
    [
      [post(""), 400, /a record is an object/],
      [post("{"), 400, /malformed JSON at byte 1/],
      [post('{"value":1}x'), 400, /malformed JSON at byte 11: something follows/],
      [post('{"value":01}'), 400, /malformed JSON at byte 10/],
      [post('[{"value":1},]'), 400, /\[1\] is an object/, "[1]"],
      [post('[{"value":1}'), 400, /malformed JSON/],
      [post("7"), 400, /a record is an object/],
      [post({}), 400, /"value" \(JSON\), "text" or "base64"/, "value"],
      [post([{ value: 1 }, { vlaue: 1 }]), 400, /unknown field "vlaue"/, "[1].vlaue"],
      [post({ value: 1, offset: 3 }), 400, /the log gives offsets/, "offset"],
      [post('{"value":1,"value":2}'), 400, /given twice/, "value"],
      [post({ value: 1, text: "x" }), 400, /not 2/, "value"],
      [post({ text: 1 }), 400, /"text" is a string/, "text"],
      [post({ base64: "a" }), 400, /not base64/, "base64"],
      [post({ base64: "====" }), 400, /not base64/, "base64"],
      [post({ base64: "ab-_" }), 400, /not base64/, "base64"],
      [post({ base64: 1 }), 400, /not base64/, "base64"],
      [post({ value: 1, key: 1 }), 400, /"key" is a string/, "key"],
      [post({ value: 1, key: "a", keyBase64: "" }), 400, /not both/, "key"],
      [post({ value: 1, timestamp: "soon" }), 400, /milliseconds since 1970/, "timestamp"],
      [post({ value: 1, timestamp: 1.5 }), 400, /milliseconds since 1970/, "timestamp"],
      [post({ value: 1, partition: -1 }), 400, /a number from 0 on/, "partition"],
      [post({ value: 1, partition: "0" }), 400, /a number from 0 on/, "partition"],
      [post({ value: 1, partition: 2 }), 404, /has 2 partitions/],
      [
        post([
          { value: 1, partition: 0 },
          { value: 1, partition: 9 },
        ]),
        404,
        /has 2 partitions/,
      ],
      [post({ value: 1, headers: [] }), 400, /names and values/, "headers"],
      [post({ value: 1, headers: { a: 1 } }), 400, /a header is a string/, "headers.a"],
      [post({ value: 1, headers: { a: { base64: "?" } } }), 400, /a header is/, "headers.a"],
      [post(Buffer.from('{"value":"\xff"}', "latin1")), 400, /not in UTF-8/],
      [post({ value: "x".repeat(1_100_000), partition: 0 }), 413, /max.message.bytes/],
      [post("x".repeat(17_000_000)), 413, /larger than 16777216 bytes/],
      // What fetch says of a string.
      [post('{"value":1}', "text/plain;charset=UTF-8"), 415, /"text\/plain" is not taken here/],
      [post("<a/>", "application/xml"), 415, /"application\/xml" is not taken here/],
      [
        post({ value: 1 }, "application/json", "?partiton=1"),
        400,
        /unknown query parameter/,
        "partiton",
      ],
      [
        post({ value: 1 }, "application/json", "?partition=1&partition=1"),
        400,
        /twice/,
        "partition",
      ],
      [
        post({ value: 1 }, "application/json", "?partition=one"),
        400,
        /a number from 0/,
        "partition",
      ],
      [
        post({ value: 1, partition: 0 }, "application/json", "?partition=1"),
        400,
        /names partition 0/,
        "partition",
      ],
      [get("/topics/t/partitions/0/records?range=5..3"), 416, /no offset 5/],
      [get("/topics/t/partitions/0/records?range=1..0"), 400, /before it begins/, "range"],
      [get("/topics/t/partitions/0/records?range=soon"), 400, /no range/],
      [get("/topics/t/partitions/0/records?range=.."), 400, /no range/],
      [get("/topics/t/partitions/0/records?range=2"), 416, /begins at 0 and ends before 1/],
      [get("/topics/t/partitions/0/records?limit=-1"), 400, /a number from 0/, "limit"],
      [get("/topics/t/partitions/0/records?limt=1"), 400, /unknown query parameter/, "limt"],
      [get("/topics/t/partitions/2/records"), 404, /has 2 partitions/],
      [get("/topics/t/partitions/x/records"), 400, /a number from 0/, "partition"],
      [get("/topics/none/partitions/0/records"), 404, /there is no topic "none"/],
      [get("/topics/t/partitions/0/records/1"), 404, /no offset 1/],
      [get("/topics/t/partitions/0/records/-1"), 400, /a number from 0/, "offset"],
      [get("/topics/t/keys/nobody"), 404, /no record of the key "nobody"/],
      [get("/topics/%ff/partitions/0/records"), 404, /nothing at/],
    ];
  for (const [ask, status, detail, field] of cases) {
    const answer = await scene.ask(...ask);
    const what = JSON.stringify(ask).slice(0, 300);
    assert.equal(answer.status, status, `${what} ${answer.text}`);
    const problem = problemOf(answer);
    assert.match(String(problem["detail"]), detail, what);
    assert.equal(problem["field"], field, what);
  }
  const missing = await scene.ask("POST", "/topics/none/records", { body: { value: 1 } });
  assert.equal(missing.status, 404);
  assert.deepEqual(untimed(await scene.records("t", 0)), [{ partition: 0, offset: 0, value: 0 }]);
  assert.deepEqual(await scene.records("t", 1), []);
});

test("an append on condition is made where it holds, and refused where it does not", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const put = async (
    body: unknown,
    query = "",
    match?: string,
  ): Promise<[number, string | null]> => {
    const headers = match === undefined ? {} : { "if-match": match };
    const answer = await scene.ask("POST", `/topics/t/records${query}`, { body, headers });
    return [answer.status, answer.headers.get("etag")];
  };
  assert.deepEqual(await put({ value: 0 }, "", '"0"'), [200, '"1"']);
  assert.deepEqual(await put({ value: 0 }, "", '"0"'), [412, null]);
  assert.deepEqual(await put({ value: 1 }, "", '"1"'), [200, '"2"']);
  assert.deepEqual(await put([{ value: 2 }, { value: 3 }], "", '"1"'), [412, null]);
  assert.deepEqual((await put([{ value: 2 }, { value: 3 }], "", '"2"'))[0], 200);
  assert.deepEqual(await put({ value: 4 }, "?expectedOffset=4"), [200, '"5"']);
  assert.deepEqual(await put({ value: 4 }, "?expectedOffset=4", '"4"'), [400, null]);
  assert.deepEqual(await put({ value: 4 }, "", "*"), [400, null]);
  assert.deepEqual(await put({ key: "k", value: 1 }, "?expectedLastOffset=none"), [200, '"6"']);
  assert.deepEqual(await put({ key: "k", value: 2 }, "?expectedLastOffset=none"), [412, null]);
  assert.deepEqual(await put({ key: "k", value: 2 }, "?expectedLastOffset=5"), [200, '"7"']);
  assert.deepEqual(await put({ value: 2 }, "?expectedLastOffset=5"), [400, null]);
  assert.deepEqual(await put([{ key: "k", value: 2 }], "?expectedLastOffset=6"), [400, null]);
  const last = await scene.ask("GET", "/topics/t/keys/k");
  assert.deepEqual(untimed([last.json]), [{ partition: 0, offset: 6, key: "k", value: 2 }]);
  const conflict = await scene.ask("POST", "/topics/t/records", {
    body: { value: 1 },
    headers: { "if-match": '"3"' },
  });
  const problem = problemOf(conflict);
  assert.deepEqual([problem["code"], problem["isRetriable"]], ["offset_conflict", false]);
  assert.match(String(problem["detail"]), /the next offset is 7, not 3/);
});

test("of many who append at the same offset one wins each time", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  for (let offset = 0; offset < 5; offset++) {
    const headers = { "if-match": `"${offset}"` };
    const racing = Array.from({ length: 8 }, (_, value) =>
      scene.ask("POST", "/topics/t/records", { body: { value }, headers }),
    );
    const statuses = (await Promise.all(racing)).map(({ status }) => status);
    assert.deepEqual(
      statuses.toSorted((left, right) => left - right),
      [200, ...Array.from({ length: 7 }, () => 412)],
    );
  }
});

test("lines are appended as they come, and summed up", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t", 2);
  const body =
    '{"value":1,"partition":0}\r\n\n  {"value":2,"partition":1,"key":"k"}\n{"value":3,"partition":0}';
  const answer = await scene.ask("POST", "/topics/t/records", { body, headers: ndjson });
  assert.deepEqual(answer.json, {
    acknowledged: 3,
    partitions: [
      { partition: 0, firstOffset: 0, lastOffset: 1, count: 2 },
      { partition: 1, firstOffset: 0, lastOffset: 0, count: 1 },
    ],
  });
  const values = await scene.ask("POST", "/topics/t/records?lines=values&partition=1", {
    body: '{"a":1}\n[2]\n"three"\n',
    headers: ndjson,
  });
  assert.equal(values.status, 200);
  assert.deepEqual(untimed(await scene.records("t", 1)), [
    { partition: 1, offset: 0, key: "k", value: 2 },
    { partition: 1, offset: 1, value: { a: 1 } },
    { partition: 1, offset: 2, value: [2] },
    { partition: 1, offset: 3, value: "three" },
  ]);
  const empty = await scene.ask("POST", "/topics/t/records", { body: "", headers: ndjson });
  assert.deepEqual(empty.json, { acknowledged: 0, partitions: [] });
});

test("a line that is wrong ends the body there: the lines before it are in the log, it and those behind are not", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const body = '{"value":1}\n{"value":2}\n{"value":}\n{"value":4}\n';
  const answer = await scene.ask("POST", "/topics/t/records", { body, headers: ndjson });
  const problem = problemOf(answer);
  assert.deepEqual([answer.status, problem["line"], problem["acknowledged"]], [400, 3, 2]);
  assert.match(String(problem["detail"]), /malformed JSON at byte 9/);
  assert.deepEqual(untimed(await scene.records("t")), [
    { partition: 0, offset: 0, value: 1 },
    { partition: 0, offset: 1, value: 2 },
  ]);
  const long = await scene.ask("POST", "/topics/t/records", {
    body: `{"value":3}\n{"text":"${"x".repeat(17_000_000)}"}`,
    headers: ndjson,
  });
  const over = problemOf(long);
  assert.deepEqual(
    [long.status, over["line"], over["limit"], over["acknowledged"]],
    [413, 2, 16_777_216, 1],
  );
});

test("acknowledgements are streamed while lines are still sent", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const headers = { ...ndjson, accept: "application/x-ndjson" };
  const sending = request(`${scene.url}/topics/t/records`, { method: "POST", headers });
  sending.write('{"value":1}\n{"value":2}\n{"val');
  const [response] = await once(sending, "response");
  const [first] = await once(response, "data");
  assert.deepEqual(JSON.parse(String(first)), { partition: 0, offset: 0, count: 2, line: 1 });
  sending.end('ue":3}\n{"value":4}\nno JSON\n');
  const lines = (await text(response))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines[0], { partition: 0, offset: 2, count: 2, line: 3 });
  assert.equal(lines[1].problem.acknowledged, 4);
  assert.equal(lines[1].problem.line, 5);
});

test("a client that goes away in the middle of a line leaves whole lines behind it", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const socket = await scene.socket(context);
  const head =
    "POST /topics/t/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n";
  socket.write(`${head}{"value":1}\n{"value":2`);
  while (scene.broker.partition("t", 0)?.highWatermark !== 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.destroy();
  const one = await scene.socket(context);
  one.write(head.replace("x-ndjson", "json") + '{"value":3}');
  one.destroy();
  // Whatever the door still did for them, it has done before it answers this.
  while (!/requests_in_flight 1\n/.test((await scene.ask("GET", "/metrics")).text));
  assert.deepEqual(untimed(await scene.records("t")), [{ partition: 0, offset: 0, value: 1 }]);
});

test("a body of any length goes through bounded memory, and comes back the same", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const line = `{"value":"${"x".repeat(1_000)}"}\n`;
  const chunk = line.repeat(64);
  const count = 64 * 500;
  const sending = request(`${scene.url}/topics/t/records`, { method: "POST", headers: ndjson });
  for (let sent = 0; sent < 500; sent++) {
    if (!sending.write(chunk)) await once(sending, "drain");
  }
  sending.end();
  const [response] = await once(sending, "response");
  const { acknowledged } = JSON.parse(await text(response));
  assert.equal(acknowledged, count);
  const reading = await fetch(`${scene.url}/topics/t/partitions/0/records`, {
    headers: { accept: "application/x-ndjson" },
  });
  const lines = (await reading.text()).split("\n");
  assert.equal(lines.length, count + 1);
  assert.match(lines[count - 1] ?? "", new RegExp(`^\\{"partition":0,"offset":${count - 1},`));
});

test("a full disk ends a body of lines, and what was acknowledged is in the log", async (context) => {
  const disk = new MemoryDisk({ capacityBytes: 24 * 1024 * 1024 });
  const scene = await openScene(context, { disk });
  await scene.createTopic("t");
  const line = `{"value":"${"x".repeat(10_000)}"}\n`;
  const answer = await scene.ask("POST", "/topics/t/records", {
    body: line.repeat(4_000),
    headers: ndjson,
  });
  const problem = problemOf(answer);
  assert.deepEqual([answer.status, problem["code"]], [507, "storage_full"]);
  const acknowledged = Number(problem["acknowledged"]);
  assert.ok(acknowledged > 0 && acknowledged < 4_000);
  const end = scene.broker.partition("t", 0)?.highWatermark ?? 0;
  assert.equal(end, acknowledged);
  const last = await scene.ask("GET", `/topics/t/partitions/0/records/${end - 1}`);
  assert.ok(last.text.length > 10_000);
  const refused = await scene.ask("POST", "/topics/t/records", { body: { value: 1 } });
  assert.deepEqual([refused.status, problemOf(refused)["isRetriable"]], [507, true]);
  assert.equal(refused.headers.get("retry-after"), "1");
});

test("a client that has said all it has to say still hears the answer", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const body = '{"value":1}\n';
  const socket = await scene.socket(context);
  socket.end(
    `POST /topics/t/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  assert.match(await text(socket), /^HTTP\/1\.1 200 .*"acknowledged":1/s);
});

test("a topic that is not there is made by an append, where the settings say so", async (context) => {
  const scene = await openScene(context);
  assert.deepEqual(await appended(scene, "fresh", { value: 1 }), { partition: 0, offset: 0 });
  const bad = await scene.ask("POST", "/topics/no%20good/records", { body: { value: 1 } });
  assert.deepEqual([bad.status, problemOf(bad)["code"]], [400, "invalid_topic_name"]);
});
