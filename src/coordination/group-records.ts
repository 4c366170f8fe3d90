import { decodeJson, encodeJson, type Fields, type Json } from "../metadata/index.ts";
import type { EncodedRecord } from "./events.ts";
import type { CommittedOffset } from "./group-offsets.ts";

/** What a coordinator keeps in its log, by key; the newest value of a key holds. Format: docs/formats/groups.md. */
export type GroupRecord = OffsetRecord | GroupStateRecord;

export interface OffsetRecord {
  readonly kind: "offset";
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  /** Undefined is a tombstone. */
  readonly value: CommittedOffset | undefined;
}

export interface GroupStateRecord {
  readonly kind: "group";
  readonly groupId: string;
  readonly value: StoredGroup | undefined;
}

/** A group after a rebalance: empty or stable, never in between. */
export interface StoredGroup {
  readonly generation: number;
  readonly protocolType: string | undefined;
  readonly protocol: string | undefined;
  readonly leaderId: string | undefined;
  /** Wall time since when the group has no members; undefined while it has some. */
  readonly emptySinceMs: number | undefined;
  readonly members: readonly StoredMember[];
}

export interface StoredMember {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly subscription: Uint8Array;
  /** Topics of the subscription, where it could be read. */
  readonly topics: readonly string[] | undefined;
  readonly assignment: Uint8Array;
}

/** The version that this program writes, and the newest that it reads. */
const recordVersion = 1;

export function encodeRecord(record: GroupRecord): EncodedRecord {
  return {
    key: encodeJson({ v: recordVersion, ...keyJson(record) }),
    value:
      record.value === undefined
        ? undefined
        : encodeJson({ v: recordVersion, ...valueJson(record) }),
  };
}

/** @throws LogError data_corrupt when the bytes are no such record, format_newer when a newer program wrote them. */
export function decodeRecord({ key, value }: EncodedRecord): GroupRecord {
  const keyFields = decodeJson(key, "key of a group record", recordVersion);
  const valueFields =
    value === undefined ? undefined : decodeJson(value, "value of a group record", recordVersion);
  return readRecord(keyFields, valueFields);
}

/** A record inside a snapshot, which states its version once for all. */
export function recordJson(record: GroupRecord): Json {
  return { key: keyJson(record), value: valueJson(record) };
}

export function readRecordJson(fields: Fields): GroupRecord {
  const record = readRecord(fields.object("key"), fields.object("value"));
  fields.end();
  return record;
}

/** Equal for records of one key. */
export function keyText(record: GroupRecord): string {
  return record.kind === "group"
    ? JSON.stringify([record.groupId])
    : JSON.stringify([record.groupId, record.topic, record.partition]);
}

type JsonObject = Readonly<Record<string, Json | undefined>>;

function keyJson(record: GroupRecord): JsonObject {
  return record.kind === "group"
    ? { kind: "group", group: record.groupId }
    : {
        kind: "offset",
        group: record.groupId,
        topic: record.topic,
        partition: record.partition,
      };
}

function valueJson(record: GroupRecord): JsonObject {
  if (record.kind === "offset") return { ...record.value };
  const { value } = record;
  return { ...value, members: value?.members.map(memberJson) };
}

function memberJson(member: StoredMember): Json {
  return {
    ...member,
    subscription: Buffer.from(member.subscription).toString("base64"),
    assignment: Buffer.from(member.assignment).toString("base64"),
  };
}

function readRecord(key: Fields, value: Fields | undefined): GroupRecord {
  const kind = key.string("kind");
  const groupId = key.string("group");
  let record: GroupRecord;
  switch (kind) {
    case "group":
      record = { kind, groupId, value: value && readGroup(value) };
      break;
    case "offset":
      record = {
        kind,
        groupId,
        topic: key.string("topic"),
        partition: key.count("partition"),
        value: value && readOffset(value),
      };
      break;
    default:
      throw key.damaged(`"${kind}" is no kind of record`);
  }
  key.end();
  value?.end();
  return record;
}

function readOffset(fields: Fields): CommittedOffset {
  return {
    offset: fields.integer("offset"),
    leaderEpoch: optionalInteger(fields, "leaderEpoch"),
    metadata: fields.string("metadata"),
    commitMs: fields.integer("commitMs"),
    expireMs: optionalInteger(fields, "expireMs"),
  };
}

function readGroup(fields: Fields): StoredGroup {
  const group: StoredGroup = {
    generation: fields.count("generation"),
    protocolType: optionalString(fields, "protocolType"),
    protocol: optionalString(fields, "protocol"),
    leaderId: optionalString(fields, "leaderId"),
    emptySinceMs: optionalInteger(fields, "emptySinceMs"),
    members: fields.objects("members").map(readMember),
  };
  const memberIds = new Set(group.members.map(({ memberId }) => memberId));
  const instanceIds = group.members.flatMap(({ instanceId }) => instanceId ?? []);
  if (memberIds.size < group.members.length || new Set(instanceIds).size < instanceIds.length) {
    throw fields.damaged("two members have one id");
  }
  if (group.members.length === 0) return group;
  if (group.protocolType === undefined || group.protocol === undefined) {
    throw fields.damaged("members without a protocol");
  }
  if (group.leaderId === undefined || !memberIds.has(group.leaderId)) {
    throw fields.damaged("the leader is no member");
  }
  return group;
}

function readMember(fields: Fields): StoredMember {
  const member: StoredMember = {
    memberId: fields.string("memberId"),
    instanceId: optionalString(fields, "instanceId"),
    clientId: fields.string("clientId"),
    clientHost: fields.string("clientHost"),
    sessionTimeoutMs: fields.count("sessionTimeoutMs"),
    rebalanceTimeoutMs: fields.count("rebalanceTimeoutMs"),
    subscription: fields.bytes("subscription"),
    topics: fields.has("topics") ? fields.strings("topics") : undefined,
    assignment: fields.bytes("assignment"),
  };
  fields.end();
  return member;
}

function optionalString(fields: Fields, name: string): string | undefined {
  return fields.has(name) ? fields.string(name) : undefined;
}

function optionalInteger(fields: Fields, name: string): number | undefined {
  return fields.has(name) ? fields.integer(name) : undefined;
}
