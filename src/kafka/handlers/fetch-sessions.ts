import type { Env } from "../../env/index.ts";
import { invariant } from "../../errors/index.ts";
import type { RequestOf } from "../registry.ts";

type FetchRequest = RequestOf<"Fetch">;

/** Names topics by their ids from this version on. */
export const versionOfTopicIds = 13;
/** Sessions came with this version. */
const versionOfSessions = 7;

/** Sessions at most; when there are as many, the one that idles longest makes room, if it idles long enough. */
export const sessionsMax = 1_000;
/** Partitions of all sessions together. */
export const sessionPartitionsMax = 100_000;
const idleMsMin = 120_000;

/** Epochs of a request that is not the next of a session: it opens one, or it wants none. */
const epochFirst = 0;
const epochNone = -1;
const epochMax = 0x7fff_ffff;

/** One partition that a fetch wants, as the client said last. */
export class FetchTarget {
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  fetchOffset = 0;
  bytesMax = 0;
  currentLeaderEpoch = -1;
  lastFetchedEpoch = -1;
  /** What the client knows of the partition; -1 before the first answer and after an error. */
  toldHighWatermark = -1;
  toldLogStartOffset = -1;

  constructor(topic: WantedTopic, wanted: WantedPartition) {
    this.topic = topic.topic;
    this.topicId = topic.topicId;
    this.index = wanted.partition;
    this.update(wanted);
  }

  update(wanted: WantedPartition): void {
    this.fetchOffset = wanted.fetchOffset;
    this.bytesMax = wanted.partitionMaxBytes;
    this.currentLeaderEpoch = wanted.currentLeaderEpoch;
    this.lastFetchedEpoch = wanted.lastFetchedEpoch;
  }
}

type WantedTopic = FetchRequest["topics"][number];
type WantedPartition = WantedTopic["partitions"][number];

/** Which partitions a request is about, and how much of the answer the client knows already. */
export type FetchScope =
  /** Just those in the request; all of them are answered. */
  | { readonly kind: "alone"; readonly targets: readonly FetchTarget[] }
  /** Those of a session; when it is just opened, all of them are answered. */
  | {
      readonly kind: "session";
      readonly targets: readonly FetchTarget[];
      readonly session: FetchSession;
      readonly isFirst: boolean;
    }
  | {
      readonly kind: "refused";
      readonly code: "fetch_session_not_found" | "fetch_session_epoch_invalid";
    };

/** What a client fetches again and again, so that its requests and our answers hold changes only. */
export class FetchSession {
  readonly id: number;
  readonly usesTopicIds: boolean;
  /** Of the request that comes next. */
  epoch = 1;
  usedMs: number;
  /** In the order in which they are read: whoever got records goes to the end. */
  readonly #targets = new Map<string, FetchTarget>();

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.usedMs = nowMs;
  }

  get partitionCount(): number {
    return this.#targets.size;
  }

  targets(): FetchTarget[] {
    return [...this.#targets.values()];
  }

  apply({ topics, forgottenTopicsData }: FetchRequest): void {
    for (const topic of topics) {
      for (const wanted of topic.partitions) this.#want(topic, wanted);
    }
    for (const topic of forgottenTopicsData) {
      for (const index of topic.partitions) this.#targets.delete(keyOf(topic, index));
    }
  }

  /** The next answer begins with others, so that one busy partition does not starve them. */
  toEnd(target: FetchTarget): void {
    const key = keyOf(target, target.index);
    // It may have been forgotten while the fetch waited.
    if (this.#targets.delete(key)) this.#targets.set(key, target);
  }

  #want(topic: WantedTopic, wanted: WantedPartition): void {
    const key = keyOf(topic, wanted.partition);
    const target = this.#targets.get(key);
    if (target === undefined) this.#targets.set(key, new FetchTarget(topic, wanted));
    else target.update(wanted);
  }
}

/** One of the two names is empty or nil, depending on the version. */
function keyOf({ topic, topicId }: { topic: string; topicId: string }, index: number): string {
  return `${index} ${topicId} ${topic}`;
}

/** The fetch sessions of one server, with a limit on their number and on their partitions. */
export class FetchSessions {
  readonly #env: Env;
  /** By id; the one that was used least recently comes first. */
  readonly #sessions = new Map<number, FetchSession>();
  #partitionCount = 0;

  constructor(env: Env) {
    this.#env = env;
  }

  get count(): number {
    return this.#sessions.size;
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  scopeOf(request: FetchRequest, version: number): FetchScope {
    const { sessionId, sessionEpoch } = request;
    if (version < versionOfSessions) return alone(request);
    if (sessionEpoch === epochNone || sessionEpoch === epochFirst) {
      const previous = this.#sessions.get(sessionId);
      if (previous !== undefined) this.#remove(previous);
      return sessionEpoch === epochNone ? alone(request) : this.#open(request, version);
    }
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return { kind: "refused", code: "fetch_session_not_found" };
    const isNext = session.epoch === sessionEpoch;
    if (!isNext || session.usesTopicIds !== version >= versionOfTopicIds) {
      return { kind: "refused", code: "fetch_session_epoch_invalid" };
    }
    return this.#continue(session, request);
  }

  #open(request: FetchRequest, version: number): FetchScope {
    const nowMs = this.#env.clock.monotonicMs();
    const usesTopicIds = version >= versionOfTopicIds;
    const session = new FetchSession(this.#freeId(), usesTopicIds, nowMs);
    session.apply(request);
    if (!this.#makeRoom(1, session.partitionCount)) return alone(request);
    this.#sessions.set(session.id, session);
    this.#partitionCount += session.partitionCount;
    return { kind: "session", session, isFirst: true, targets: session.targets() };
  }

  #continue(session: FetchSession, request: FetchRequest): FetchScope {
    // Out of the order of use while others may make room for it.
    this.#remove(session);
    session.apply(request);
    if (!this.#makeRoom(1, session.partitionCount)) {
      return { kind: "refused", code: "fetch_session_not_found" };
    }
    session.usedMs = this.#env.clock.monotonicMs();
    session.epoch = session.epoch === epochMax ? 1 : session.epoch + 1;
    this.#sessions.set(session.id, session);
    this.#partitionCount += session.partitionCount;
    return { kind: "session", session, isFirst: false, targets: session.targets() };
  }

  /** Whether there is room for so much more, after idle sessions were ended. */
  #makeRoom(sessions: number, partitions: number): boolean {
    const idleSinceMs = this.#env.clock.monotonicMs() - idleMsMin;
    for (const session of this.#sessions.values()) {
      if (this.#hasRoom(sessions, partitions) || session.usedMs > idleSinceMs) break;
      this.#remove(session);
    }
    return this.#hasRoom(sessions, partitions);
  }

  #hasRoom(sessions: number, partitions: number): boolean {
    return (
      this.#sessions.size + sessions <= sessionsMax &&
      this.#partitionCount + partitions <= sessionPartitionsMax
    );
  }

  #remove(session: FetchSession): void {
    if (!this.#sessions.delete(session.id)) return;
    this.#partitionCount -= session.partitionCount;
    invariant(this.#partitionCount >= 0, "a session takes with it what it brought");
  }

  /** Positive and taken by nobody. */
  #freeId(): number {
    const bytes = Buffer.alloc(4);
    for (;;) {
      this.#env.random.fill(bytes);
      const id = bytes.readInt32BE() & 0x7fff_ffff;
      if (id !== 0 && !this.#sessions.has(id)) return id;
    }
  }
}

function alone({ topics }: FetchRequest): FetchScope {
  const targets: FetchTarget[] = [];
  for (const topic of topics) {
    for (const wanted of topic.partitions) targets.push(new FetchTarget(topic, wanted));
  }
  return { kind: "alone", targets };
}
