import { type ErrorCode, invariant } from "../errors/index.ts";
import { type Admission, admissionFault, hasRoom } from "./admission.ts";
import type {
  GroupDescription,
  GroupLimits,
  GroupState,
  HeartbeatEvent,
  JoinedMember,
  JoinEvent,
  LeaveEvent,
  MemberName,
  SyncEvent,
} from "./events.ts";
import { type Fault, fencedBy, rebalancing, superseded, undone, unknownMember } from "./faults.ts";
import { GroupOffsets } from "./group-offsets.ts";
import type { StoredGroup } from "./group-records.ts";
import {
  dismiss,
  hasProtocols,
  hasTopicsOf,
  type Member,
  memberOf,
  Members,
  newMemberId,
  restoredMember,
  updateMember,
} from "./members.ts";
import type { Outbox } from "./outbox.ts";

/** A member that never was in a generation may wait this long for one; its client has no session yet that could end. */
const newMemberWaitMs = 300_000;
/** Least time between two looks at a rebalance that nobody has joined. */
const unjoinedWaitMsMin = 1_000;

const nothing = new Uint8Array(0);

export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** The wait for members to join, while the group prepares a rebalance. */
interface JoinPhase {
  deadlineMs: number;
  /** Time by which the first rebalance of an empty group may still be put off; undefined in all others. */
  delayLeftMs: number | undefined;
  /** Whether somebody joined since the deadline was set. */
  hasNewMember: boolean;
}

/**
 * One group of the classic protocol: its members agree on a generation, a protocol and a leader, and
 * the leader on who reads what.
 *
 *   Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance
 *   CompletingRebalance --leader syncs--> Stable
 *   CompletingRebalance, Stable --join, leave, death--> PreparingRebalance --nobody left--> Empty
 *
 * The group reads no clock and waits for nobody: every method is one event, and what follows from it
 * goes to the outbox.
 */
export class Group {
  readonly id: string;
  readonly offsets = new GroupOffsets();
  readonly #limits: GroupLimits;
  readonly #members = new Members();
  /** Ids that were given out and have not joined yet, and until when they may. */
  readonly #pending = new Map<string, number>();
  #state: GroupState = "Empty";
  /** Grows by one with each rebalance that ends. Zero until the first one did. */
  #generation = 0;
  /** Set by the first member for as long as there are members, and kept after; undefined in a group that only keeps offsets. */
  #protocolType: string | undefined;
  /** Set in CompletingRebalance and Stable. */
  #protocol: string | undefined;
  #emptySinceMs: number | undefined;
  /** Set in PreparingRebalance only. */
  #joinPhase: JoinPhase | undefined;
  /** When members that did not ask for their assignment are taken for dead; undefined when all did. */
  #syncDeadlineMs: number | undefined;
  /** The newest value of this group's record. */
  #stored: StoredGroup | undefined;
  /** Never above the earliest deadline. Lies below it after a deadline moved away: then a tick does nothing. */
  #wakeMs = Infinity;

  constructor(id: string, limits: GroupLimits) {
    this.id = id;
    this.#limits = limits;
  }

  get state(): GroupState {
    return this.#state;
  }

  get protocolType(): string | undefined {
    return this.#protocolType;
  }

  get emptySinceMs(): number | undefined {
    return this.#emptySinceMs;
  }

  get stored(): StoredGroup | undefined {
    return this.#stored;
  }

  get wakeMs(): number {
    return this.#wakeMs;
  }

  /** Whether nobody is in the group, on the way into it, or has left an offset. */
  get isAbandoned(): boolean {
    return this.#state === "Empty" && this.#pending.size === 0 && this.offsets.count === 0;
  }

  join(event: JoinEvent, out: Outbox): void {
    const known = this.#named(event);
    const admission: Admission = {
      groupId: this.id,
      limits: this.#limits,
      state: this.#state,
      members: this.#members,
      pendingCount: this.#pending.size,
      protocolType: this.#protocolType,
    };
    if (!hasRoom(admission, event, known)) return this.#turnAway(event, known, out);
    const fault = admissionFault(admission, event, known);
    if (fault !== undefined) return out.refuse(event.token, fault);
    const { memberId, instanceId } = event;
    if (memberId !== undefined) return this.#joinKnown(memberId, event, out);
    const newId = newMemberId(event);
    if (known !== undefined) return this.#replace(known, newId, event, out);
    if (instanceId === undefined && event.needsMemberId) return this.#promise(newId, event, out);
    this.#add(newId, event, out);
  }

  sync(event: SyncEvent, out: Outbox): void {
    const member = this.#members.get(event.memberId);
    const fault =
      this.#members.fault(event.memberId, event.instanceId) ??
      this.#generationFault(event.generation) ??
      this.#protocolFault(event);
    if (fault !== undefined || member === undefined) {
      return out.refuse(event.token, fault ?? unknownMember(event.memberId));
    }
    if (this.#state === "PreparingRebalance") return out.refuse(event.token, rebalancing);
    if (this.#state === "Stable") {
      this.#setDeadline(member, event.nowMs);
      member.needsSync = false;
      if (!this.#members.needSync()) this.#syncDeadlineMs = undefined;
      return this.#answerSync(member, event.token, out);
    }
    const bytes = event.assignments.reduce((sum, { assignment }) => sum + assignment.length, 0);
    if (this.#members.bytes() + bytes > this.#limits.groupBytesMax) {
      return out.refuse(event.token, {
        code: "record_too_large",
        message: `group "${this.id}": ${bytes} bytes of assignments, with the subscriptions more than ${this.#limits.groupBytesMax}`,
      });
    }
    if (member.syncToken !== undefined) out.refuse(member.syncToken, superseded);
    member.syncToken = event.token;
    member.needsSync = false;
    member.deadlineMs = undefined;
    if (event.memberId === this.#members.leaderId) this.#stabilize(event, out);
  }

  heartbeat(event: HeartbeatEvent, out: Outbox): void {
    const member = this.#members.get(event.memberId);
    const fault =
      this.#members.fault(event.memberId, event.instanceId) ??
      this.#generationFault(event.generation);
    if (fault !== undefined || member === undefined) {
      return out.refuse(event.token, fault ?? unknownMember(event.memberId));
    }
    this.touch(member.memberId, event.nowMs);
    if (this.#state === "PreparingRebalance") return out.refuse(event.token, rebalancing);
    out.answer(event.token, { kind: "alive" });
  }

  leave(event: LeaveEvent, out: Outbox): void {
    const sizeBefore = this.#members.size;
    const members = event.members.map((name) => ({ ...name, code: this.#leave(name, out) }));
    this.#afterRemoval(event, sizeBefore, out);
    out.answer(event.token, { kind: "left", members });
  }

  #leave(name: MemberName, out: Outbox): ErrorCode | undefined {
    if (name.memberId !== undefined && this.#pending.delete(name.memberId)) return undefined;
    const member = this.#named(name);
    const fault = this.#members.fault(name.memberId ?? member?.memberId ?? "", name.instanceId);
    if (fault !== undefined || member === undefined) return fault?.code ?? "member_unknown";
    this.#remove(member, out);
    return undefined;
  }

  /** Everything that is due. */
  tick(moment: Moment, out: Outbox): void {
    const { nowMs } = moment;
    if (nowMs < this.#wakeMs) return;
    const sizeBefore = this.#members.size;
    for (const [memberId, deadlineMs] of this.#pending) {
      if (deadlineMs <= nowMs) this.#pending.delete(memberId);
    }
    const isSyncOver = (this.#syncDeadlineMs ?? Infinity) <= nowMs;
    if (isSyncOver) this.#syncDeadlineMs = undefined;
    for (const member of this.#members.values()) {
      const isDead = (member.deadlineMs ?? Infinity) <= nowMs || (isSyncOver && member.needsSync);
      if (isDead) this.#remove(member, out);
    }
    this.#afterRemoval(moment, sizeBefore, out);
    if ((this.#joinPhase?.deadlineMs ?? Infinity) <= nowMs) this.#joinTimeIsUp(moment, out);
    this.#wakeMs = Math.min(
      this.#members.earliestDeadlineMs(),
      this.#joinPhase?.deadlineMs ?? Infinity,
      this.#syncDeadlineMs ?? Infinity,
      ...this.#pending.values(),
    );
  }

  /** Why a commit is not accepted; undefined when it is. */
  commitFault(name: MemberName, generation: number | undefined): Fault | undefined {
    const isOutside = name.memberId === undefined && name.instanceId === undefined;
    if (generation === undefined && this.#state === "Empty") return undefined;
    if (generation === undefined && isOutside) {
      return {
        code: "member_unknown",
        message: `group "${this.id}" has members; only they commit offsets`,
      };
    }
    const fault =
      this.#members.fault(name.memberId ?? "", name.instanceId) ??
      this.#generationFault(generation);
    if (fault !== undefined) return fault;
    return this.#state === "CompletingRebalance" ? rebalancing : undefined;
  }

  /** A sign of life. */
  touch(memberId: string, nowMs: number): void {
    const member = this.#members.get(memberId);
    if (member?.deadlineMs !== undefined && !member.isNew) this.#setDeadline(member, nowMs);
  }

  /** Whether a member reads a topic, or may. */
  isSubscribed(topic: string): boolean {
    return this.#members.areSubscribed(topic, this.#protocol);
  }

  describe(): GroupDescription {
    const protocol = this.#state === "Stable" ? this.#protocol : undefined;
    return {
      groupId: this.id,
      state: this.#state,
      protocolType: this.#protocolType,
      generation: this.#generation,
      protocol,
      members: this.#members.described(protocol),
    };
  }

  /**
   * Makes the group what a record says; undefined is a group that was never stored. Whoever waits is
   * told to come again. Members have no deadline until {@link Group.revive}.
   */
  restore(stored: StoredGroup | undefined, out: Outbox): void {
    for (const member of this.#members.values()) dismiss(member, undone, out);
    this.#members.clear();
    this.#pending.clear();
    this.#joinPhase = undefined;
    this.#syncDeadlineMs = undefined;
    this.#wakeMs = Infinity;
    this.#stored = stored;
    this.#generation = stored?.generation ?? 0;
    this.#protocolType = stored?.protocolType;
    this.#protocol = stored?.protocol;
    this.#emptySinceMs = stored?.emptySinceMs;
    this.#state = "Empty";
    if (stored?.protocol === undefined || stored.leaderId === undefined) return;
    for (const member of stored.members) {
      this.#members.add(restoredMember(member, stored.protocol));
    }
    this.#members.lead(stored.leaderId);
    this.#state = "Stable";
  }

  /** Restored members have their whole session timeout from now on; a group above its limit shrinks by a rebalance. */
  revive(moment: Moment, out: Outbox): void {
    for (const member of this.#members.values()) this.#setDeadline(member, moment.nowMs);
    if (this.#members.size > this.#limits.membersPerGroupMax) this.#rebalance(moment, out);
  }

  #turnAway(event: JoinEvent, known: Member | undefined, out: Outbox): void {
    const sizeBefore = this.#members.size;
    const isItself =
      known !== undefined && this.#members.fault(known.memberId, event.instanceId) === undefined;
    // Without its place the rebalance would wait for a member that cannot join it.
    if (isItself) this.#remove(known, out);
    this.#afterRemoval(event, sizeBefore, out);
    const message = `group "${this.id}" has all the members that it may have`;
    out.refuse(event.token, { code: "group_full", message });
  }

  /** Gives an id to join with, so that a client that never comes back leaves no member behind. */
  #promise(memberId: string, event: JoinEvent, out: Outbox): void {
    this.#pending.set(memberId, event.nowMs + event.sessionTimeoutMs);
    this.#wakeBy(event.nowMs + event.sessionTimeoutMs);
    const message = `join group "${this.id}" again as "${memberId}"`;
    out.refuse(event.token, { code: "member_id_required", message }, memberId);
  }

  #joinKnown(memberId: string, event: JoinEvent, out: Outbox): void {
    const { instanceId } = event;
    if (instanceId === undefined && this.#pending.has(memberId)) {
      return this.#add(memberId, event, out);
    }
    const member = this.#members.get(memberId);
    const fault = this.#members.fault(memberId, instanceId);
    if (fault !== undefined || member === undefined) {
      return out.refuse(event.token, fault ?? unknownMember(memberId));
    }
    const isLeader = memberId === this.#members.leaderId;
    const isUnchanged = hasProtocols(member, event.protocols);
    const mayStay =
      this.#state === "CompletingRebalance" || (this.#state === "Stable" && !isLeader);
    if (isUnchanged && mayStay) {
      // The answer to its last join was lost: it is given again, and nobody else is disturbed.
      const members = this.#state === "Stable" ? [] : this.#joinedMembers(member);
      return this.#answerJoin(member, event.token, { members, skipAssignment: false }, out);
    }
    this.#awaitJoin(member, event, out);
    this.#rebalance(event, out);
  }

  #add(memberId: string, event: JoinEvent, out: Outbox): void {
    this.#pending.delete(memberId);
    if (this.#members.size === 0) this.#protocolType = event.protocolType;
    if (this.#joinPhase !== undefined && this.#generation === 0) {
      this.#joinPhase.hasNewMember = true;
    }
    const member = memberOf(memberId, event);
    member.joinToken = event.token;
    member.deadlineMs = event.nowMs + newMemberWaitMs;
    this.#wakeBy(member.deadlineMs);
    this.#members.add(member);
    this.#rebalance(event, out);
  }

  #awaitJoin(member: Member, event: JoinEvent, out: Outbox): void {
    if (member.joinToken !== undefined) out.refuse(member.joinToken, superseded);
    updateMember(member, event);
    member.joinToken = event.token;
    if (!member.isNew) member.deadlineMs = undefined;
  }

  /** A static member came back and forgot its id: the instance keeps its place, whoever holds the old id is fenced. */
  #replace(member: Member, newId: string, event: JoinEvent, out: Outbox): void {
    const formerLeaderId = this.#members.leaderId ?? newId;
    const isSameSubscription = hasTopicsOf(member, event.protocols);
    dismiss(member, fencedBy(newId), out);
    this.#members.rename(member, newId);
    this.#awaitJoin(member, event, out);
    const isUndisturbed =
      this.#state === "Stable" && isSameSubscription && this.#members.vote() === this.#protocol;
    if (!isUndisturbed) return this.#rebalance(event, out);
    member.joinToken = undefined;
    this.#setDeadline(member, event.nowMs);
    this.#store(out);
    const isLeader = newId === this.#members.leaderId;
    if (!event.maySkipAssignment) {
      // An older client that is told that it leads would assign, and a stable group ignores that.
      // The former leader's id keeps it from leading.
      const answer = { members: [], skipAssignment: false, leaderId: formerLeaderId };
      return this.#answerJoin(member, event.token, answer, out);
    }
    const answer = { members: this.#joinedMembers(member), skipAssignment: isLeader };
    this.#answerJoin(member, event.token, answer, out);
  }

  /** Begins a rebalance, or ends the one that goes on when nobody is missing any more. */
  #rebalance(moment: Moment, out: Outbox): void {
    if (this.#state !== "PreparingRebalance") this.#prepare(moment, out);
    this.#completeJoinIfAll(moment, out);
  }

  #prepare({ nowMs }: Moment, out: Outbox): void {
    for (const member of this.#members.values()) {
      member.needsSync = false;
      if (member.syncToken === undefined) continue;
      out.refuse(member.syncToken, rebalancing);
      member.syncToken = undefined;
      if (member.joinToken === undefined) this.#setDeadline(member, nowMs);
    }
    this.#syncDeadlineMs = undefined;
    const timeoutMs = this.#members.rebalanceTimeoutMs();
    const delayMs = this.#state === "Empty" ? this.#limits.initialRebalanceDelayMs : 0;
    this.#state = "PreparingRebalance";
    this.#joinPhase = {
      deadlineMs: nowMs + (delayMs > 0 ? delayMs : timeoutMs),
      delayLeftMs: delayMs > 0 ? Math.max(timeoutMs - delayMs, 0) : undefined,
      hasNewMember: false,
    };
    this.#wakeBy(this.#joinPhase.deadlineMs);
  }

  #completeJoinIfAll(moment: Moment, out: Outbox): void {
    if (this.#joinPhase === undefined || this.#joinPhase.delayLeftMs !== undefined) return;
    if (this.#pending.size > 0) return;
    if (this.#members.joinedCount() === this.#members.size) this.#completeJoin(moment, out);
  }

  #joinTimeIsUp(moment: Moment, out: Outbox): void {
    const phase = this.#joinPhase;
    invariant(phase !== undefined, "a join phase that ends has begun");
    const leftMs = phase.delayLeftMs ?? 0;
    if (!phase.hasNewMember || leftMs === 0) return this.#completeJoin(moment, out);
    const delayMs = Math.min(this.#limits.initialRebalanceDelayMs, leftMs);
    phase.hasNewMember = false;
    phase.delayLeftMs = leftMs - delayMs;
    phase.deadlineMs = moment.nowMs + delayMs;
  }

  /** Ends the join phase: the next generation is made of those who joined and of static members. */
  #completeJoin(moment: Moment, out: Outbox): void {
    for (const member of this.#members.values()) {
      const isMissing = member.joinToken === undefined && member.instanceId === undefined;
      if (isMissing) this.#remove(member, out);
    }
    if (this.#members.size === 0) return this.#becomeEmpty(moment, out);
    if (!this.#members.electJoined()) {
      // Static members alone, none of which is back: there is nobody to lead, so the wait goes on.
      const waitMs = Math.max(this.#members.rebalanceTimeoutMs(), unjoinedWaitMsMin);
      const deadlineMs = moment.nowMs + waitMs;
      this.#joinPhase = { deadlineMs, delayLeftMs: undefined, hasNewMember: false };
      this.#wakeBy(deadlineMs);
      return;
    }
    this.#joinPhase = undefined;
    this.#generation += 1;
    this.#protocol = this.#members.vote();
    this.#state = "CompletingRebalance";
    this.#emptySinceMs = undefined;
    this.#syncDeadlineMs = moment.nowMs + this.#members.rebalanceTimeoutMs();
    this.#wakeBy(this.#syncDeadlineMs);
    for (const member of this.#members.values()) {
      const token = member.joinToken;
      member.joinToken = undefined;
      member.isNew = false;
      member.needsSync = true;
      this.#setDeadline(member, moment.nowMs);
      if (token === undefined) continue;
      const members = this.#joinedMembers(member);
      this.#answerJoin(member, token, { members, skipAssignment: false }, out);
    }
  }

  #becomeEmpty({ wallMs }: Moment, out: Outbox): void {
    this.#joinPhase = undefined;
    this.#generation += 1;
    this.#protocol = undefined;
    this.#state = "Empty";
    this.#emptySinceMs = wallMs;
    this.#store(out);
  }

  /** The leader has spoken: its assignment becomes the group's. */
  #stabilize({ assignments, nowMs }: SyncEvent, out: Outbox): void {
    const byMember = new Map(assignments.map((entry) => [entry.memberId, entry.assignment]));
    for (const member of this.#members.values()) {
      member.assignment = new Uint8Array(byMember.get(member.memberId) ?? nothing);
    }
    this.#state = "Stable";
    if (!this.#members.needSync()) this.#syncDeadlineMs = undefined;
    this.#store(out);
    for (const member of this.#members.values()) {
      const token = member.syncToken;
      if (token === undefined) continue;
      member.syncToken = undefined;
      this.#setDeadline(member, nowMs);
      this.#answerSync(member, token, out);
    }
  }

  #remove(member: Member, out: Outbox): void {
    dismiss(member, unknownMember(member.memberId), out);
    this.#members.remove(member);
  }

  /** What follows when members or promised ids are gone: a rebalance may be over, or must begin. */
  #afterRemoval(moment: Moment, sizeBefore: number, out: Outbox): void {
    const hasLost = this.#members.size < sizeBefore;
    if (this.#state === "PreparingRebalance") this.#completeJoinIfAll(moment, out);
    else if (hasLost && this.#state !== "Empty") this.#rebalance(moment, out);
  }

  #named({ memberId, instanceId }: MemberName): Member | undefined {
    if (memberId !== undefined) return this.#members.get(memberId);
    return instanceId === undefined ? undefined : this.#members.byInstance(instanceId);
  }

  #generationFault(generation: number | undefined): Fault | undefined {
    if (generation === this.#generation) return undefined;
    return {
      code: "generation_illegal",
      message: `group "${this.id}" is at generation ${this.#generation}, not ${generation ?? "none"}`,
    };
  }

  #protocolFault({ protocolType, protocol }: SyncEvent): Fault | undefined {
    const isSame =
      (protocolType ?? this.#protocolType) === this.#protocolType &&
      (protocol ?? this.#protocol) === this.#protocol;
    if (isSame) return undefined;
    return {
      code: "group_protocol_mismatch",
      message: `group "${this.id}" uses protocol "${this.#protocol ?? ""}" of type "${this.#protocolType ?? ""}"`,
    };
  }

  /** The members for the leader to assign, and nothing for all others. */
  #joinedMembers({ memberId }: Member): JoinedMember[] {
    return memberId === this.#members.leaderId ? this.#members.joined(this.#protocol ?? "") : [];
  }

  #answerJoin(
    { memberId }: Member,
    token: number,
    answer: {
      readonly members: readonly JoinedMember[];
      readonly skipAssignment: boolean;
      readonly leaderId?: string;
    },
    out: Outbox,
  ): void {
    out.answer(token, {
      kind: "joined",
      memberId,
      generation: this.#generation,
      protocolType: this.#protocolType ?? "",
      protocol: this.#protocol ?? "",
      leaderId: this.#members.leaderId ?? "",
      ...answer,
    });
  }

  #answerSync({ assignment }: Member, token: number, out: Outbox): void {
    out.answer(token, {
      kind: "synced",
      protocolType: this.#protocolType ?? "",
      protocol: this.#protocol ?? "",
      assignment,
    });
  }

  #store(out: Outbox): void {
    const value: StoredGroup = {
      generation: this.#generation,
      protocolType: this.#protocolType,
      protocol: this.#protocol,
      leaderId: this.#members.leaderId,
      emptySinceMs: this.#emptySinceMs,
      members: this.#members.stored(this.#protocol ?? ""),
    };
    out.storeGroup({ kind: "group", groupId: this.id, value }, this.#stored);
    this.#stored = value;
  }

  #setDeadline(member: Member, nowMs: number): void {
    member.deadlineMs = nowMs + member.sessionTimeoutMs;
    this.#wakeBy(member.deadlineMs);
  }

  #wakeBy(deadlineMs: number): void {
    this.#wakeMs = Math.min(this.#wakeMs, deadlineMs);
  }
}
