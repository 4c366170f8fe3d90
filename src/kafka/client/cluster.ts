import type { Address, Env } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import type { ResponseOf } from "../registry.ts";
import { BrokerConnection, type ConnectionOptions } from "./broker-connection.ts";
import { answeredError, isTransient, mustSucceed } from "./errors.ts";

export interface TopicMetadata {
  readonly name: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  /** In the order of their indexes. */
  readonly partitions: readonly PartitionMetadata[];
}

interface PartitionMetadata {
  readonly index: number;
  /** Node id; undefined where there is no leader now. */
  readonly leader: number | undefined;
  readonly leaderEpoch: number | undefined;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
}

export interface RetryOptions {
  /** No new attempt begins after so long. */
  readonly msMax?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Servers answer the questions of a connection in order, so those that wait by intent have a
 * connection of their own: fetches, and the calls of each group member.
 */
export type Lane = "calls" | "fetch" | `member ${string}`;

const RETRY_MS_MAX = 15_000;
const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1_000;
/** How long a topic that is being made by our asking may take to appear. */
const APPEARS_MS_MAX = 5_000;
const COORDINATOR_OF_GROUP = 0;

/**
 * Who of the brokers has what, and a connection to each that was needed. Forgets what turned out
 * wrong; asking again is the caller's, by {@link Cluster.retrying}.
 */
export class Cluster {
  readonly env: Env;
  readonly #bootstrap: Address;
  readonly #options: ConnectionOptions;
  readonly #addresses = new Map<number, Address>();
  /** By lane, host and port, so that a broker known by its id and by its address has one connection. */
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  readonly #topics = new Map<string, TopicMetadata>();
  readonly #coordinators = new Map<string, Address>();
  #isClosed = false;

  constructor(env: Env, bootstrap: Address, options: ConnectionOptions) {
    this.env = env;
    this.#bootstrap = bootstrap;
    this.#options = options;
  }

  /** Ends the connections of one lane. */
  async closeLane(lane: Lane): Promise<void> {
    for (const [key, connection] of this.#connections) {
      if (!key.startsWith(`${lane} `)) continue;
      this.#connections.delete(key);
      const [result] = await Promise.allSettled([connection]);
      if (result.status === "fulfilled") result.value.close();
    }
  }

  /** Ends every connection. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const connections = await Promise.allSettled(this.#connections.values());
    for (const result of connections) if (result.status === "fulfilled") result.value.close();
    this.#connections.clear();
  }

  /** The broker that was named first, or, where it is gone, another one that it told of. */
  async any(): Promise<BrokerConnection> {
    try {
      return await this.#connect(this.#bootstrap);
    } catch (thrown) {
      for (const address of this.#addresses.values()) {
        if (keyOf(address) === keyOf(this.#bootstrap)) continue;
        // The first failure is the one that tells the user what is wrong with the address given.
        const other = await this.#connect(address).catch(() => undefined);
        if (other !== undefined) return other;
      }
      throw thrown;
    }
  }

  /** The broker with this id. Answers one promise for all who ask before it is open. */
  node(nodeId: number, lane: Lane = "calls"): Promise<BrokerConnection> {
    return this.#connect(this.#addresses.get(nodeId) ?? this.#bootstrap, lane);
  }

  async coordinatorOf(groupId: string, lane: Lane = "calls"): Promise<BrokerConnection> {
    const known = this.#coordinators.get(groupId);
    if (known !== undefined) return this.#connect(known, lane);
    const connection = await this.any();
    const isBatched = (connection.versionOf("FindCoordinator") ?? 0) >= 4;
    const answer = await connection.request("FindCoordinator", {
      keyType: COORDINATOR_OF_GROUP,
      ...(isBatched ? { coordinatorKeys: [groupId] } : { key: groupId }),
    });
    const found = answer.coordinators[0] ?? answer;
    mustSucceed(found.errorCode, `coordinator of group ${groupId}`, found.errorMessage);
    const address = { host: found.host, port: found.port };
    this.#coordinators.set(groupId, address);
    return this.#connect(address, lane);
  }

  /** What was heard of the topic last; undefined where that is nothing, or was forgotten. */
  known(topic: string): TopicMetadata | undefined {
    return this.#topics.get(topic);
  }

  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  forgetCoordinator(groupId: string): void {
    this.#coordinators.delete(groupId);
  }

  /** @throws LogError topic_not_found */
  async topic(name: string): Promise<TopicMetadata> {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const { topics } = await this.metadata([name], false);
    const found = topics[0];
    if (found === undefined) throw new LogError("topic_not_found", `topic ${name}: not found`);
    mustSucceed(found.errorCode, `topic ${name}`);
    return this.#remember(found);
  }

  /** The topic; one that is not there is made, where the server does that by itself. */
  async topicOrNew(name: string): Promise<TopicMetadata> {
    const giveUpMs = this.env.clock.monotonicMs() + APPEARS_MS_MAX;
    for (let attempt = 0; ; attempt++) {
      const { topics } = await this.metadata([name], true);
      const found = topics[0];
      if (found?.errorCode === 0) return this.#remember(found);
      const error = answeredError(found?.errorCode ?? 3, `topic ${name}`);
      // The first answer may still be that there is none, while it is being made.
      const mayAppear =
        error.code === "closed" || (error.code === "topic_not_found" && attempt < 3);
      if (!mayAppear || this.env.clock.monotonicMs() > giveUpMs) throw error;
      await this.wait(backoffMs(attempt));
    }
  }

  /** Asks any broker; undefined asks for all topics. Learns where the brokers are. */
  async metadata(
    topics: readonly string[] | undefined,
    allowsCreation: boolean,
  ): Promise<ResponseOf<"Metadata">> {
    const connection = await this.any();
    const answer = await connection.request("Metadata", {
      topics: topics?.map((name) => ({ name })),
      allowAutoTopicCreation: allowsCreation,
    });
    mustSucceed(answer.errorCode, "metadata");
    for (const { nodeId, host, port } of answer.brokers) {
      this.#addresses.set(nodeId, { host, port });
    }
    return answer;
  }

  /** @throws LogError partition_not_found, and a transient one where there is no leader now. */
  async leaderOf(topic: string, partition: number): Promise<number> {
    const { partitions } = await this.topic(topic);
    const found = partitions.find(({ index }) => index === partition);
    if (found === undefined) {
      const those =
        partitions.length === 1 ? "partition 0 only" : `${partitions.length} partitions`;
      throw new LogError("partition_not_found", `${topic} has ${those}, and no ${partition}`);
    }
    if (found.leader === undefined) {
      throw new LogError("closed", `${topic}/${partition} has no leader now`);
    }
    return found.leader;
  }

  /** Runs the task again, after a while, as long as its failure may pass; forgets what it went by. */
  async retrying<T>(task: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
    const giveUpMs = this.env.clock.monotonicMs() + (options.msMax ?? RETRY_MS_MAX);
    for (let attempt = 0; ; attempt++) {
      options.signal?.throwIfAborted();
      try {
        return await task();
      } catch (thrown) {
        const error = LogError.from(thrown);
        const isOver = this.env.clock.monotonicMs() > giveUpMs || this.#isClosed;
        // Time was given to a call that timed out already.
        if (!isTransient(error) || error.code === "timeout" || isOver) throw thrown;
        this.env.events.debug("trying again", { after: error.message });
        this.#topics.clear();
        this.#coordinators.clear();
        await this.wait(backoffMs(attempt), options.signal);
      }
    }
  }

  /** @throws the reason of `signal`, at once, when that is aborted. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.env.timers.after(ms, resolve);
    const aborted = (): void => {
      timer.cancel();
      reject(LogError.from(signal?.reason));
    };
    signal?.addEventListener("abort", aborted, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", aborted);
    }
  }

  #remember(found: ResponseOf<"Metadata">["topics"][number]): TopicMetadata {
    const topic = topicMetadataOf(found);
    this.#topics.set(topic.name, topic);
    return topic;
  }

  #connect(address: Address, lane: Lane = "calls"): Promise<BrokerConnection> {
    const key = `${lane} ${keyOf(address)}`;
    const known = this.#connections.get(key);
    if (known !== undefined) return known;
    if (this.#isClosed) throw new LogError("closed", "the client was closed");
    const opening = BrokerConnection.open(this.env, address, this.#options, () => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
    });
    this.#connections.set(key, opening);
    return opening;
  }
}

/** What a client keeps of a topic's metadata. */
export function topicMetadataOf(found: ResponseOf<"Metadata">["topics"][number]): TopicMetadata {
  const partitions = found.partitions.map((partition) => ({
    index: partition.partitionIndex,
    leader: partition.leaderId < 0 ? undefined : partition.leaderId,
    leaderEpoch: partition.leaderEpoch < 0 ? undefined : partition.leaderEpoch,
    replicas: partition.replicaNodes,
    inSyncReplicas: partition.isrNodes,
  }));
  return {
    name: found.name ?? "",
    topicId: found.topicId,
    isInternal: found.isInternal,
    partitions: partitions.toSorted((left, right) => left.index - right.index),
  };
}

/** Doubles with each attempt, up to a second. */
export function backoffMs(attempt: number): number {
  return Math.min(BACKOFF_MS_MIN * 2 ** Math.min(attempt, 10), BACKOFF_MS_MAX);
}

function keyOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
