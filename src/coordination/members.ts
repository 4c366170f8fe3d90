import { invariant } from "../errors/index.ts";
import type { GroupProtocol, JoinedMember, JoinEvent, MemberDescription, Token } from "./events.ts";
import { type Fault, fencedBy, unknownMember } from "./faults.ts";
import type { StoredMember } from "./group-records.ts";
import type { Outbox } from "./outbox.ts";

const nothing = new Uint8Array(0);
/** What is kept of a client's name. */
const clientIdLengthMax = 255;

/** One member of a group. */
export interface Member {
  /** Changes only when a static member comes back under a new id. */
  memberId: string;
  readonly instanceId: string | undefined;
  clientId: string;
  clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly GroupProtocol[];
  /** Of the newest generation that was assigned. */
  assignment: Uint8Array;
  /** Whether it has never been in a generation: then its wait for the first one has a limit of its own. */
  isNew: boolean;
  /** Whether it has yet to ask for its assignment in this generation. */
  needsSync: boolean;
  /** Its join that waits for the rebalance to end. */
  joinToken: Token | undefined;
  /** Its sync that waits for the leader. */
  syncToken: Token | undefined;
  /** When it is taken for dead; undefined while the coordinator owes it an answer. */
  deadlineMs: number | undefined;
}

/** The id of a new member: tells people who it is, and is never given twice. */
export function newMemberId({ instanceId, clientId, uuid }: JoinEvent): string {
  return `${instanceId ?? clientId.slice(0, clientIdLengthMax)}-${uuid}`;
}

export function memberOf(memberId: string, event: JoinEvent): Member {
  return {
    memberId,
    instanceId: event.instanceId,
    clientId: event.clientId.slice(0, clientIdLengthMax),
    clientHost: event.clientHost,
    sessionTimeoutMs: event.sessionTimeoutMs,
    rebalanceTimeoutMs: event.rebalanceTimeoutMs,
    protocols: copied(event.protocols),
    assignment: nothing,
    isNew: true,
    needsSync: false,
    joinToken: undefined,
    syncToken: undefined,
    deadlineMs: undefined,
  };
}

/** A member as it comes back from the log: it has only the protocol that was chosen. */
export function restoredMember(stored: StoredMember, protocol: string): Member {
  const { memberId, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs } =
    stored;
  return {
    memberId,
    instanceId,
    clientId,
    clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    protocols: [{ name: protocol, metadata: stored.subscription, topics: stored.topics }],
    assignment: stored.assignment,
    isNew: false,
    needsSync: false,
    joinToken: undefined,
    syncToken: undefined,
    deadlineMs: undefined,
  };
}

function storedMember(member: Member, protocol: string): StoredMember {
  const chosen = member.protocols.find(({ name }) => name === protocol);
  const { memberId, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs } =
    member;
  return {
    memberId,
    instanceId,
    clientId,
    clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    subscription: chosen?.metadata ?? nothing,
    topics: chosen?.topics,
    assignment: member.assignment,
  };
}

/** Takes over what a member says when it joins again. */
export function updateMember(member: Member, event: JoinEvent): void {
  member.clientId = event.clientId.slice(0, clientIdLengthMax);
  member.clientHost = event.clientHost;
  member.sessionTimeoutMs = event.sessionTimeoutMs;
  member.rebalanceTimeoutMs = event.rebalanceTimeoutMs;
  member.protocols = copied(event.protocols);
}

/** Whether a member that joins again says what it said before. */
export function hasProtocols(member: Member, protocols: readonly GroupProtocol[]): boolean {
  return (
    member.protocols.length === protocols.length &&
    member.protocols.every((own, index) => {
      const other = protocols[index];
      return other?.name === own.name && Buffer.compare(other.metadata, own.metadata) === 0;
    })
  );
}

/** Whether a member that starts anew wants the topics that it wanted before, as far as that is known. */
export function hasTopicsOf(member: Member, protocols: readonly GroupProtocol[]): boolean {
  return member.protocols.every((own) => {
    const other = protocols.find(({ name }) => name === own.name);
    if (own.topics === undefined || other?.topics === undefined) return true;
    const wanted = new Set(other.topics);
    return (
      new Set(own.topics).size === wanted.size && own.topics.every((topic) => wanted.has(topic))
    );
  });
}

/** Answers whatever a member waits for. */
export function dismiss(member: Member, fault: Fault, out: Outbox): void {
  for (const token of [member.joinToken, member.syncToken]) {
    if (token !== undefined) out.refuse(token, fault);
  }
  member.joinToken = undefined;
  member.syncToken = undefined;
}

function copied(protocols: readonly GroupProtocol[]): GroupProtocol[] {
  return protocols.map(({ name, metadata, topics }) => ({
    name,
    metadata: new Uint8Array(metadata),
    topics: topics && [...topics],
  }));
}

/** The members of one group, in the order in which they joined. */
export class Members {
  readonly #byId = new Map<string, Member>();
  readonly #idByInstance = new Map<string, string>();
  #leaderId: string | undefined;

  get size(): number {
    return this.#byId.size;
  }

  /** Undefined only while there are no members. */
  get leaderId(): string | undefined {
    return this.#leaderId;
  }

  get(memberId: string): Member | undefined {
    return this.#byId.get(memberId);
  }

  byInstance(instanceId: string): Member | undefined {
    const memberId = this.#idByInstance.get(instanceId);
    return memberId === undefined ? undefined : this.#byId.get(memberId);
  }

  values(): IterableIterator<Member> {
    return this.#byId.values();
  }

  add(member: Member): void {
    invariant(!this.#byId.has(member.memberId), "a member id is given once");
    this.#byId.set(member.memberId, member);
    if (member.instanceId !== undefined) {
      invariant(!this.#idByInstance.has(member.instanceId), "an instance is one member");
      this.#idByInstance.set(member.instanceId, member.memberId);
    }
    this.#leaderId ??= member.memberId;
  }

  remove(member: Member): void {
    this.#byId.delete(member.memberId);
    if (member.instanceId !== undefined) this.#idByInstance.delete(member.instanceId);
    if (this.#leaderId === member.memberId) this.#leaderId = this.#byId.keys().next().value;
  }

  /** A static member came back under a new id: everything else stays, leadership too. */
  rename(member: Member, memberId: string): void {
    const wasLeader = this.#leaderId === member.memberId;
    this.#byId.delete(member.memberId);
    member.memberId = memberId;
    this.#byId.set(memberId, member);
    if (member.instanceId !== undefined) this.#idByInstance.set(member.instanceId, memberId);
    if (wasLeader) this.#leaderId = memberId;
  }

  lead(memberId: string): void {
    invariant(this.#byId.has(memberId), "the leader is a member");
    this.#leaderId = memberId;
  }

  /** Whether somebody leads who waits for the rebalance to end: the leader, or else the first who does. */
  electJoined(): boolean {
    const leader = this.#leaderId === undefined ? undefined : this.#byId.get(this.#leaderId);
    if (leader?.joinToken !== undefined) return true;
    for (const { memberId, joinToken } of this.#byId.values()) {
      if (joinToken === undefined) continue;
      this.#leaderId = memberId;
      return true;
    }
    return false;
  }

  /** How many wait for the rebalance to end. */
  joinedCount(): number {
    let count = 0;
    for (const { joinToken } of this.#byId.values()) if (joinToken !== undefined) count += 1;
    return count;
  }

  /** Whether somebody has yet to ask for its assignment. */
  needSync(): boolean {
    for (const { needsSync } of this.#byId.values()) if (needsSync) return true;
    return false;
  }

  clear(): void {
    this.#byId.clear();
    this.#idByInstance.clear();
    this.#leaderId = undefined;
  }

  /** Whether at least one of these protocols is known to all members. */
  canAll(protocols: readonly GroupProtocol[]): boolean {
    const shared = this.#sharedProtocols();
    return shared === undefined || protocols.some(({ name }) => shared.has(name));
  }

  /**
   * The protocol of the next generation: each member votes for the first of its own that all know.
   * Equal counts are decided by the order of the member that joined first, so the vote depends on
   * nothing else.
   */
  vote(): string {
    const shared = this.#sharedProtocols() ?? new Map<string, number>();
    for (const member of this.#byId.values()) {
      const choice = member.protocols.find(({ name }) => shared.has(name))?.name;
      if (choice !== undefined) shared.set(choice, (shared.get(choice) ?? 0) + 1);
    }
    let chosen: string | undefined;
    for (const [name, votes] of shared) {
      if (chosen === undefined || votes > (shared.get(chosen) ?? 0)) chosen = name;
    }
    invariant(chosen !== undefined, "members of a group share a protocol");
    return chosen;
  }

  /** Protocols that all members know with zero votes each, in the order of the first member; undefined without members. */
  #sharedProtocols(): Map<string, number> | undefined {
    let shared: Map<string, number> | undefined;
    for (const { protocols } of this.#byId.values()) {
      const names = protocols.map(({ name }) => name);
      const kept =
        shared === undefined ? names : [...shared.keys()].filter((name) => names.includes(name));
      shared = new Map(kept.map((name) => [name, 0]));
    }
    return shared;
  }

  /** Longest time that a member needs to join again; zero without members. */
  rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.#byId.values())
      longest = Math.max(longest, member.rebalanceTimeoutMs);
    return longest;
  }

  /** The earliest time at which a member is taken for dead. */
  earliestDeadlineMs(): number {
    let earliest = Infinity;
    for (const { deadlineMs } of this.#byId.values()) {
      earliest = Math.min(earliest, deadlineMs ?? Infinity);
    }
    return earliest;
  }

  /** Bytes of what members said. */
  bytes(): number {
    let sum = 0;
    for (const member of this.#byId.values()) sum += bytesOf(member.protocols);
    return sum;
  }

  /** Why somebody may not speak for a member; undefined when it may. */
  fault(memberId: string, instanceId: string | undefined): Fault | undefined {
    if (instanceId !== undefined) {
      const holderId = this.#idByInstance.get(instanceId);
      if (holderId === undefined) return unknownMember(memberId);
      if (holderId !== memberId) return fencedBy(holderId);
    }
    return this.#byId.has(memberId) ? undefined : unknownMember(memberId);
  }

  /**
   * Whether a member reads a topic, or may: where a subscription could not be read it may be any.
   * Without a chosen protocol all that members offer count.
   */
  areSubscribed(topic: string, protocol: string | undefined): boolean {
    for (const member of this.#byId.values()) {
      for (const { name, topics } of member.protocols) {
        if (protocol !== undefined && name !== protocol) continue;
        if (topics === undefined || topics.includes(topic)) return true;
      }
    }
    return false;
  }

  stored(protocol: string): StoredMember[] {
    return [...this.#byId.values()].map((member) => storedMember(member, protocol));
  }

  /** As the leader is told. */
  joined(protocol: string): JoinedMember[] {
    return this.stored(protocol).map(({ memberId, instanceId, subscription }) => ({
      memberId,
      instanceId,
      metadata: subscription,
    }));
  }

  /** As tools are told; without a protocol that all follow there is nothing to tell of it. */
  described(protocol: string | undefined): MemberDescription[] {
    return this.stored(protocol ?? "").map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: member.subscription,
      assignment: protocol === undefined ? nothing : member.assignment,
    }));
  }
}

/** What a member says, in bytes; its name counts, so that nobody hides a burden there. */
export function bytesOf(protocols: readonly GroupProtocol[]): number {
  return protocols.reduce((sum, { name, metadata }) => sum + name.length + metadata.length, 0);
}
