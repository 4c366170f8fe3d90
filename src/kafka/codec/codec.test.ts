import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { LogError } from "../../errors/index.ts";
import { consumerAssignment, consumerSubscription } from "../messages/consumer-protocol.ts";
import { apiNames, apis } from "../registry.ts";
import type { Codec } from "./codec.ts";
import { compile } from "./compiler.ts";
import { interpret } from "./interpreter.ts";
import { type Layout, type Message, type Shape, type Slot, layoutOf } from "./schema.ts";
import { MessageWriter, sourceOf } from "./writer.ts";

const messages: readonly Message[] = [
  ...apiNames.flatMap((name): Message[] => [apis[name].request, apis[name].response]),
  consumerSubscription,
  consumerAssignment,
];

function* everyLayout(): Generator<Layout> {
  for (const message of messages) {
    for (let version = message.versionMin; version <= message.versionMax; version++) {
      yield layoutOf(message, version);
    }
  }
}

const integer = (bits: number): fc.Arbitrary<number> =>
  fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });

const scalars = {
  bool: fc.boolean(),
  int8: integer(8),
  int16: integer(16),
  int32: integer(32),
  int64: fc.maxSafeInteger().map((value) => value + 0),
  uuid: fc.uuid({ version: [4, 7] }),
  string: fc.oneof(
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.string({ minLength: 120, maxLength: 150 }),
  ),
  bytes: fc.uint8Array({ maxLength: 20 }),
  // On both sides of the size from which chunks are sent from where they lie.
  records: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(new Uint8Array(1025).fill(7))),
};

function valuesOf(shape: Shape): fc.Arbitrary<unknown> {
  if (shape.kind === "array") return fc.array(valuesOf(shape.element), { maxLength: 3 });
  if (shape.kind === "struct") return structsOf(shape.slots);
  return scalars[shape.kind];
}

function structsOf(slots: readonly Slot[]): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(
      slots.map((slot) => {
        if (!slot.isPresent) return [slot.name, fc.constant(slot.initial)];
        const values = valuesOf(slot.shape);
        const withNull = slot.isNullable ? fc.option(values, { nil: undefined }) : values;
        const isSkipped = slot.tag !== undefined || slot.preset !== undefined;
        return [slot.name, isSkipped ? fc.oneof(withNull, fc.constant(slot.initial)) : withNull];
      }),
    ),
    { noNullPrototype: true },
  );
}

function bytesBy(codec: Codec<unknown, unknown>, value: unknown, bytesMin = 16): Buffer {
  const writer = new MessageWriter(bytesMin);
  writer.beginBare();
  codec.encode(writer, value);
  return Buffer.concat(writer.finishBare());
}

/** What `decode` gives or throws, as something to compare. */
function outcomeOf(codec: Codec<unknown, unknown>, bytes: Uint8Array): unknown {
  try {
    return { value: codec.decode(sourceOf(bytes), 0, bytes.length) };
  } catch (error) {
    assert.ok(error instanceof LogError, `decoding may only throw a LogError: ${String(error)}`);
    assert.equal(error.code, "protocol_violation");
    return { code: error.code };
  }
}

test("compiled and interpreted codecs agree on every message and version, and both read back what they wrote", () => {
  let count = 0;
  for (const layout of everyLayout()) {
    const compiled = compile(layout);
    const interpreted = interpret(layout);
    fc.assert(
      fc.property(structsOf(layout.slots), (value) => {
        const bytes = bytesBy(compiled, value);
        assert.deepEqual(bytes, bytesBy(interpreted, value), "encoded bytes");
        const source = sourceOf(bytes);
        const decoded = compiled.decode(source, 0, bytes.length);
        assert.deepEqual(decoded, interpreted.decode(source, 0, bytes.length), "decoded values");
        assert.deepEqual(decoded, value, "value read back");
      }),
      { numRuns: 12 },
    );
    count += 1;
  }
  assert.ok(count > 200, `only ${count} layouts were met`);
});

test("damaged messages end in the same value or in a protocol violation in both codecs", () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  for (const layout of everyLayout()) {
    const compiled = compile(layout);
    const interpreted = interpret(layout);
    fc.assert(
      fc.property(structsOf(layout.slots), damage, fc.nat(40), (value, hits, cut) => {
        const whole = bytesBy(compiled, value);
        const bytes = whole.subarray(0, Math.max(0, whole.length - Math.max(0, cut - 20)));
        for (const [at, byte] of hits) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        assert.deepEqual(outcomeOf(compiled, bytes), outcomeOf(interpreted, bytes));
      }),
      { numRuns: 12 },
    );
  }
});

test("random bytes end in the same value or in a protocol violation in both codecs", () => {
  for (const layout of everyLayout()) {
    const compiled = compile(layout);
    const interpreted = interpret(layout);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.deepEqual(outcomeOf(compiled, bytes), outcomeOf(interpreted, bytes));
      }),
      { numRuns: 10 },
    );
  }
});
