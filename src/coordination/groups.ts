import { type ErrorCode, InvariantError, invariant } from "../errors/index.ts";
import { decodeJson, encodeJson } from "../metadata/index.ts";
import {
  type Answered,
  type CommitEvent,
  type DeleteGroupEvent,
  type DeleteOffsetsEvent,
  defaultGroupLimits,
  type Effects,
  type EncodedRecord,
  type GroupDescription,
  type GroupEvent,
  type GroupLimits,
  type GroupListing,
  type JoinEvent,
  type LeaveEvent,
  type OffsetToCommit,
  type TopicPartition,
} from "./events.ts";
import { type Fault, unknownMember } from "./faults.ts";
import { Group, type Moment } from "./group.ts";
import type { CommittedOffset } from "./group-offsets.ts";
import {
  decodeRecord,
  encodeRecord,
  type GroupRecord,
  keyText,
  readRecordJson,
  recordJson,
} from "./group-records.ts";
import { type Change, Outbox } from "./outbox.ts";

const snapshotVersion = 1;
const groupIdLengthMax = 1_024;
const instanceIdLengthMax = 249;
/** The protocol type of consumers: the only one whose subscriptions are about topics. */
const consumerType = "consumer";

/** The steps whose records may still fail to reach the log, in their order. */
interface Unsettled {
  readonly seq: number;
  readonly changes: readonly Change[];
}

/**
 * The groups of one coordinator, that is, of one partition of `__consumer_offsets`.
 *
 * The state runs ahead of the log by the steps that are not settled. The caller appends the records
 * of each step, gives its answers when they are durable, and then says {@link Groups.settled}; where
 * records did not reach the log it says {@link Groups.undo}. Reads see what is not settled too, so an
 * answer made of them waits for the same append.
 */
export class Groups {
  readonly #limits: GroupLimits;
  readonly #groups = new Map<string, Group>();
  #unsettled: Unsettled[] = [];
  /** Number of the last step with records. Only grows. */
  #seq = 0;
  /** Never above the earliest deadline of a group. */
  #wakeMs = Infinity;

  constructor(limits: Partial<GroupLimits> = {}) {
    this.#limits = { ...defaultGroupLimits, ...limits };
  }

  /**
   * What {@link Groups.snapshot} saved; `offset` is the first record to replay after it.
   * @throws LogError data_corrupt or format_newer when the bytes are no snapshot of this program.
   */
  static restore(
    snapshot: Uint8Array,
    limits: Partial<GroupLimits> = {},
  ): { readonly groups: Groups; readonly offset: number } {
    const fields = decodeJson(snapshot, "snapshot of groups", snapshotVersion);
    const groups = new Groups(limits);
    const offset = fields.count("offset");
    for (const record of fields.objects("records"))
      groups.#put(readRecordJson(record), new Outbox());
    fields.end();
    return { groups, offset };
  }

  /**
   * Applies one record of the log. Records are replayed in their order before the first event, and
   * the event `loaded` follows the last one.
   * @throws LogError data_corrupt or format_newer when it is no record of this program.
   */
  replay(record: EncodedRecord): void {
    invariant(this.#seq === 0, "records are replayed before the first event");
    this.#put(decodeRecord(record), new Outbox());
  }

  /** What is settled, as canonical JSON. `offset` is that of the first record which is not. */
  snapshot(offset: number): Uint8Array {
    const records = new Map<string, GroupRecord>();
    for (const group of this.#groups.values()) {
      for (const record of recordsOf(group)) records.set(keyText(record), record);
    }
    // From the newest step to the oldest, so that what each key held before all of them remains.
    for (const { changes } of this.#unsettled.toReversed()) {
      for (const { before } of changes.toReversed()) records.set(keyText(before), before);
    }
    const kept = [...records]
      .filter(([, { value }]) => value !== undefined)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([, record]) => recordJson(record));
    return encodeJson({ v: snapshotVersion, offset, records: kept });
  }

  /** One thing that happened. */
  step(event: GroupEvent): Effects {
    const out = new Outbox();
    this.#dispatch(event, out);
    if (out.changes.length > 0) {
      this.#seq += 1;
      this.#unsettled.push({ seq: this.#seq, changes: out.changes });
    }
    return {
      seq: out.changes.length > 0 ? this.#seq : 0,
      records: out.changes.map(({ record }) => encodeRecord(record)),
      answers: out.answers,
    };
  }

  /** The records of all steps up to `seq` are durable. */
  settled(seq: number): void {
    const keptFrom = this.#unsettled.findIndex((step) => step.seq > seq);
    this.#unsettled = keptFrom === -1 ? [] : this.#unsettled.slice(keptFrom);
  }

  /**
   * The records of step `seq` and of all later ones are not in the log: their groups become what
   * they were before. Returns answers for those who wait inside of these groups; whose answer was
   * among the effects of an undone step, the caller refuses itself.
   */
  undo(seq: number, moment: Moment): readonly Answered[] {
    const out = new Outbox();
    const touched = new Set<string>();
    while ((this.#unsettled.at(-1)?.seq ?? -1) >= seq) {
      for (const { before } of this.#unsettled.pop()?.changes.toReversed() ?? []) {
        this.#put(before, out);
        if (before.kind === "group") touched.add(before.groupId);
      }
    }
    for (const groupId of touched) {
      const group = this.#groups.get(groupId);
      if (group === undefined) continue;
      group.revive(moment, out);
      this.#keep(group);
    }
    invariant(out.changes.length === 0, "to undo a step writes nothing");
    return out.answers;
  }

  /** When a tick is due, by the clock of `nowMs`; Infinity when none is. Asked after each step. */
  get nextDeadlineMs(): number {
    return this.#wakeMs;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  list(): GroupListing[] {
    return [...this.#groups.values()].map(({ id, state, protocolType }) => ({
      groupId: id,
      state,
      protocolType,
    }));
  }

  /** Undefined when there is no such group; clients call that state `Dead`. */
  describe(groupId: string): GroupDescription | undefined {
    return this.#groups.get(groupId)?.describe();
  }

  committed(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#groups.get(groupId)?.offsets.get(topic, partition);
  }

  /** All committed offsets of a group; none when there is no such group. */
  *allCommitted(
    groupId: string,
  ): IterableIterator<TopicPartition & { readonly committed: CommittedOffset }> {
    const group = this.#groups.get(groupId);
    if (group !== undefined) yield* group.offsets.entries();
  }

  #dispatch(event: GroupEvent, out: Outbox): void {
    switch (event.kind) {
      case "join":
        return this.#join(event, out);
      case "sync":
      case "heartbeat": {
        const group = this.#groups.get(event.groupId);
        if (group === undefined) {
          const fault = idFault(event.groupId) ?? unknownMember(event.memberId);
          return out.refuse(event.token, fault);
        }
        if (event.kind === "sync") group.sync(event, out);
        else group.heartbeat(event, out);
        return this.#keep(group);
      }
      case "leave":
        return this.#leave(event, out);
      case "commit":
        return this.#commit(event, out);
      case "delete-group":
        return this.#deleteGroup(event, out);
      case "delete-offsets":
        return this.#deleteOffsets(event, out);
      case "topics-deleted":
        for (const group of this.#groups.values()) {
          dropTopics(group, event.topics, out);
          this.#keep(group);
        }
        return;
      case "tick":
        return this.#tick(event, out);
      case "expire":
        return this.#expire(event.wallMs, out);
      case "loaded":
        for (const group of this.#groups.values()) {
          group.revive(event, out);
          this.#keep(group);
        }
        return;
      default:
        throw new InvariantError(`no such event: ${JSON.stringify(event satisfies never)}`);
    }
  }

  #join(event: JoinEvent, out: Outbox): void {
    const fault = this.#joinFault(event);
    if (fault !== undefined) return out.refuse(event.token, fault);
    const group = this.#groups.get(event.groupId) ?? new Group(event.groupId, this.#limits);
    group.join(event, out);
    this.#keep(group);
  }

  #joinFault({ groupId, memberId, instanceId, sessionTimeoutMs }: JoinEvent): Fault | undefined {
    const { sessionTimeoutMsMin, sessionTimeoutMsMax } = this.#limits;
    if (sessionTimeoutMs < sessionTimeoutMsMin || sessionTimeoutMs > sessionTimeoutMsMax) {
      return {
        code: "session_timeout_invalid",
        message: `a session timeout of ${sessionTimeoutMs} ms: expected ${sessionTimeoutMsMin} to ${sessionTimeoutMsMax}`,
      };
    }
    if ((instanceId?.length ?? 1) < 1 || (instanceId?.length ?? 1) > instanceIdLengthMax) {
      return {
        code: "invalid_argument",
        message: `an instance id has 1 to ${instanceIdLengthMax} characters`,
      };
    }
    const isThere = this.#groups.has(groupId);
    if (!isThere && memberId !== undefined) return idFault(groupId) ?? unknownMember(memberId);
    return this.#newGroupFault(groupId);
  }

  #newGroupFault(groupId: string): Fault | undefined {
    const fault = idFault(groupId);
    if (fault !== undefined) return fault;
    if (this.#groups.has(groupId) || this.#groups.size < this.#limits.groupsMax) return undefined;
    return {
      code: "limit_exceeded",
      message: `${this.#limits.groupsMax} groups are there, more are not allowed`,
    };
  }

  #leave(event: LeaveEvent, out: Outbox): void {
    const group = this.#groups.get(event.groupId);
    if (group === undefined) {
      const fault = idFault(event.groupId);
      if (fault !== undefined) return out.refuse(event.token, fault);
      const members = event.members.map((name) => ({ ...name, code: "member_unknown" as const }));
      return out.answer(event.token, { kind: "left", members });
    }
    group.leave(event, out);
    this.#keep(group);
  }

  #commit(event: CommitEvent, out: Outbox): void {
    const { groupId, memberId, generation } = event;
    const isNew = !this.#groups.has(groupId);
    const group = this.#groups.get(groupId) ?? new Group(groupId, this.#limits);
    const fault = this.#newGroupFault(groupId) ?? group.commitFault(event, generation);
    if (fault !== undefined) {
      // Without a group there is no generation that could be right.
      const isLate = isNew && fault.code === "member_unknown";
      return out.refuse(event.token, isLate ? { ...fault, code: "generation_illegal" } : fault);
    }
    if (memberId !== undefined) group.touch(memberId, event.nowMs);
    const partitions = event.offsets.map((asked) => ({
      topic: asked.topic,
      partition: asked.partition,
      code: this.#commitOne(group, asked, event, out),
    }));
    this.#keep(group);
    out.answer(event.token, { kind: "committed", partitions });
  }

  #commitOne(
    group: Group,
    asked: OffsetToCommit,
    { wallMs, retentionMs }: CommitEvent,
    out: Outbox,
  ): ErrorCode | undefined {
    const { topic, partition, offset, leaderEpoch, metadata } = asked;
    if (metadata.length > this.#limits.offsetMetadataLengthMax) return "offset_metadata_too_large";
    const before = group.offsets.get(topic, partition);
    const isFull = group.offsets.count >= this.#limits.offsetsPerGroupMax;
    if (before === undefined && isFull) return "limit_exceeded";
    const expireMs = retentionMs === undefined ? undefined : wallMs + retentionMs;
    const value = { offset, leaderEpoch, metadata, commitMs: wallMs, expireMs };
    group.offsets.set(topic, partition, value);
    out.storeOffset({ kind: "offset", groupId: group.id, topic, partition, value }, before);
    return undefined;
  }

  #deleteGroup({ token, groupId }: DeleteGroupEvent, out: Outbox): void {
    const group = this.#groups.get(groupId);
    if (group === undefined) return out.refuse(token, noSuchGroup(groupId));
    if (group.state !== "Empty") {
      const message = `group "${groupId}" has members; it can be deleted when all have left`;
      return out.refuse(token, { code: "group_not_empty", message });
    }
    this.#bury(group, out);
    out.answer(token, { kind: "group-deleted" });
  }

  #deleteOffsets({ token, groupId, partitions }: DeleteOffsetsEvent, out: Outbox): void {
    const group = this.#groups.get(groupId);
    if (group === undefined) return out.refuse(token, noSuchGroup(groupId));
    const isEmpty = group.state === "Empty";
    if (!isEmpty && group.protocolType !== consumerType) {
      const message = `group "${groupId}" has members that are no consumers, so what they read is not known`;
      return out.refuse(token, { code: "group_not_empty", message });
    }
    const deleted = partitions.map(({ topic, partition }) => {
      const isSubscribed = !isEmpty && group.isSubscribed(topic);
      if (!isSubscribed) dropOffset(group, topic, partition, out);
      return { topic, partition, isSubscribed };
    });
    this.#keep(group);
    out.answer(token, { kind: "offsets-deleted", partitions: deleted });
  }

  #tick(moment: Moment, out: Outbox): void {
    if (moment.nowMs < this.#wakeMs) return;
    this.#wakeMs = Infinity;
    for (const group of this.#groups.values()) {
      group.tick(moment, out);
      this.#keep(group);
    }
  }

  #expire(wallMs: number, out: Outbox): void {
    for (const group of this.#groups.values()) {
      for (const { topic, partition, committed } of group.offsets.entries()) {
        if (this.#isExpired(group, topic, committed, wallMs)) {
          dropOffset(group, topic, partition, out);
        }
      }
      if (group.isAbandoned) this.#bury(group, out);
    }
  }

  /**
   * Offsets of a group with members stay, but for topics that its consumers no longer read. Those of
   * an empty group end some time after its last member left, or after the last commit where it never
   * had any.
   */
  #isExpired(group: Group, topic: string, offset: CommittedOffset, wallMs: number): boolean {
    const isEmpty = group.state === "Empty";
    const isLeftBehind =
      group.state === "Stable" && group.protocolType === consumerType && !group.isSubscribed(topic);
    if (!isEmpty && !isLeftBehind) return false;
    if (offset.expireMs !== undefined) return wallMs >= offset.expireMs;
    const sinceMs = isEmpty ? (group.emptySinceMs ?? offset.commitMs) : offset.commitMs;
    return wallMs - sinceMs >= this.#limits.offsetsRetentionMs;
  }

  /** The group and all of its offsets are gone for good. */
  #bury(group: Group, out: Outbox): void {
    for (const { topic, partition } of group.offsets.entries()) {
      dropOffset(group, topic, partition, out);
    }
    if (group.stored !== undefined) {
      out.storeGroup({ kind: "group", groupId: group.id, value: undefined }, group.stored);
    }
    this.#groups.delete(group.id);
  }

  /** Sets what one key of the log holds. */
  #put(record: GroupRecord, out: Outbox): void {
    const group = this.#groups.get(record.groupId) ?? new Group(record.groupId, this.#limits);
    if (record.kind === "group") group.restore(record.value, out);
    else if (record.value === undefined) group.offsets.delete(record.topic, record.partition);
    else group.offsets.set(record.topic, record.partition, record.value);
    this.#keep(group);
  }

  /** Files a group after it changed: one of which nothing is known is forgotten. */
  #keep(group: Group): void {
    this.#wakeMs = Math.min(this.#wakeMs, group.wakeMs);
    const isUnknown = group.isAbandoned && group.stored === undefined;
    if (isUnknown) this.#groups.delete(group.id);
    else this.#groups.set(group.id, group);
  }
}

function recordsOf(group: Group): GroupRecord[] {
  const records: GroupRecord[] = [{ kind: "group", groupId: group.id, value: group.stored }];
  for (const { topic, partition, committed } of group.offsets.entries()) {
    records.push({ kind: "offset", groupId: group.id, topic, partition, value: committed });
  }
  return records;
}

function dropTopics(group: Group, topics: readonly string[], out: Outbox): void {
  const gone = topics.filter((topic) => group.offsets.hasTopic(topic));
  if (gone.length === 0) return;
  for (const { topic, partition } of group.offsets.entries()) {
    if (gone.includes(topic)) dropOffset(group, topic, partition, out);
  }
}

function dropOffset(group: Group, topic: string, partition: number, out: Outbox): void {
  const before = group.offsets.get(topic, partition);
  if (before === undefined) return;
  group.offsets.delete(topic, partition);
  out.storeOffset(
    { kind: "offset", groupId: group.id, topic, partition, value: undefined },
    before,
  );
}

function idFault(groupId: string): Fault | undefined {
  if (groupId !== "" && groupId.length <= groupIdLengthMax) return undefined;
  return {
    code: "group_id_invalid",
    message: `a group id of ${groupId.length} characters: expected 1 to ${groupIdLengthMax}`,
  };
}

function noSuchGroup(groupId: string): Fault {
  return idFault(groupId) ?? { code: "group_not_found", message: `no group is named "${groupId}"` };
}
