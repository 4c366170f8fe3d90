import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { InvariantError, LogError } from "../../errors/index.ts";
import { consumerSubscription } from "../messages/consumer-protocol.ts";
import { apis } from "../registry.ts";
import { type Codec, codecOf, decodeAlone, encodeAlone } from "./codec.ts";
import { compile } from "./compiler.ts";
import { elementsMax } from "./faults.ts";
import { interpret } from "./interpreter.ts";
import { type Message, layoutOf } from "./schema.ts";
import { MessageWriter, sourceOf } from "./writer.ts";

function bothOf(message: Message, version: number): readonly Codec<unknown, unknown>[] {
  const layout = layoutOf(message, version);
  return [compile(layout), interpret(layout)];
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

const { Metadata, Produce, Heartbeat, ListOffsets, DescribeTopicPartitions, DeleteTopics } = apis;

const refused: readonly (readonly [
  message: Message,
  version: number,
  bytes: string,
  reason: string,
])[] = [
  [Metadata.request, 0, "0000", "topics ends behind the last byte"],
  [Metadata.request, 0, "ffffffff", "topics is null, which it may not be"],
  [Metadata.request, 1, "fffffffe", "topics has a negative length"],
  [
    Metadata.request,
    0,
    "00000002 0000 00",
    "topics has more elements than the message has room for",
  ],
  [Metadata.request, 0, "00000001 0005 61", "topics.name ends behind the last byte"],
  [Metadata.request, 0, "00000001 ffff", "topics.name is null, which it may not be"],
  [Heartbeat.response, 0, "0000 00", "has bytes behind its last field"],
  [Metadata.request, 9, "8080808080 01", "topics has a varint of more than five bytes"],
  [Metadata.request, 9, "ffffffff 1f", "topics has a varint of more than five bytes"],
  [Metadata.request, 9, "80808080", "topics ends behind the last byte"],
  [Metadata.request, 9, "01 00 00 00 01", "tagged fields ends behind the last byte"],
  [Metadata.request, 9, "01 00 00 00 01 07 02 00", "tagged fields ends behind the last byte"],
  [
    ListOffsets.request,
    1,
    "00000000 00000001 0001 74 00000001 00000000 0020000000000000",
    "topics.partitions.timestamp does not fit a safe integer",
  ],
  [DescribeTopicPartitions.request, 0, "01 00000001 02", "cursor is neither null nor present"],
  [
    Produce.response,
    10,
    "02 01 02 00000000 0000 0000000000000001 0000000000000001 0000000000000001 01 00 01 00 04 00000009",
    "responses.partitionResponses.currentLeader.leaderEpoch ends behind the last byte",
  ],
];

test("what cannot be decoded is refused with message, version and field", () => {
  for (const [message, version, bytes, reason] of refused) {
    for (const codec of bothOf(message, version)) {
      const whole = hex(bytes);
      // Longer memory behind the end must not be looked at.
      const source = sourceOf(Buffer.concat([whole, Buffer.alloc(64)]));
      assert.throws(
        () => codec.decode(source, 0, whole.length),
        (error) => {
          assert.ok(error instanceof LogError);
          assert.equal(error.code, "protocol_violation");
          const title = `${message.name} v${version}: `;
          assert.equal(error.message, title + reason);
          return true;
        },
      );
    }
  }
});

test("bytes behind a request are ignored: librdkafka 2.16 sends three when it asks for all topics", () => {
  for (const codec of bothOf(Metadata.request, 13)) {
    const bytes = hex("00 00 00 00 01 00 00");
    assert.deepEqual(codec.decode(sourceOf(bytes), 0, bytes.length), {
      topics: undefined,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
  }
});

test("a message may have a million elements and no more", () => {
  for (const codec of bothOf(DeleteTopics.request, 1)) {
    for (const count of [elementsMax - 1, elementsMax, elementsMax + 1]) {
      const bytes = Buffer.alloc(4 + 2 * count + 4);
      bytes.writeInt32BE(count);
      const decode = (): unknown => codec.decode(sourceOf(bytes), 0, bytes.length);
      if (count <= elementsMax) assert.doesNotThrow(decode);
      else assert.throws(decode, /over 1000000 elements/);
    }
  }
});

test("64-bit integers are exact up to 2^53 - 1 on both sides of zero", () => {
  const message = apis.ListOffsets.response;
  for (const timestamp of [
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    -1,
    0,
    2 ** 32,
    -(2 ** 32),
  ]) {
    const partitions = [{ partitionIndex: 0, errorCode: 0, timestamp, offset: timestamp }];
    const bytes = encodeAlone(message, 1, { topics: [{ name: "t", partitions }] });
    const back = decodeAlone(message, 1, bytes).topics[0]?.partitions[0];
    assert.equal(back?.timestamp, timestamp);
    assert.equal(back?.offset, timestamp);
    assert.equal(Buffer.from(bytes).readBigInt64BE(bytes.length - 8), BigInt(timestamp));
  }
});

test("tagged fields that nobody knows are skipped", () => {
  for (const codec of bothOf(Heartbeat.request, 4)) {
    const bytes = hex("02 67 00000001 02 6d 00 02 05 03 010203 09 00");
    assert.deepEqual(codec.decode(sourceOf(bytes), 0, bytes.length), {
      groupId: "g",
      generationId: 1,
      memberId: "m",
      groupInstanceId: undefined,
    });
  }
});

test("a newer subscription is read as the newest known, its rest ignored", () => {
  const bytes = encodeAlone(consumerSubscription, 3, { topics: ["t"], rackId: "r" });
  const longer = Buffer.concat([bytes, Buffer.from("more")]);
  assert.deepEqual(decodeAlone(consumerSubscription, 3, longer), {
    topics: ["t"],
    userData: undefined,
    ownedPartitions: [],
    generationId: -1,
    rackId: "r",
  });
});

test("values of the wrong type break an invariant that names the field", () => {
  const wrong: readonly (readonly [
    message: Message,
    version: number,
    value: object,
    field: RegExp,
  ])[] = [
    [Heartbeat.response, 0, {}, /errorCode cannot be undefined/],
    [Heartbeat.response, 0, { errorCode: 32_768 }, /errorCode cannot be number 32768/],
    [Heartbeat.request, 0, { groupId: undefined, generationId: 1, memberId: "" }, /groupId cannot/],
    [
      Heartbeat.request,
      0,
      { groupId: "g", generationId: 1.5, memberId: "" },
      /generationId cannot/,
    ],
    [Metadata.request, 0, {}, /topics cannot be undefined/],
    [Produce.request, 3, { acks: 1, timeoutMs: 1, topicData: "t" }, /topicData cannot be string/],
    [
      apis.DeleteRecords.response,
      0,
      {
        topics: [
          { name: "t", partitions: [{ partitionIndex: 0, lowWatermark: 2 ** 53, errorCode: 0 }] },
        ],
      },
      /lowWatermark cannot be/,
    ],
  ];
  for (const [message, version, value, field] of wrong) {
    for (const codec of bothOf(message, version)) {
      const writer = new MessageWriter();
      writer.beginBare();
      assert.throws(
        () => codec.encode(writer, value),
        (error) => error instanceof InvariantError && field.test(error.message),
      );
    }
  }
});

test("a text of 32767 bytes is sent, a longer one is refused", () => {
  for (const codec of [...bothOf(Heartbeat.request, 0), ...bothOf(Heartbeat.request, 4)]) {
    for (const size of [32_766, 32_767, 32_768]) {
      const groupId = "é".repeat(size >> 1) + "x".repeat(size & 1);
      const writer = new MessageWriter();
      writer.beginBare();
      const encode = (): void => codec.encode(writer, { groupId, generationId: 1, memberId: "" });
      if (size <= 32_767) assert.doesNotThrow(encode);
      else assert.throws(encode, /groupId is longer than 32767 bytes/);
    }
  }
});

test("a request is not sent in a version that would lose its meaning", () => {
  const value = { groupId: "g", generationId: 1, memberId: "m", groupInstanceId: "static" };
  for (const codec of bothOf(Heartbeat.request, 2)) {
    const writer = new MessageWriter();
    writer.beginBare();
    assert.throws(
      () => codec.encode(writer, value),
      (error) =>
        error instanceof LogError &&
        error.code === "unsupported" &&
        /groupInstanceId/.test(error.message),
    );
  }
});

test("long record chunks are sent from where they lie, between the pieces around them", () => {
  const long = new Uint8Array(1025).fill(1);
  const short = new Uint8Array(1024).fill(2);
  const partition = { errorCode: 0, highWatermark: 9 };
  const partitions = [
    { ...partition, partitionIndex: 0, records: [long, short, long] },
    { ...partition, partitionIndex: 1, records: short },
  ];
  const writer = new MessageWriter(64);
  writer.begin();
  codecOf(apis.Fetch.response, 4).encode(writer, {
    responses: [{ topic: "t", topicId: "", partitions }],
  });
  const parts = writer.finish();
  assert.equal(parts.length, 5);
  assert.ok(parts[1] === long && parts[3] === long);
  const bytes = Buffer.concat(parts);
  assert.equal(bytes.readInt32BE(0), bytes.length - 4);
  const { responses } = decodeAlone(apis.Fetch.response, 4, bytes.subarray(4));
  const records = responses[0]?.partitions.map((entry) => Buffer.from(entry.records ?? []));
  assert.deepEqual(records, [Buffer.concat([long, short, long]), Buffer.from(short)]);
});

test("a writer that grows leaves the parts of earlier messages as they were", () => {
  const writer = new MessageWriter(32);
  const codec = codecOf(Heartbeat.request, 4);
  const sent = Array.from({ length: 60 }, (_, index) => {
    writer.begin();
    codec.encode(writer, {
      groupId: `group ${index}`,
      generationId: index,
      memberId: "m".repeat(index * 9),
    });
    return writer.finish();
  });
  for (const [index, parts] of sent.entries()) {
    const bytes = Buffer.concat(parts).subarray(4);
    assert.equal(decodeAlone(Heartbeat.request, 4, bytes).groupId, `group ${index}`);
  }
});

test("the interpreter takes over where the process forbids code made from strings", () => {
  const script = `
    import { decodeAlone, encodeAlone } from "./src/kafka/codec/codec.ts";
    import { apis } from "./src/kafka/registry.ts";
    let isForbidden = false;
    try { new Function(""); } catch { isForbidden = true; }
    const bytes = encodeAlone(apis.Heartbeat.response, 4, { errorCode: 27 });
    console.log(isForbidden, decodeAlone(apis.Heartbeat.response, 4, bytes).errorCode);`;
  const options = ["--disallow-code-generation-from-strings", "--input-type=module", "-e", script];
  const root = new URL("../../../", import.meta.url);
  const output = execFileSync(process.execPath, options, { cwd: root, encoding: "utf8" });
  assert.equal(output.trim(), "true 27");
});
