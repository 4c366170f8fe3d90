import assert from "node:assert/strict";
import { test } from "node:test";

import { FrameReceiver, SlabPool } from "./frames.ts";

const kib = 1024;

function frame(size: number, mark: number): Buffer {
  const bytes = Buffer.alloc(4 + size, mark);
  bytes.writeInt32BE(size);
  return bytes;
}

function feed(receiver: FrameReceiver, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const target = receiver.target();
    const count = Math.min(target.length, bytes.length - done);
    target.set(bytes.subarray(done, done + count));
    receiver.received(count);
    done += count;
  }
}

function taken(receiver: FrameReceiver): Buffer {
  return receiver.slab.source.bytes.subarray(receiver.start, receiver.end);
}

test("frames that were not asked for yet stay whole however much arrives behind them", () => {
  const receiver = new FrameReceiver(new SlabPool(0), 4096 * kib);
  const sizes = Array.from({ length: 60 }, (_, index) => 1 + index * 900);
  feed(receiver, Buffer.concat(sizes.map(frame)));
  for (const [mark, size] of sizes.entries()) {
    assert.ok(receiver.next());
    assert.deepEqual(taken(receiver), Buffer.alloc(size, mark));
  }
  assert.equal(receiver.next(), false);
  assert.equal(receiver.pendingBytes, 0);
});

test("a quiet connection offers little memory, a busy one up to 1 MiB, and less again later", () => {
  const receiver = new FrameReceiver(new SlabPool(8192 * kib), 100 * kib);
  const offers: number[] = [];
  const drain = (): void => {
    while (receiver.next());
  };
  for (let round = 0; round < 5; round++) {
    const target = receiver.target();
    offers.push(target.length);
    for (let at = 0; at < target.length; at += 4 * kib) target.set(frame(4 * kib - 4, 1), at);
    receiver.received(target.length);
    drain();
  }
  assert.deepEqual(
    offers,
    [16, 64, 256, 1024, 1024].map((count) => count * kib),
  );
  for (let round = 0; round < 3; round++) {
    feed(receiver, frame(10, 1));
    drain();
  }
  assert.equal(receiver.target().length, 16 * kib);
});

test("memory for a large frame comes with its bytes, not with its size", () => {
  const receiver = new FrameReceiver(new SlabPool(0), 100 * 1024 * kib);
  const bytes = frame(90 * 1024 * kib, 7);
  feed(receiver, bytes.subarray(0, 4));
  receiver.target();
  assert.ok(receiver.slab.capacity <= 1024 * kib);
  feed(receiver, bytes.subarray(4, 3 * 1024 * kib));
  assert.ok(receiver.slab.capacity <= 4 * 1024 * kib);
  feed(receiver, bytes.subarray(3 * 1024 * kib));
  assert.ok(receiver.next());
  assert.equal(taken(receiver).compare(bytes.subarray(4)), 0);
});

test("a slab goes back to its pool with its last holder, and is lent again", () => {
  const pool = new SlabPool(16 * kib);
  const slab = pool.acquire(1);
  slab.hold();
  slab.release();
  assert.notEqual(pool.acquire(1), slab);
  slab.release();
  assert.equal(pool.acquire(1), slab);
  assert.throws(() => {
    slab.release();
    slab.release();
  }, /released once by each holder/);
});

test("a pool keeps no more than its limit", () => {
  const pool = new SlabPool(32 * kib);
  const slabs = Array.from({ length: 3 }, () => pool.acquire(1));
  for (const slab of slabs) slab.release();
  const again = new Set(Array.from({ length: 3 }, () => pool.acquire(1)));
  assert.equal(slabs.filter((slab) => again.has(slab)).length, 2);
});

test("a size that is negative or over the limit is refused, also the one just over it", () => {
  for (const [size, isTaken] of [
    [-1, false],
    [0, true],
    [99, true],
    [100, true],
    [101, false],
  ] as const) {
    const receiver = new FrameReceiver(new SlabPool(0), 100);
    const head = Buffer.alloc(4);
    head.writeInt32BE(size);
    feed(receiver, head);
    if (isTaken) assert.doesNotThrow(() => receiver.next());
    else
      assert.throws(
        () => receiver.next(),
        /protocol_violation|is not accepted: the limit here is 100/,
      );
  }
});
