import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  type Answer,
  type Answered,
  type EncodedRecord,
  type GroupEvent,
  groupPartition,
  Groups,
  type JoinEvent,
} from "./index.ts";

// The random worlds: a few clients with good and bad manners, two groups, time that passes, a
// coordinator that starts anew, and a log that now and then does not take what it is given.

interface Move {
  readonly verb:
    | "next"
    | "join"
    | "sync"
    | "heartbeat"
    | "leave"
    | "commit"
    | "forget"
    | "advance"
    | "expire"
    | "delete-group"
    | "delete-offsets"
    | "topics-deleted"
    | "restart";
  readonly client: number;
  readonly ms: number;
  readonly version: number;
  /** The log does not take the records of this step. */
  readonly fails: boolean;
}

const moves: fc.Arbitrary<Move> = fc.record(
  {
    verb: fc.oneof(
      { weight: 30, arbitrary: fc.constant("next" as const) },
      { weight: 2, arbitrary: fc.constantFrom("join" as const, "sync" as const) },
      { weight: 2, arbitrary: fc.constantFrom("heartbeat" as const, "commit" as const) },
      { weight: 3, arbitrary: fc.constant("advance" as const) },
      { weight: 1, arbitrary: fc.constantFrom("leave" as const, "forget" as const) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          "expire" as const,
          "delete-group" as const,
          "delete-offsets" as const,
          "topics-deleted" as const,
          "restart" as const,
        ),
      },
    ),
    client: fc.nat(4),
    ms: fc.constantFrom(1, 900, 1_000, 5_000, 9_999, 10_000, 31_000),
    version: fc.constantFrom(3, 8, 9),
    fails: fc.nat(9).map((digit) => digit === 0),
  },
  { noNullPrototype: true },
);

interface Client {
  readonly groupId: string;
  readonly instanceId: string | undefined;
  memberId: string | undefined;
  generation: number;
  /** Whom it has to give partitions to, when it leads. */
  following: readonly string[];
  /** What a well-behaved client does next. */
  next: "join" | "sync" | "heartbeat";
}

class World {
  readonly limits = {
    initialRebalanceDelayMs: 1_000,
    membersPerGroupMax: 3,
    offsetsRetentionMs: 60_000,
  };
  groups = new Groups(this.limits);
  readonly log: EncodedRecord[] = [];
  readonly #clients: Client[] = ["g", "g", "g", "g", "h"].map((groupId, index) => ({
    groupId,
    instanceId: index === 2 || index === 3 ? `instance-${index}` : undefined,
    memberId: undefined,
    generation: 0,
    following: [],
    next: "join",
  }));
  /** Who waits for an answer. */
  readonly waiting = new Map<number, { readonly client: Client; readonly generation: number }>();
  #nowMs = 0;
  #tokens = 0;
  /** Which member or instance was told to read a partition in a generation. */
  readonly #owners = new Map<string, string>();
  /** Highest generation of a group of which somebody has an assignment. */
  readonly #generations = new Map<string, number>();

  next(client: number): Client["next"] {
    return this.#clients[client]?.next ?? "join";
  }

  play(move: Move): void {
    if (move.verb === "advance") return this.advance(move.ms, move.fails);
    if (move.verb === "restart") return this.#restart();
    const client = this.#clients[move.client];
    assert.ok(client);
    if (move.verb === "forget") {
      client.memberId = undefined;
      return;
    }
    const verb = move.verb === "next" ? client.next : move.verb;
    const event = this.#eventOf(verb, client, move);
    if ("token" in event) this.waiting.set(event.token, { client, generation: client.generation });
    this.#step(event, move.fails);
  }

  advance(ms: number, fails: boolean): void {
    const untilMs = this.#nowMs + ms;
    for (let ticks = 0; this.groups.nextDeadlineMs <= untilMs; ticks++) {
      assert.ok(ticks < 10_000, "ticks come to an end");
      this.#nowMs = Math.max(this.#nowMs, this.groups.nextDeadlineMs);
      this.#step({ kind: "tick", nowMs: this.#nowMs, wallMs: this.#nowMs }, fails && ticks === 0);
    }
    this.#nowMs = untilMs;
  }

  /** What is known to a coordinator that has only the log. */
  rebuilt(): Groups {
    const groups = new Groups(this.limits);
    for (const record of this.log) groups.replay(record);
    return groups;
  }

  #restart(): void {
    this.groups = this.rebuilt();
    // The connections are gone, and with them whoever waited.
    this.waiting.clear();
    this.#step({ kind: "loaded", nowMs: this.#nowMs, wallMs: this.#nowMs }, false);
  }

  #step(event: GroupEvent, fails: boolean): void {
    const { seq, records, answers } = this.groups.step(event);
    if (seq > 0 && fails) {
      const left = this.groups.undo(seq, { nowMs: this.#nowMs, wallMs: this.#nowMs });
      for (const { token } of answers) this.#take(token);
      this.#deliver(left);
    } else {
      this.log.push(...records);
      this.groups.settled(seq);
      this.#deliver(answers);
    }
    for (const groupId of this.#generations.keys()) {
      if (this.groups.describe(groupId) === undefined) this.#forgetGroup(groupId);
    }
  }

  #deliver(answers: readonly Answered[]): void {
    for (const { token, answer } of answers) {
      const { client, generation } = this.#take(token);
      this.#receive(client, generation, answer);
    }
  }

  #take(token: number): { readonly client: Client; readonly generation: number } {
    const asked = this.waiting.get(token);
    assert.ok(asked, `token ${token} waits, so it was not answered before`);
    this.waiting.delete(token);
    return asked;
  }

  #receive(client: Client, generation: number, answer: Answer): void {
    if (answer.kind === "joined") {
      const least = this.#generations.get(client.groupId) ?? 0;
      assert.ok(
        answer.generation >= least,
        `generation ${answer.generation} is not below ${least}`,
      );
      client.memberId = answer.memberId;
      client.generation = answer.generation;
      client.next = "sync";
      client.following = answer.skipAssignment
        ? []
        : answer.members.map(({ memberId }) => memberId);
      assert.equal(
        answer.members.length > 0,
        answer.memberId === answer.leaderId,
        "the leader, and nobody else, gets the members",
      );
    }
    if (answer.kind === "synced") {
      this.#own(client, generation, answer.assignment);
      client.next = "heartbeat";
    }
    if (answer.kind !== "refused") return;
    client.next = "join";
    if (answer.code === "member_id_required") client.memberId = answer.memberId;
    if (answer.code === "member_unknown" || answer.code === "member_fenced")
      client.memberId = undefined;
  }

  #own(client: Client, generation: number, assignment: Uint8Array): void {
    this.#generations.set(
      client.groupId,
      Math.max(generation, this.#generations.get(client.groupId) ?? 0),
    );
    for (const partition of assignment) {
      const key = `${client.groupId}/${generation}/${partition}`;
      const owner = client.instanceId ?? client.memberId ?? "";
      assert.equal(this.#owners.get(key) ?? owner, owner, `${key} has one owner`);
      this.#owners.set(key, owner);
    }
  }

  #forgetGroup(groupId: string): void {
    this.#generations.delete(groupId);
    for (const key of this.#owners.keys())
      if (key.startsWith(`${groupId}/`)) this.#owners.delete(key);
  }

  #eventOf(
    verb: Exclude<Move["verb"], "next" | "advance" | "restart" | "forget">,
    client: Client,
    move: Move,
  ): GroupEvent {
    const { groupId, instanceId, memberId, generation } = client;
    const token = (this.#tokens += 1);
    const times = { nowMs: this.#nowMs, wallMs: this.#nowMs };
    const partitions = [{ topic: "orders", partition: move.ms % 3 }];
    switch (verb) {
      case "join":
        return joinEvent({
          token,
          ...times,
          groupId,
          instanceId,
          memberId,
          uuid: String(token),
          needsMemberId: move.version >= 4,
          maySkipAssignment: move.version >= 9,
        });
      case "sync": {
        // Another distribution each time, and now and then one that forgets a member.
        const count = client.following.length;
        const assignments = client.following.map((to, index) => {
          const first = (index + token) % count;
          return { memberId: to, assignment: Uint8Array.from([first, first + count]) };
        });
        if (move.ms === 900) assignments.pop();
        return {
          kind: verb,
          token,
          ...times,
          groupId,
          memberId: memberId ?? "",
          instanceId,
          generation,
          protocolType: undefined,
          protocol: undefined,
          assignments,
        };
      }
      case "heartbeat":
        return {
          kind: verb,
          token,
          ...times,
          groupId,
          memberId: memberId ?? "",
          instanceId,
          generation,
        };
      case "leave":
        return { kind: verb, token, ...times, groupId, members: [{ memberId, instanceId }] };
      case "commit":
        return {
          kind: verb,
          token,
          ...times,
          groupId,
          memberId,
          generation: memberId === undefined ? undefined : generation,
          instanceId: memberId === undefined ? undefined : instanceId,
          retentionMs: undefined,
          offsets: partitions.map((at) => ({
            ...at,
            offset: token,
            leaderEpoch: undefined,
            metadata: "",
          })),
        };
      case "delete-group":
        return { kind: verb, token, groupId };
      case "delete-offsets":
        return { kind: verb, token, groupId, partitions };
      case "topics-deleted":
        return { kind: verb, topics: ["orders"] };
      case "expire":
        return { kind: verb, wallMs: this.#nowMs };
      default:
        throw new Error(`no such move: ${String(verb satisfies never)}`);
    }
  }
}

function joinEvent(changes: Partial<JoinEvent>): JoinEvent {
  return {
    kind: "join",
    token: 1,
    nowMs: 0,
    wallMs: 0,
    groupId: "g",
    memberId: undefined,
    instanceId: undefined,
    uuid: "1",
    clientId: "c",
    clientHost: "/10.0.0.1",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 15_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array([7]), topics: ["payments"] }],
    needsMemberId: false,
    maySkipAssignment: false,
    ...changes,
  };
}

function commitEvent(token: number, offset: number): GroupEvent {
  return {
    kind: "commit",
    token,
    nowMs: 0,
    wallMs: 0,
    groupId: "g",
    memberId: undefined,
    generation: undefined,
    instanceId: undefined,
    retentionMs: undefined,
    offsets: [{ topic: "t", partition: 0, offset, leaderEpoch: 4, metadata: "m" }],
  };
}

test("whatever happens: one owner of a partition in a generation, one answer for each token, and the log says it all", () => {
  fc.assert(
    fc.property(fc.array(moves, { maxLength: 120, size: "max" }), (list) => {
      const world = new World();
      for (const move of list) {
        world.play(move);
        assert.deepEqual(world.rebuilt().snapshot(0), world.groups.snapshot(0), move.verb);
      }
      world.advance(3_600_000, false);
      assert.deepEqual([...world.waiting.keys()], [], "nobody waits for ever");
      assert.equal(world.groups.nextDeadlineMs, Infinity);
    }),
    { numRuns: 100 },
  );
});

test("well-behaved clients come to a stable group that reads everything", () => {
  const world = new World();
  for (let round = 0; round < 8; round++) {
    for (const client of [0, 1, 2]) {
      world.play({ verb: world.next(client), client, ms: 1, version: 9, fails: false });
    }
    world.advance(1_000, false);
  }
  const described = world.groups.describe("g");
  assert.equal(described?.state, "Stable");
  const read = described.members.flatMap(({ assignment }) => [...assignment]);
  assert.deepEqual(new Set(read), new Set([0, 1, 2, 3, 4, 5]));
  assert.equal(read.length, 6);
});

test("bytes of an event may be reused after the step", () => {
  const groups = new Groups({ initialRebalanceDelayMs: 0 });
  const metadata = new Uint8Array([7]);
  const assignment = new Uint8Array([8]);
  groups.step(joinEvent({ protocols: [{ name: "range", metadata, topics: [] }] }));
  groups.step({
    kind: "sync",
    token: 2,
    nowMs: 0,
    groupId: "g",
    memberId: "c-1",
    instanceId: undefined,
    generation: 1,
    protocolType: undefined,
    protocol: undefined,
    assignments: [{ memberId: "c-1", assignment }],
  });
  metadata.fill(0);
  assignment.fill(0);
  const [member] = groups.describe("g")?.members ?? [];
  assert.deepEqual([[...(member?.metadata ?? [])], [...(member?.assignment ?? [])]], [[7], [8]]);
});

test("a snapshot taken while steps are unsettled is of what was before them", () => {
  const groups = new Groups();
  const first = groups.step(commitEvent(1, 10));
  groups.step(commitEvent(2, 20));
  assert.equal(Groups.restore(groups.snapshot(0)).groups.groupCount, 0);
  groups.settled(first.seq);
  const restored = Groups.restore(groups.snapshot(7));
  assert.equal(restored.offset, 7);
  assert.deepEqual(restored.groups.committed("g", "t", 0), {
    offset: 10,
    leaderEpoch: 4,
    metadata: "m",
    commitMs: 0,
    expireMs: undefined,
  });
  assert.equal(groups.committed("g", "t", 0)?.offset, 20);
});

test("records are replayed before events, not after", () => {
  const groups = new Groups();
  const [record] = groups.step(commitEvent(1, 10)).records;
  assert.ok(record);
  assert.throws(() => groups.replay(record), { name: "InvariantError" });
});

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const groupKey = '{"group":"g","kind":"group","v":1}';
const member = (id: string, more = ""): string =>
  `{"assignment":"","clientHost":"h","clientId":"c",${more}"memberId":"${id}","rebalanceTimeoutMs":1,"sessionTimeoutMs":1,"subscription":""}`;
const group = (
  members: string,
  more = '"leaderId":"a","protocol":"range","protocolType":"consumer",',
): string => `{"generation":1,${more}"members":[${members}],"v":1}`;

test("a right record is replayed", () => {
  const groups = new Groups();
  groups.replay({ key: encode(groupKey), value: encode(group(member("a"))) });
  assert.equal(groups.describe("g")?.state, "Stable");
  groups.replay({ key: encode(groupKey), value: undefined });
  assert.equal(groups.describe("g"), undefined);
});

const damaged: readonly [why: string, key: string, value: string, code: string][] = [
  ["no JSON", "x", group(""), "data_corrupt"],
  ["an unknown kind", '{"group":"g","kind":"lock","v":1}', group(""), "data_corrupt"],
  ["a newer key", '{"group":"g","kind":"group","v":2}', group(""), "format_newer"],
  ["a newer value", groupKey, '{"v":2}', "format_newer"],
  [
    "a surplus member of the key",
    '{"group":"g","kind":"group","x":1,"v":1}',
    group(""),
    "data_corrupt",
  ],
  ["no members", groupKey, '{"generation":1,"v":1}', "data_corrupt"],
  ["a generation below zero", groupKey, '{"generation":-1,"members":[],"v":1}', "data_corrupt"],
  ["two members of one id", groupKey, group(`${member("a")},${member("a")}`), "data_corrupt"],
  [
    "two members of one instance",
    groupKey,
    group(`${member("a", '"instanceId":"i",')},${member("b", '"instanceId":"i",')}`),
    "data_corrupt",
  ],
  ["a leader that is no member", groupKey, group(member("b")), "data_corrupt"],
  ["members without a protocol", groupKey, group(member("a"), '"leaderId":"a",'), "data_corrupt"],
  [
    "bytes that are no base64",
    groupKey,
    group(member("a").replace('"subscription":""', '"subscription":"?"')),
    "data_corrupt",
  ],
  [
    "a partition below zero",
    '{"group":"g","kind":"offset","partition":-1,"topic":"t","v":1}',
    '{"commitMs":1,"metadata":"","offset":1,"v":1}',
    "data_corrupt",
  ],
];

for (const [why, key, value, code] of damaged) {
  test(`a damaged record is refused by name: ${why}`, () => {
    assert.throws(() => new Groups().replay({ key: encode(key), value: encode(value) }), { code });
  });
}

test("the examples of the format's page are what is written", () => {
  const page = readFileSync("docs/formats/groups.md", "utf8");
  const lines = [...page.matchAll(/^\{.*\}$/gm)].map(([line]) => line);
  const [key = "", value = "", offsetKey = "", offsetValue = "", snapshot = ""] = lines;
  const groups = new Groups();
  groups.replay({ key: encode(key), value: encode(value) });
  groups.replay({ key: encode(offsetKey), value: encode(offsetValue) });
  assert.equal(new TextDecoder().decode(groups.snapshot(2)), snapshot);
  assert.equal(lines.length, 5);
});

const hashes: readonly [groupId: string, partitionCount: number, partition: number][] = [
  ["", 50, 0],
  ["a", 50, 47],
  ["Aa", 50, 12],
  ["BB", 50, 12],
  ["hello", 50, 22],
  // The hash is the least 32-bit number, which has no positive counterpart.
  ["polygenelubricants", 50, 0],
];

for (const [groupId, partitionCount, partition] of hashes) {
  test(`group "${groupId}" is in partition ${partition} of ${partitionCount}`, () => {
    assert.equal(groupPartition(groupId, partitionCount), partition);
  });
}

test("the partition of a group follows the definition of the hash, also beyond ASCII", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }),
      fc.integer({ min: 1, max: 1000 }),
      (groupId, count) => {
        let hash = 0n;
        for (let index = 0; index < groupId.length; index++) {
          hash = BigInt.asIntN(32, hash * 31n + BigInt(groupId.charCodeAt(index)));
        }
        const positive = hash === -(2n ** 31n) ? 0n : hash < 0n ? -hash : hash;
        assert.equal(groupPartition(groupId, count), Number(positive % BigInt(count)));
      },
    ),
  );
});
