import assert from "node:assert/strict";
import { test } from "node:test";

import { MemoryDisk, memoryEnv } from "../env/index.ts";
import { freeBytesMin, RoomGuard } from "./room-guard.ts";

test("producers are refused while the last room of the disk is left, and let in again", () => {
  const capacityBytes = freeBytesMin + (10 << 20);
  const env = memoryEnv({ seed: 1, disk: new MemoryDisk({ capacityBytes }) });
  env.disk.makeDirectory("/data");
  const guard = new RoomGuard(env, "/data");
  const file = env.disk.open("/data/wal", "create");
  for (const [megabytes, isRefused] of [
    [5, false],
    [10, false],
    [11, false],
    [15, true],
  ] as const) {
    file.write([new Uint8Array(megabytes << 20)], 0);
    guard.wrote(megabytes << 20);
    assert.equal(guard.fault !== undefined, isRefused, `${megabytes} MiB`);
  }
  assert.equal(guard.fault?.code, "storage_full");
  file.truncate(4 << 20);
  env.timers.advance(1_000);
  assert.equal(guard.fault, undefined);
  guard.close();
});
