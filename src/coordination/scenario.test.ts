// Runs src/coordination/scenarios/*.scenario: commands, a line of dashes, what they must print.
// UPDATE=1 rewrites what is printed; the difference is then read like code.
import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import {
  type Answer,
  type Effects,
  type EncodedRecord,
  type GroupEvent,
  type GroupLimits,
  Groups,
  type TopicPartition,
} from "./index.ts";

const paths = globSync("src/coordination/scenarios/*.scenario").toSorted();

test("there are scenarios", () => {
  assert.ok(paths.length > 5);
});

for (const path of paths) {
  test(path.replace(/^.*\//, ""), () => {
    const text = readFileSync(path, "utf8");
    const played = play(text);
    if (process.env["UPDATE"] === "1") writeFileSync(path, played);
    else assert.equal(played, text);
  });
}

/** The same file with what was printed now. */
function play(text: string): string {
  const world = new World();
  const blocks = text.trimEnd().split(/\n\n+/);
  return `${blocks.map((block) => playBlock(world, block)).join("\n\n")}\n`;
}

function playBlock(world: World, block: string): string {
  const [input = ""] = block.split(/^----$/m);
  const lines = input.trimEnd().split("\n");
  if (lines.every((line) => line.startsWith("#"))) return lines.join("\n");
  const printed = lines.filter((line) => !line.startsWith("#")).flatMap((line) => world.run(line));
  return [...lines, "----", ...(printed.length > 0 ? printed : ["nothing"])].join("\n");
}

/** What a client program remembers between its requests. */
interface Client {
  memberId: string | undefined;
  generation: number | undefined;
}

class World {
  #limits: Partial<GroupLimits> = { initialRebalanceDelayMs: 0 };
  #groups = new Groups(this.#limits);
  readonly #log: EncodedRecord[] = [];
  #nowMs = 0;
  #tokens = 0;
  #uuids = 0;
  readonly #waiting = new Map<number, { readonly label: string; readonly client: Client }>();
  readonly #clients = new Map<string, Client>();
  #undoFrom: { readonly seq: number; readonly logLength: number } | undefined;

  run(line: string): string[] {
    const command = new CommandLine(line);
    const lines = this.#obey(command);
    // The last step is not settled: a snapshot is of what was before it.
    const settled = this.#rebuilt(this.#log.slice(0, this.#undoFrom?.logLength));
    assert.deepEqual(settled.snapshot(0), this.#groups.snapshot(0), `snapshot after: ${line}`);
    return lines;
  }

  #obey(command: CommandLine): string[] {
    const { verb, names } = command;
    const groupId = command.option("group", "g");
    const name = names[0] ?? "";
    const client = this.#client(name);
    const memberId = command.text("id") ?? client.memberId;
    const instanceId = command.text("instance");
    const generation = command.number("generation") ?? client.generation;
    const times = { nowMs: this.#nowMs, wallMs: this.#nowMs };
    switch (verb) {
      case "limits":
        this.#limits = { ...this.#limits, ...command.numbers() };
        this.#groups = this.#rebuilt(this.#log);
        this.#undoFrom = undefined;
        return this.#step({ kind: "loaded", ...times });
      case "join": {
        const topics = command.list("topics", "orders");
        const version = command.number("version") ?? 9;
        return this.#ask(command, client, (token) => ({
          kind: "join",
          token,
          ...times,
          groupId,
          memberId: command.text("id") === "none" ? undefined : memberId,
          instanceId,
          uuid: String((this.#uuids += 1)),
          clientId: name,
          clientHost: "/10.0.0.1",
          sessionTimeoutMs: command.number("session") ?? 45_000,
          rebalanceTimeoutMs: command.number("rebalance") ?? 60_000,
          protocolType: command.option("type", "consumer"),
          protocols: command.list("protocols", "range").map((protocol) => ({
            name: protocol,
            metadata: bytesOf(topics.join("+")),
            topics: topics.includes("unreadable") ? undefined : topics,
          })),
          needsMemberId: version >= 4,
          maySkipAssignment: version >= 9,
        }));
      }
      case "sync":
        return this.#ask(command, client, (token) => ({
          kind: "sync",
          token,
          nowMs: this.#nowMs,
          groupId,
          memberId: memberId ?? "",
          instanceId,
          generation: generation ?? -1,
          protocolType: command.text("type"),
          protocol: command.text("protocol"),
          assignments: command.list("assign", "").map((part) => {
            const [to = "", partitions = ""] = part.split(":");
            const target = this.#client(to).memberId ?? to;
            return { memberId: target, assignment: bytesOf(partitions) };
          }),
        }));
      case "heartbeat":
        return this.#ask(command, client, (token) => ({
          kind: "heartbeat",
          token,
          nowMs: this.#nowMs,
          groupId,
          memberId: memberId ?? "",
          instanceId,
          generation: generation ?? -1,
        }));
      case "leave":
        return this.#ask(command, client, (token) => ({
          kind: "leave",
          token,
          ...times,
          groupId,
          members:
            instanceId !== undefined && name === "admin"
              ? [{ memberId: undefined, instanceId }]
              : names.map((each) => ({
                  memberId: this.#client(each).memberId ?? each,
                  instanceId,
                })),
        }));
      case "commit":
        return this.#ask(command, client, (token) => ({
          kind: "commit",
          token,
          ...times,
          groupId,
          memberId: name === "admin" ? undefined : memberId,
          generation: name === "admin" ? undefined : generation,
          instanceId,
          retentionMs: command.number("retention"),
          offsets: command.partitions().map((at) => ({
            ...at,
            leaderEpoch: command.number("epoch"),
            metadata: "m".repeat(command.number("metadata") ?? 0),
          })),
        }));
      case "delete-group":
        return this.#ask(command, client, (token) => ({ kind: "delete-group", token, groupId }));
      case "delete-offsets":
        return this.#ask(command, client, (token) => ({
          kind: "delete-offsets",
          token,
          groupId,
          partitions: command.partitions(),
        }));
      case "topics-deleted":
        return this.#step({ kind: "topics-deleted", topics: names });
      case "expire":
        return this.#step({ kind: "expire", wallMs: this.#nowMs });
      case "advance":
        return this.#advance(this.#nowMs + (command.number("by") ?? 0));
      case "undo":
        return this.#undo();
      case "restart":
        this.#groups = this.#rebuilt(this.#log);
        this.#undoFrom = undefined;
        this.#waiting.clear();
        return this.#step({ kind: "loaded", ...times });
      case "show":
        return this.#show(groupId);
      default:
        throw new Error(`no such command: ${verb}`);
    }
  }

  /** Lets time pass, with a tick whenever one is due. */
  #advance(untilMs: number): string[] {
    const printed: string[] = [];
    while (this.#groups.nextDeadlineMs <= untilMs) {
      this.#nowMs = Math.max(this.#nowMs, this.#groups.nextDeadlineMs);
      const lines = this.#step({ kind: "tick", nowMs: this.#nowMs, wallMs: this.#nowMs });
      if (lines.length > 0) printed.push(`at ${this.#nowMs / 1000}s`, ...lines);
    }
    this.#nowMs = untilMs;
    return printed;
  }

  #ask(command: CommandLine, client: Client, make: (token: number) => GroupEvent): string[] {
    const token = (this.#tokens += 1);
    this.#waiting.set(token, { label: `${command.names[0] ?? ""} ${command.verb}`.trim(), client });
    const lines = this.#step(make(token));
    return this.#waiting.has(token)
      ? [...lines, `${this.#waiting.get(token)?.label}: waits`]
      : lines;
  }

  #step(event: GroupEvent): string[] {
    const statesBefore = this.#states();
    const logLength = this.#log.length;
    const effects = this.#groups.step(event);
    this.#log.push(...effects.records);
    if (effects.seq > 0) {
      this.#groups.settled(effects.seq - 1);
      this.#undoFrom = { seq: effects.seq, logLength };
    }
    return [
      ...effects.records.map(printRecord),
      ...this.#print(effects.answers),
      ...this.#changes(statesBefore),
    ];
  }

  #undo(): string[] {
    assert.ok(this.#undoFrom, "a step with records came before");
    const statesBefore = this.#states();
    const answers = this.#groups.undo(this.#undoFrom.seq, {
      nowMs: this.#nowMs,
      wallMs: this.#nowMs,
    });
    this.#log.length = this.#undoFrom.logLength;
    this.#undoFrom = undefined;
    return [...this.#print(answers), ...this.#changes(statesBefore)];
  }

  #print(answers: Effects["answers"]): string[] {
    return answers.map(({ token, answer }) => {
      const asked = this.#waiting.get(token);
      assert.ok(asked, `token ${token} is answered once`);
      this.#waiting.delete(token);
      remember(asked.client, answer);
      return `${asked.label}: ${printAnswer(answer)}`;
    });
  }

  #states(): Map<string, string> {
    return new Map(
      this.#groups.list().map(({ groupId }) => {
        const described = this.#groups.describe(groupId);
        return [
          groupId,
          `${described?.state} generation ${described?.generation} members ${described?.members.length}`,
        ];
      }),
    );
  }

  #changes(before: ReadonlyMap<string, string>): string[] {
    const after = this.#states();
    const groupIds = [...new Set([...before.keys(), ...after.keys()])];
    return groupIds
      .filter((groupId) => before.get(groupId) !== after.get(groupId))
      .map((groupId) => `group ${groupId}: ${after.get(groupId) ?? "Dead"}`);
  }

  #show(groupId: string): string[] {
    const described = this.#groups.describe(groupId);
    if (described === undefined) return [`group ${groupId}: Dead`];
    const { state, protocolType = "none", protocol = "none", generation, members } = described;
    return [
      `group ${groupId}: ${state} generation ${generation} type ${protocolType} protocol ${protocol}`,
      ...members.map(({ memberId, instanceId, metadata, assignment }) =>
        [
          `  ${memberId}`,
          instanceId && `instance ${instanceId}`,
          `metadata "${textOf(metadata)}" assignment "${textOf(assignment)}"`,
        ]
          .filter((part) => part !== undefined)
          .join(" "),
      ),
      ...[...this.#groups.allCommitted(groupId)].map(
        ({ topic, partition, committed }) => `  offset ${topic}-${partition} = ${committed.offset}`,
      ),
    ];
  }

  /** What a coordinator knows that starts now: half of it from a snapshot. */
  #rebuilt(log: readonly EncodedRecord[]): Groups {
    const half = Math.floor(log.length / 2);
    const first = new Groups(this.#limits);
    for (const record of log.slice(0, half)) first.replay(record);
    const { groups, offset } = Groups.restore(first.snapshot(half), this.#limits);
    for (const record of log.slice(offset)) groups.replay(record);
    return groups;
  }

  #client(name: string): Client {
    const client = this.#clients.get(name) ?? { memberId: undefined, generation: undefined };
    this.#clients.set(name, client);
    return client;
  }
}

/** `verb name... key=value...` */
class CommandLine {
  readonly verb: string;
  readonly names: readonly string[];
  readonly #options: ReadonlyMap<string, string>;

  constructor(line: string) {
    const [verb = "", ...words] = line.split(" ");
    this.verb = verb;
    this.names = words.filter((word) => !word.includes("="));
    this.#options = new Map(
      words
        .filter((word) => word.includes("="))
        .map((word) => [word.split("=")[0] ?? "", word.split("=")[1] ?? ""]),
    );
  }

  text(name: string): string | undefined {
    return this.#options.get(name);
  }

  option(name: string, otherwise: string): string {
    return this.#options.get(name) ?? otherwise;
  }

  list(name: string, otherwise: string): string[] {
    return this.option(name, otherwise)
      .split(",")
      .filter((part) => part !== "");
  }

  /** A number, or a time with its unit. */
  number(name: string): number | undefined {
    const text = this.#options.get(name);
    return text === undefined ? undefined : parseNumber(text);
  }

  numbers(): Record<string, number> {
    return Object.fromEntries([...this.#options].map(([name, text]) => [name, parseNumber(text)]));
  }

  /** `orders-0=5` */
  partitions(): (TopicPartition & { readonly offset: number })[] {
    const given = [...this.#options, ...this.names.map((name): [string, string] => [name, "0"])];
    return given.flatMap(([at, offset]) => {
      const [, topic = "", partition = ""] = /^(.+)-(\d+)$/.exec(at) ?? [];
      return topic === "" ? [] : [{ topic, partition: Number(partition), offset: Number(offset) }];
    });
  }
}

function parseNumber(text: string): number {
  const [, digits = "", unit = ""] = /^(-?\d+)([a-z]*)$/.exec(text) ?? [];
  const factor = { "": 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
  assert.ok(digits !== "" && factor !== undefined, `"${text}" is a number`);
  return Number(digits) * factor;
}

function remember(client: Client, answer: Answer): void {
  if (answer.kind === "joined") {
    client.memberId = answer.memberId;
    client.generation = answer.generation;
  }
  if (answer.kind === "refused" && answer.memberId !== undefined) client.memberId = answer.memberId;
}

function printAnswer(answer: Answer): string {
  switch (answer.kind) {
    case "joined": {
      const { memberId, generation, protocol, leaderId, members, skipAssignment } = answer;
      const list = members.map((member) => `${member.memberId}(${textOf(member.metadata)})`);
      const role = memberId === leaderId ? "leads" : `follows ${leaderId}`;
      const tail = members.length > 0 ? ` ${list.join(" ")}` : "";
      return `${memberId} ${role} generation ${generation} ${protocol}${tail}${skipAssignment ? " skips assignment" : ""}`;
    }
    case "synced":
      return `assigned "${textOf(answer.assignment)}"`;
    case "alive":
      return "alive";
    case "left":
      return answer.members
        .map(
          ({ memberId, instanceId, code }) =>
            `${memberId ?? instanceId ?? "nobody"} ${code ?? "left"}`,
        )
        .join(", ");
    case "committed":
      return answer.partitions
        .map(({ topic, partition, code }) => `${topic}-${partition} ${code ?? "ok"}`)
        .join(", ");
    case "group-deleted":
      return "deleted";
    case "offsets-deleted":
      return answer.partitions
        .map(
          ({ topic, partition, isSubscribed }) =>
            `${topic}-${partition} ${isSubscribed ? "subscribed" : "ok"}`,
        )
        .join(", ");
    case "refused":
      return `${answer.code}${answer.memberId === undefined ? "" : ` ${answer.memberId}`}`;
    default:
      throw new Error(`no such answer: ${JSON.stringify(answer satisfies never)}`);
  }
}

function printRecord({ key, value }: EncodedRecord): string {
  return `log ${readable(textOf(key))} ${value === undefined ? "tombstone" : readable(textOf(value))}`;
}

/** Without the version, which a test of the format sees, and the bytes as text. */
function readable(json: string): string {
  return json
    .replace(/,?"v":1/, "")
    .replaceAll(
      /"(subscription|assignment)":"([^"]*)"/g,
      (_, name, bytes) => `"${name}":"${Buffer.from(bytes, "base64").toString()}"`,
    )
    .replaceAll(/"(clientHost|clientId|sessionTimeoutMs|rebalanceTimeoutMs)":("[^"]*"|\d+),?/g, "")
    .replaceAll('"', "");
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
