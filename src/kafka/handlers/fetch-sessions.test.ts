import assert from "node:assert/strict";
import { test } from "node:test";

import { NIL_UUID } from "../../bytes/index.ts";
import { memoryEnv } from "../../env/index.ts";
import type { RequestOf } from "../registry.ts";
import {
  type FetchScope,
  type FetchSession,
  FetchSessions,
  sessionPartitionsMax,
  sessionsMax,
} from "./fetch-sessions.ts";

type FetchRequest = RequestOf<"Fetch">;

function request(more: Partial<FetchRequest>, partitionCount = 1): FetchRequest {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({
    partition,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 1,
    replicaDirectoryId: NIL_UUID,
    highWatermark: 0,
  }));
  return {
    clusterId: undefined,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: 0,
    topics: [{ topic: "t", topicId: NIL_UUID, partitions }],
    forgottenTopicsData: [],
    rackId: "",
    ...more,
  };
}

function sessionOf(scope: FetchScope): FetchSession {
  assert.ok(scope.kind === "session");
  return scope.session;
}

const idleMs = 121_000;

test("when all places are taken, a newcomer gets none until one has idled long enough", () => {
  const env = memoryEnv({ seed: 1 });
  const sessions = new FetchSessions(env);
  const first = sessionOf(sessions.scopeOf(request({}), 12));
  for (let count = 1; count < sessionsMax; count++) sessions.scopeOf(request({}), 12);
  assert.equal(sessions.count, sessionsMax);
  assert.equal(sessions.scopeOf(request({}), 12).kind, "alone");

  env.timers.advance(idleMs);
  // The oldest is used again, so the one after it makes room.
  const next = request({ sessionId: first.id, sessionEpoch: 1, topics: [] });
  assert.equal(sessions.scopeOf(next, 12).kind, "session");
  assert.equal(sessions.scopeOf(request({}), 12).kind, "session");
  assert.equal(sessions.count, sessionsMax);
  const again = request({ sessionId: first.id, sessionEpoch: 2, topics: [] });
  assert.equal(sessions.scopeOf(again, 12).kind, "session");
});

test("the partitions of all sessions together have a limit", () => {
  const sessions = new FetchSessions(memoryEnv({ seed: 1 }));
  const half = sessionPartitionsMax / 2;
  const large = sessionOf(sessions.scopeOf(request({}, half), 12));
  assert.equal(sessions.scopeOf(request({}, half), 12).kind, "session");
  assert.equal(sessions.partitionCount, sessionPartitionsMax);
  assert.equal(sessions.scopeOf(request({}, 1), 12).kind, "alone");
  // One that grows past the limit is ended; its client then sends whole requests.
  const grown = request({ sessionId: large.id, sessionEpoch: 1 }, half + 1);
  assert.deepEqual(sessions.scopeOf(grown, 12), {
    kind: "refused",
    code: "fetch_session_not_found",
  });
  assert.equal(sessions.partitionCount, half);
});

test("a session that is opened anew replaces the one it names", () => {
  const sessions = new FetchSessions(memoryEnv({ seed: 1 }));
  const first = sessionOf(sessions.scopeOf(request({}), 12));
  const second = sessionOf(sessions.scopeOf(request({ sessionId: first.id }), 12));
  assert.notEqual(second.id, first.id);
  assert.equal(sessions.count, 1);
});

test("versions without sessions, and requests that want none, hold nothing", () => {
  const sessions = new FetchSessions(memoryEnv({ seed: 1 }));
  assert.equal(sessions.scopeOf(request({}), 6).kind, "alone");
  assert.equal(sessions.scopeOf(request({ sessionEpoch: -1 }), 12).kind, "alone");
  assert.equal(sessions.count, 0);
});

test("the epoch after the largest is 1", () => {
  const sessions = new FetchSessions(memoryEnv({ seed: 1 }));
  const session = sessionOf(sessions.scopeOf(request({}), 12));
  session.epoch = 0x7fff_ffff;
  const next = { sessionId: session.id, topics: [] };
  assert.equal(
    sessions.scopeOf(request({ ...next, sessionEpoch: 0x7fff_ffff }), 12).kind,
    "session",
  );
  assert.equal(session.epoch, 1);
});
