import assert from "node:assert/strict";
import { test } from "node:test";

import { crc32c } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import { PartitionState } from "./partition-state.ts";
import { producersPerPartitionMax, ProducerTable } from "./producer-table.ts";

/** The worked example of docs/formats/partition-state.md. */
const example = `
00 00 00 01               version 1
b1 56 6e 94               CRC-32C of all that follows
00 00 00 02               two leader epochs
00 00 00 01               epoch 1
00 00 00 00 00 00 00 00   begins at offset 0
00 00 00 03               epoch 3
00 00 00 00 00 00 00 05   begins at offset 5
00 00 00 01               one producer
00 00 00 00 00 00 00 2a   producer id 42
00 07                     producer epoch 7
00 00 01 9b 76 da a8 00   last active at 2026-01-01T00:00:00Z
01                        one batch remembered
00 00 00 09               base sequence 9
00 00 00 00 00 00 00 05   base offset 5
00 00 00 01               last offset delta 1: offsets 5 and 6
00 00 01 9b 76 da a8 01   its largest timestamp
`;

function bytesOf(annotated: string): Uint8Array {
  const digits = annotated
    .trim()
    .split("\n")
    .map((line) => line.slice(0, 23).replaceAll(" ", ""));
  return new Uint8Array(Buffer.from(digits.join(""), "hex"));
}

const activeMs = Date.UTC(2026, 0, 1);

function exampleState(): PartitionState {
  const state = new PartitionState();
  state.recover({ ...plain, leaderEpoch: 1, baseOffset: 0, lastOffset: 4 }, activeMs);
  state.recover(
    {
      leaderEpoch: 3,
      baseOffset: 5,
      lastOffset: 6,
      maxTimestamp: activeMs + 1,
      producerId: 42,
      producerEpoch: 7,
      baseSequence: 9,
    },
    activeMs,
  );
  return state;
}

const plain = { maxTimestamp: activeMs, producerId: -1, producerEpoch: -1, baseSequence: -1 };

test("the state of a partition is the bytes of the worked example, and these are the state", () => {
  const bytes = exampleState().encode(7, 0);
  assert.deepEqual(
    Buffer.from(bytes).toString("hex"),
    Buffer.from(bytesOf(example)).toString("hex"),
  );
  assert.deepEqual(PartitionState.decode(bytesOf(example), "p").encode(7, 0), bytes);
});

test("a partition that knows nothing takes no bytes", () => {
  assert.equal(new PartitionState().encode(0, 0).length, 0);
  const decoded = PartitionState.decode(new Uint8Array(0), "p");
  assert.deepEqual([decoded.producers, decoded.epochs], [undefined, undefined]);
});

test("what the open frame did is not in the state, and is again in the next one", () => {
  const state = exampleState();
  const before = state.encode(7, 0);
  const table = state.producers ?? assert.fail("the example has a producer");
  state.assignEpoch(4, 7);
  const batch = { ...plain, producerEpoch: 7, baseOffset: 7, lastOffset: 7 };
  table.append({ ...batch, producerId: 42, baseSequence: 11 }, activeMs + 5);
  table.append({ ...batch, producerId: 50, baseSequence: 0 }, activeMs + 5);
  assert.deepEqual(state.encode(7, 0), before);
  table.wasWritten();
  const after = PartitionState.decode(state.encode(8, 0), "p");
  assert.deepEqual(after.producers?.active(), table.active());
  assert.equal(after.epochs?.latest, 4);
});

function withCrc(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(4, crc32c(bytes, 8));
  return bytes;
}

test("damage is named: a flipped bit, a cut, a byte too many, a newer program", () => {
  const sound = bytesOf(example);
  const flipped = sound.slice();
  flipped[20] = 1;
  const newer = sound.slice();
  newer[3] = 2;
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ["a flipped bit", flipped, "data_corrupt"],
    ["cut in the prefix", sound.slice(0, 5), "data_corrupt"],
    ["cut behind it", withCrc(sound.slice(0, -1)), "data_corrupt"],
    ["a byte too many", withCrc(new Uint8Array([...sound, 0])), "data_corrupt"],
    ["a newer version", newer, "format_newer"],
  ];
  for (const [name, bytes, code] of cases) {
    assert.throws(
      () => PartitionState.decode(bytes, "partition 3 of orders"),
      (error: unknown) =>
        error instanceof LogError &&
        error.code === code &&
        error.message.includes("partition 3 of orders"),
      name,
    );
  }
});

test("epochs of which no record is left are not kept", () => {
  const state = exampleState();
  const trimmed = PartitionState.decode(state.encode(7, 6), "p");
  assert.equal(trimmed.epochs?.count, 1);
  assert.equal(trimmed.epochs?.epochOf(6), 3);
});

test("a full table forgets those that were silent the longest", () => {
  const table = new ProducerTable();
  const batch = { ...plain, producerEpoch: 0, baseSequence: 0, baseOffset: 0, lastOffset: 0 };
  for (let producerId = 0; producerId <= producersPerPartitionMax; producerId++) {
    table.recover({ ...batch, producerId }, activeMs + producerId);
  }
  assert.equal(table.size, producersPerPartitionMax * 0.9 + 1);
  const ids = table.active().map(({ producerId }) => producerId);
  assert.equal(Math.min(...ids), producersPerPartitionMax * 0.1);
  assert.ok(ids.includes(producersPerPartitionMax));
});
