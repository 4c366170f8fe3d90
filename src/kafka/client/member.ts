import { uuidToString } from "../../bytes/index.ts";
import type { Timer } from "../../env/index.ts";
import { LogError, outcomes } from "../../errors/index.ts";
import { decodeAlone, encodeAlone } from "../codec/codec.ts";
import { consumerAssignment, consumerSubscription } from "../messages/consumer-protocol.ts";
import type { ResponseOf } from "../registry.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import { backoffMs, type Cluster, type Lane, type RetryOptions } from "./cluster.ts";
import { isTransient, mustSucceed } from "./errors.ts";
import { byTopic, decodeAssignment, type Groups, type PositionToCommit } from "./groups.ts";
import type { TopicPartition } from "./offsets.ts";
import { assignRanges, type Subscriber } from "./range-assignor.ts";

export interface MemberOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly sessionMs?: number | undefined;
  /** How long the members have to come back when the group divides its work anew. */
  readonly rebalanceMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A member's share of the work for as long as nobody comes or goes. */
export interface Generation {
  readonly generationId: number;
  readonly assignment: readonly TopicPartition[];
  /** Aborted when the group begins to divide its work anew, or has gone on without this member. */
  readonly ended: AbortSignal;
}

const SESSION_MS = 30_000;
const REBALANCE_MS = 60_000;
const HEARTBEATS_PER_SESSION = 10;
const ASSIGNOR = "range";
const PROTOCOL_TYPE = "consumer";
/** Oldest version of the embedded schemas: all there is to say is in it, and every client reads it. */
const EMBEDDED_VERSION = 0;
/** How often in a row joining is tried while the group is in motion. */
const JOINS_MAX = 50;

/**
 * A member of a consumer group in the classic protocol. {@link GroupMember.join} gives a share of the
 * partitions; when that generation has ended, join again for the next one.
 */
export class GroupMember {
  readonly #cluster: Cluster;
  readonly #groups: Groups;
  readonly #options: MemberOptions;
  readonly #sessionMs: number;
  readonly #lane: Lane;
  /** Empty until the coordinator gave one. */
  #memberId = "";
  /** Of the last sync; -1 while this is no member. */
  #generationId = -1;
  #ended = new AbortController();
  #heartbeat: Timer | undefined;

  constructor(cluster: Cluster, groups: Groups, options: MemberOptions) {
    this.#cluster = cluster;
    this.#groups = groups;
    this.#options = options;
    this.#sessionMs = options.sessionMs ?? SESSION_MS;
    this.#lane = `member ${uuidToString(cluster.env.random.uuid(), 0)}`;
  }

  /** Becomes part of the next generation. @throws LogError group_protocol_mismatch, group_full, ... */
  async join(): Promise<Generation> {
    this.#stopHeartbeat();
    for (let attempt = 0; ; attempt++) {
      this.#options.signal?.throwIfAborted();
      try {
        return await this.#joinOnce();
      } catch (thrown) {
        const error = LogError.from(thrown);
        if (!this.#mayJoinAgain(error) || attempt === JOINS_MAX) throw thrown;
        if (isTransient(error)) await this.#cluster.wait(backoffMs(attempt), this.#options.signal);
      }
    }
  }

  /**
   * Commits what was worked off.
   * @throws LogError rebalance_in_progress, generation_illegal, member_unknown where this member is out
   */
  async commit(positions: readonly PositionToCommit[], options: RetryOptions = {}): Promise<void> {
    if (positions.length === 0) return;
    const origin = { memberId: this.#memberId, generationId: this.#generationId };
    await this.#groups.commit(this.#options.groupId, positions, { ...options, origin });
  }

  /** Tells the others that they need not wait for this one. Never fails: they will notice anyway. */
  async leave(): Promise<void> {
    this.#stopHeartbeat();
    this.#ended.abort(new LogError("closed", "left the group"));
    if (this.#memberId === "") return;
    try {
      const { groupId } = this.#options;
      const connection = await this.#cluster.coordinatorOf(groupId, this.#lane);
      const isBatched = (connection.versionOf("LeaveGroup") ?? 0) >= 3;
      const memberId = this.#memberId;
      const who = isBatched ? { members: [{ memberId }] } : { memberId };
      await connection.request("LeaveGroup", { groupId, ...who });
    } catch (thrown) {
      this.#cluster.env.events.debug("could not leave", { reason: LogError.from(thrown).message });
    }
    this.#memberId = "";
    await this.#cluster.closeLane(this.#lane);
  }

  /** Whether a join that failed so may go well the next time. */
  #mayJoinAgain(error: LogError): boolean {
    if (error.code === "member_unknown" || error.code === "member_fenced") {
      this.#memberId = "";
      return true;
    }
    const isInMotion =
      error.code === "rebalance_in_progress" ||
      error.code === "generation_illegal" ||
      error.code === "member_id_required";
    return isInMotion || (isTransient(error) && error.code !== "timeout");
  }

  async #joinOnce(): Promise<Generation> {
    const { groupId } = this.#options;
    const connection = await this.#coordinator();
    const rebalanceMs = this.#options.rebalanceMs ?? REBALANCE_MS;
    const subscription = encodeEmbedded(
      encodeAlone(consumerSubscription, EMBEDDED_VERSION, { topics: this.#options.topics }),
    );
    const joined = await connection.request(
      "JoinGroup",
      {
        groupId,
        sessionTimeoutMs: this.#sessionMs,
        rebalanceTimeoutMs: rebalanceMs,
        memberId: this.#memberId,
        protocolType: PROTOCOL_TYPE,
        protocols: [{ name: ASSIGNOR, metadata: subscription }],
      },
      { waitMs: rebalanceMs },
    );
    if (joined.errorCode === outcomes.member_id_required.kafka) this.#memberId = joined.memberId;
    mustSucceed(joined.errorCode, `group ${groupId}`);
    this.#memberId = joined.memberId;
    this.#generationId = joined.generationId;
    const assignments = joined.leader === joined.memberId ? await this.#assign(joined) : [];
    const synced = await connection.request(
      "SyncGroup",
      {
        groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        protocolType: PROTOCOL_TYPE,
        protocolName: ASSIGNOR,
        assignments,
      },
      { waitMs: rebalanceMs },
    );
    mustSucceed(synced.errorCode, `group ${groupId}`);
    this.#ended = new AbortController();
    this.#beatLater();
    return {
      generationId: joined.generationId,
      assignment: decodeAssignment(synced.assignment),
      ended: this.#ended.signal,
    };
  }

  /** The leader's work: who reads what. */
  async #assign(
    joined: ResponseOf<"JoinGroup">,
  ): Promise<{ readonly memberId: string; readonly assignment: Uint8Array }[]> {
    const subscribers = joined.members.map(({ memberId, metadata }) =>
      subscriberOf(memberId, metadata),
    );
    const topics = new Set(subscribers.flatMap((subscriber) => subscriber.topics));
    const counts = new Map<string, number>();
    for (const topic of topics) counts.set(topic, await this.#partitionCount(topic));
    return [...assignRanges(subscribers, counts)].map(([memberId, parts]) => {
      const assignedPartitions = byTopic(parts).map(([topic, ofTopic]) => ({
        topic,
        partitions: ofTopic.map(({ partition }) => partition),
      }));
      const assignment = encodeAlone(consumerAssignment, EMBEDDED_VERSION, { assignedPartitions });
      return { memberId, assignment: encodeEmbedded(assignment) };
    });
  }

  /** Zero where there is no such topic: other members may want what is not there yet. */
  async #partitionCount(topic: string): Promise<number> {
    try {
      this.#cluster.forget(topic);
      return (await this.#cluster.topic(topic)).partitions.length;
    } catch (thrown) {
      if (LogError.from(thrown).code === "topic_not_found") return 0;
      throw thrown;
    }
  }

  async #coordinator(): Promise<BrokerConnection> {
    return this.#cluster.retrying(
      () => this.#cluster.coordinatorOf(this.#options.groupId, this.#lane),
      {
        signal: this.#options.signal,
      },
    );
  }

  #beatLater(): void {
    const ms = this.#sessionMs / HEARTBEATS_PER_SESSION;
    const ended = this.#ended;
    this.#heartbeat = this.#cluster.env.timers.after(ms, () => {
      this.#beat(ended).catch((thrown: unknown) => ended.abort(thrown));
    });
  }

  /** Ends the generation where the coordinator says so. */
  async #beat(ended: AbortController): Promise<void> {
    const { groupId } = this.#options;
    try {
      const connection = await this.#cluster.coordinatorOf(groupId, this.#lane);
      const answer = await connection.request("Heartbeat", {
        groupId,
        generationId: this.#generationId,
        memberId: this.#memberId,
      });
      mustSucceed(answer.errorCode, `group ${groupId}`);
    } catch (thrown) {
      // A coordinator that is away for a moment is no reason to give the share up.
      if (!isTransient(LogError.from(thrown))) throw thrown;
      this.#cluster.forgetCoordinator(groupId);
    }
    if (ended === this.#ended && !ended.signal.aborted) this.#beatLater();
  }

  #stopHeartbeat(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}

/** The schemas inside of group messages have their version in front. */
function encodeEmbedded(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + body.length);
  bytes[1] = EMBEDDED_VERSION;
  bytes.set(body, 2);
  return bytes;
}

function subscriberOf(memberId: string, metadata: Uint8Array): Subscriber {
  if (metadata.length < 2) return { memberId, topics: [] };
  const version = Math.min(
    ((metadata[0] ?? 0) << 8) | (metadata[1] ?? 0),
    consumerSubscription.versionMax,
  );
  return {
    memberId,
    topics: decodeAlone(consumerSubscription, version, metadata.subarray(2)).topics,
  };
}
