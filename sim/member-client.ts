import type { ClientShare } from "./clients.ts";
import { Violation } from "./ledger.ts";
import type { Life } from "./life.ts";

const groupId = "members";
const sessionTimeoutMs = 6_000;

/** A member of a group: joins, assigns where it leads, stays for some heartbeats, leaves. */
export class MemberClient {
  readonly #share: ClientShare;
  readonly #name: string;
  #memberId: string | undefined;

  constructor(share: ClientShare, name: string) {
    this.#share = share;
    this.#name = name;
  }

  async step(life: Life): Promise<void> {
    const { random, trace, ledger } = this.#share;
    const joined = await life.broker.joinGroup({
      groupId,
      memberId: this.#memberId,
      groupInstanceId: undefined,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: Buffer.from(this.#name) }],
      sessionTimeoutMs,
      rebalanceTimeoutMs: 200,
      requiresKnownMemberId: false,
      supportsSkippingAssignment: false,
      client: { clientId: this.#name, clientHost: "sim" },
    });
    trace.note(`${this.#name} joined ${joined.generationId} ${joined.errorCode ?? ""}`);
    if (joined.errorCode !== undefined) {
      if (joined.errorCode === "member_unknown") this.#memberId = undefined;
      return;
    }
    const { memberId, generationId } = joined;
    this.#memberId = memberId;
    const assignments = joined.members.map((member) => ({
      memberId: member.memberId,
      assignment: Buffer.from(`${generationId}:${member.memberId}`),
    }));
    const about = { groupId, generationId, memberId, groupInstanceId: undefined };
    const synced = await life.broker.syncGroup({
      ...about,
      protocolType: "consumer",
      protocolName: joined.protocolName,
      assignments: joined.leaderId === memberId ? assignments : [],
    });
    trace.note(`${this.#name} synced ${synced.errorCode ?? ""}`);
    if (synced.errorCode !== undefined) return;
    const assignment = Buffer.from(synced.assignment).toString();
    if (assignment !== `${generationId}:${memberId}`) {
      throw new Violation(`${memberId} of generation ${generationId} got "${assignment}"`);
    }
    ledger.generation(groupId, generationId);
    for (let beats = random.below(5); beats > 0; beats--) {
      await life.scheduler.pause(random.below(500));
      const { errorCode } = await life.broker.heartbeat(about);
      if (errorCode !== undefined) return;
    }
    if (random.below(3) > 0) return;
    await life.broker.leaveGroup({ groupId, members: [{ memberId, groupInstanceId: undefined }] });
    this.#memberId = undefined;
  }
}
