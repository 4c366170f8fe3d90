/**
 * What clients were told, and the check that a broker still says the same.
 *
 * Every entry carries the place in the world's history at which it was made, so that one history can
 * be held against what any prefix of it left on the disk.
 */
import type { Broker } from "../src/broker/index.ts";
import type { Partition } from "../src/partitions/index.ts";
import { RecordCursor } from "../src/records/index.ts";

/** The product broke a promise. */
export class Violation extends Error {}

/** One batch of a producer. */
export interface Send {
  readonly producer: string;
  /** Position among the sends of this producer to this partition. */
  readonly index: number;
  readonly isIdempotent: boolean;
  readonly values: readonly string[];
  /** Of all its records. Of those with one key a compaction keeps the last. */
  readonly key: string | undefined;
  readonly sentAt: number;
  ackedAt: number;
  baseOffset: number;
  /** It was answered that the batch is not in the log, and it will not be sent again. */
  refusedAt: number;
}

interface Deletion {
  readonly before: number;
  readonly sentAt: number;
  ackedAt: number;
}

export interface Commit {
  readonly offset: number;
  readonly sentAt: number;
  ackedAt: number;
  refusedAt: number;
}

interface PartitionFacts {
  readonly sends: Send[];
  readonly sendOf: Map<string, Send>;
  /** Sends of each producer. */
  readonly countOf: Map<string, number>;
  /** What was read, by offset. */
  readonly values: Map<number, string>;
  readonly deletions: Deletion[];
  /** High watermarks that were seen; each with the place where it was. */
  readonly seen: { readonly highWatermark: number; readonly at: number }[];
  /** Retention may have moved the start from here on. */
  retainedAt: number;
  /** A compaction may have removed records from here on. */
  compactedAt: number;
}

export interface TopicFacts {
  readonly name: string;
  partitionCount: number;
  readonly sentAt: number;
  topicId: string | undefined;
  ackedAt: number;
  deleteSentAt: number;
  deleteAckedAt: number;
}

interface Found {
  readonly offset: number;
  readonly value: string;
}

const never = Infinity;

export class Ledger {
  /** Whether all that is checked follows from each other; false where each check is of another future. */
  isOneHistory = false;
  /** The place in the history now. */
  now: () => number = () => 0;
  readonly topics: TopicFacts[] = [];
  readonly #partitions = new Map<string, PartitionFacts>();
  readonly #commits = new Map<string, Commit[]>();
  readonly #producerIds = new Set<number>();
  readonly #generations = new Map<string, { readonly generation: number; readonly at: number }[]>();
  /** Acknowledged batches, for the report. */
  acked = 0;

  topicSent(name: string, partitionCount: number): TopicFacts {
    const facts: TopicFacts = {
      name,
      partitionCount,
      sentAt: this.now(),
      topicId: undefined,
      ackedAt: never,
      deleteSentAt: never,
      deleteAckedAt: never,
    };
    this.topics.push(facts);
    return facts;
  }

  topicAcked(facts: TopicFacts, topicId: string): void {
    facts.topicId = topicId;
    facts.ackedAt = this.now();
  }

  /** The topic was not made, and will not be. */
  topicRefused(facts: TopicFacts): void {
    this.topics.splice(this.topics.indexOf(facts), 1);
  }

  sent(
    place: string,
    send: Pick<Send, "producer" | "isIdempotent" | "values"> & Partial<Pick<Send, "key">>,
  ): Send {
    const facts = this.#partition(place);
    const index = facts.countOf.get(send.producer) ?? 0;
    facts.countOf.set(send.producer, index + 1);
    const made: Send = {
      key: undefined,
      ...send,
      index,
      sentAt: this.now(),
      ackedAt: never,
      baseOffset: -1,
      refusedAt: never,
    };
    facts.sends.push(made);
    for (const value of made.values) facts.sendOf.set(value, made);
    return made;
  }

  ackedSend(send: Send, baseOffset: number): void {
    if (send.ackedAt !== never && send.baseOffset !== baseOffset) {
      throw new Violation(
        `${nameOf(send)} was acknowledged at ${send.baseOffset}, then at ${baseOffset}`,
      );
    }
    if (send.ackedAt !== never) return;
    send.ackedAt = this.now();
    send.baseOffset = baseOffset;
    this.acked++;
  }

  deletionSent(place: string, before: number): Deletion {
    const deletion = { before, sentAt: this.now(), ackedAt: never };
    this.#partition(place).deletions.push(deletion);
    return deletion;
  }

  retained(place: string): void {
    const facts = this.#partition(place);
    facts.retainedAt = Math.min(facts.retainedAt, this.now());
  }

  compacted(place: string): void {
    const facts = this.#partition(place);
    facts.compactedAt = Math.min(facts.compactedAt, this.now());
  }

  /** A high watermark was visible: what is below it must never go away. */
  saw(place: string, highWatermark: number): void {
    const { seen } = this.#partition(place);
    const last = seen.at(-1)?.highWatermark ?? 0;
    if (highWatermark > last) seen.push({ highWatermark, at: this.now() });
  }

  /** A record was read: whatever happens, nothing else will ever be read there. */
  read(place: string, offset: number, value: string): void {
    const { values, sendOf } = this.#partition(place);
    const before = values.get(offset) ?? value;
    if (before !== value) throw new Violation(`${place}@${offset}: "${before}", then "${value}"`);
    if (!sendOf.has(value)) throw new Violation(`${place}@${offset}: "${value}" was never sent`);
    values.set(offset, value);
  }

  /** @param key group, topic and place, with bars between. */
  commitSent(key: string, offset: number): Commit {
    const commit = { offset, sentAt: this.now(), ackedAt: never, refusedAt: never };
    const commits = this.#commits.get(key) ?? [];
    this.#commits.set(key, commits);
    commits.push(commit);
    return commit;
  }

  producerId(producerId: number): void {
    if (this.#producerIds.has(producerId)) {
      throw new Violation(`producer id ${producerId} was given twice`);
    }
    this.#producerIds.add(producerId);
  }

  /** A group's generation had its assignment acknowledged. */
  generation(group: string, generation: number): void {
    const seen = this.#generations.get(group) ?? [];
    this.#generations.set(group, seen);
    const last = seen.at(-1)?.generation ?? 0;
    if (generation < last) {
      throw new Violation(`group ${group}: generation ${generation} after ${last}`);
    }
    if (generation > last) seen.push({ generation, at: this.now() });
  }

  /** Equal for two places of histories between which nothing was sent or told. */
  summary(at: number): string {
    const marks: (number | string)[] = [];
    for (const { topicId = "", ackedAt, deleteSentAt, deleteAckedAt } of this.topics) {
      marks.push(topicId, +(ackedAt <= at), +(deleteSentAt <= at), +(deleteAckedAt <= at));
    }
    for (const { sends, deletions, seen, retainedAt, compactedAt } of this.#partitions.values()) {
      for (const { sentAt, ackedAt } of sends) marks.push(+(sentAt <= at) + +(ackedAt <= at));
      for (const { before, sentAt, ackedAt } of deletions) {
        marks.push(before, +(sentAt <= at) + +(ackedAt <= at));
      }
      marks.push(
        +(retainedAt <= at),
        +(compactedAt <= at),
        seen.filter((one) => one.at <= at).length,
      );
    }
    for (const commits of this.#commits.values()) {
      for (const { sentAt, ackedAt } of commits) marks.push(+(sentAt <= at) + +(ackedAt <= at));
    }
    return marks.join(",");
  }

  sendsOf(place: string): readonly Send[] {
    return this.#partitions.get(place)?.sends ?? [];
  }

  /**
   * Holds a broker, freshly opened, against all that was told up to `at`.
   * @throws Violation
   */
  async check(broker: Broker, at: number = this.now()): Promise<void> {
    for (const topic of this.topics) checkTopic(broker, topic, at);
    const known = new Set(this.topics.map(({ name }) => name));
    for (const { name, topicId, isInternal, partitions } of broker.listTopics()) {
      if (isInternal) continue;
      if (!known.has(name)) throw new Violation(`topic ${name} was never created`);
      for (const partition of partitions) {
        const place = `${topicId}/${partition.index}`;
        if (name.startsWith("retained")) this.#partition(place).retainedAt = 0;
        if (name.startsWith("compacted")) this.#partition(place).compactedAt = 0;
        // Retention goes on meanwhile.
        for (let start = -1; start !== partition.logStartOffset;) {
          start = partition.logStartOffset;
          await this.#checkPartition(place, partition, at);
        }
      }
    }
    await this.#checkCommits(broker, at);
  }

  async #checkPartition(place: string, partition: Partition, at: number): Promise<void> {
    const facts = this.#partition(place);
    const { logStartOffset: start, highWatermark, logEndOffset } = partition;
    const fail = (what: string): never => {
      throw new Violation(`${place} [${start}, ${highWatermark}): ${what}`);
    };
    if (highWatermark > logEndOffset) fail(`the log ends at ${logEndOffset}`);
    for (const { highWatermark: seen, at: seenAt } of facts.seen) {
      if (seenAt <= at && seen > highWatermark) fail(`high watermark ${seen} was visible`);
    }
    const deletions = facts.deletions.filter(({ sentAt }) => sentAt <= at);
    const mustStart = Math.max(
      0,
      ...deletions.filter(({ ackedAt }) => ackedAt <= at).map(({ before }) => before),
    );
    const mayStart = Math.max(0, ...deletions.map(({ before }) => before));
    if (start < mustStart) fail(`records below ${mustStart} were deleted`);
    if (start > mayStart && facts.retainedAt > at) fail(`nobody deleted records above ${mayStart}`);
    const found = await readAll(partition, start);
    if (partition.logStartOffset !== start) return;
    if (this.isOneHistory) {
      for (const { offset, value } of found) this.read(place, offset, value);
    }
    const values = new Map(found.map(({ offset, value }) => [offset, value]));
    const newest = new Map<string, number>();
    if (facts.compactedAt <= at) {
      for (const { offset, value } of found) {
        const key = facts.sendOf.get(value)?.key;
        if (key !== undefined) newest.set(key, offset);
      }
    }
    checkGaps(facts, { found, start, highWatermark, newest, at }, fail);
    const firstOffsets = this.#checkFound(facts, found, at, fail);
    for (const send of facts.sends) {
      if (send.ackedAt > at) continue;
      for (const [i, value] of send.values.entries()) {
        const offset = send.baseOffset + i;
        const isCompacted = !values.has(offset) && isSuperseded(newest, send.key, offset);
        if (offset >= start && values.get(offset) !== value && !isCompacted) {
          fail(`${nameOf(send)} was acknowledged at ${offset}; there is ${values.get(offset)}`);
        }
      }
    }
    checkOrder(facts, firstOffsets, start, fail);
  }

  /** Answers at which offset each batch begins that was found. */
  // oxlint-disable-next-line max-params -- what was found, and against what
  #checkFound(
    facts: PartitionFacts,
    found: readonly Found[],
    at: number,
    fail: (what: string) => never,
  ): Map<Send, number> {
    const firstOffsets = new Map<Send, number>();
    const offsets = new Map<string, number>();
    for (const { offset, value } of found) {
      const before = offsets.get(value);
      if (before !== undefined) fail(`"${value}" is at ${before} and at ${offset}`);
      offsets.set(value, offset);
      const send = facts.sendOf.get(value);
      if (send === undefined || send.sentAt > at) return fail(`"${value}" was never sent`);
      if (send.refusedAt <= at) fail(`"${value}" was refused, and is at ${offset}`);
      const base = offset - send.values.indexOf(value);
      if ((firstOffsets.get(send) ?? base) !== base) fail(`${nameOf(send)} is torn at ${offset}`);
      firstOffsets.set(send, base);
    }
    return firstOffsets;
  }

  async #checkCommits(broker: Broker, at: number): Promise<void> {
    for (const [key, commits] of this.#commits) {
      const [group = "", topic = "", place = ""] = key.split("|");
      const [topicId, partition] = place.split("/");
      const facts = this.topics.find((one) => one.topicId === topicId);
      if (facts === undefined || facts.deleteSentAt <= at) continue;
      const item = { topic: { name: topic }, partition: Number(partition) };
      const answer = await broker.fetchOffsets({ groupId: group, partitions: [item] });
      const offset = answer.offsets[0]?.offset;
      const lastAcked = commits.findLastIndex(({ ackedAt }) => ackedAt <= at);
      const index = commits.findLastIndex(
        (commit) => commit.offset === offset && commit.sentAt <= at && commit.refusedAt > at,
      );
      if (offset === undefined ? lastAcked >= 0 : index < Math.max(lastAcked, 0)) {
        throw new Violation(
          `group ${key}: offset ${offset}, ${commits[lastAcked]?.offset} was acknowledged last`,
        );
      }
    }
    for (const [group, seen] of this.#generations) {
      // A group without members keeps no promise about generations that nobody knows any more.
      const known = seen.findLast((one) => one.at <= at);
      const [described] = await broker.describeGroups([group]);
      if (known !== undefined && described?.state === "Dead") {
        throw new Violation(`group ${group} of generation ${known.generation} is gone`);
      }
    }
  }

  #partition(place: string): PartitionFacts {
    let facts = this.#partitions.get(place);
    if (facts === undefined) {
      facts = {
        sends: [],
        sendOf: new Map(),
        countOf: new Map(),
        values: new Map(),
        deletions: [],
        seen: [],
        retainedAt: never,
        compactedAt: never,
      };
      this.#partitions.set(place, facts);
    }
    return facts;
  }
}

function checkTopic(broker: Broker, topic: TopicFacts, at: number): void {
  const { name, topicId } = topic;
  const open = broker.topicNamed(name);
  if (topicId !== undefined && topic.deleteAckedAt <= at && open?.topicId === topicId) {
    throw new Violation(`topic ${name} was deleted, and is there`);
  }
  const mustBeThere = topic.ackedAt <= at && topic.deleteSentAt > at;
  if (!mustBeThere) return;
  if (open?.topicId !== topicId) throw new Violation(`topic ${name} was created, and is not there`);
  if ((open?.partitions.length ?? 0) < topic.partitionCount) {
    throw new Violation(`topic ${name} has lost partitions`);
  }
}

/** Whether a newer record of the same key is there, so that a compaction may have removed this one. */
function isSuperseded(
  newest: ReadonlyMap<string, number>,
  key: string | undefined,
  offset: number,
): boolean {
  return key !== undefined && (newest.get(key) ?? -1) > offset;
}

/** Offsets without a record are those that a compaction may have emptied. */
function checkGaps(
  facts: PartitionFacts,
  log: {
    readonly found: readonly Found[];
    readonly start: number;
    readonly highWatermark: number;
    /** Offset of the newest record of each key; empty where nothing was compacted. */
    readonly newest: ReadonlyMap<string, number>;
    readonly at: number;
  },
  fail: (what: string) => never,
): void {
  const { found, start, highWatermark, newest, at } = log;
  const here = new Set(found.map(({ offset }) => offset));
  // Where a batch is that nobody was told of, nobody knows.
  let untold = 0;
  const told = new Map<number, Send>();
  for (const send of facts.sends) {
    if (send.sentAt > at) continue;
    if (send.ackedAt <= at) {
      for (const i of send.values.keys()) told.set(send.baseOffset + i, send);
    } else if (send.refusedAt > at && isSuperseded(newest, send.key, -1)) {
      untold += send.values.length;
    }
  }
  for (let offset = start; offset < highWatermark; offset++) {
    if (here.has(offset)) continue;
    const send = told.get(offset);
    const isCompacted = send === undefined ? untold-- > 0 : isSuperseded(newest, send.key, offset);
    if (!isCompacted) fail(`offset ${offset} is missing, of ${found.length} records`);
  }
  if (found.some(({ offset }, i) => offset <= (found[i - 1]?.offset ?? -1))) fail("out of order");
}

/** Batches of one producer are in the order in which it sent them; an idempotent one leaves no gap. */
// oxlint-disable-next-line max-params -- what was found, and against what
function checkOrder(
  facts: PartitionFacts,
  firstOffsets: ReadonlyMap<Send, number>,
  start: number,
  fail: (what: string) => never,
): void {
  const last = new Map<string, { readonly send: Send; readonly offset: number }>();
  for (const send of facts.sends) {
    const offset = firstOffsets.get(send);
    if (offset === undefined) continue;
    const before = last.get(send.producer);
    if (before !== undefined && before.offset >= offset) {
      fail(`${nameOf(send)} is at ${offset}, ${nameOf(before.send)} at ${before.offset}`);
    }
    const isGap = before !== undefined && before.send.index !== send.index - 1;
    const isFirstGap = before === undefined && send.index > 0 && start === 0;
    if (send.isIdempotent && (isGap || isFirstGap))
      fail(`a batch before ${nameOf(send)} is missing`);
    last.set(send.producer, { send, offset });
  }
}

function nameOf(send: Send): string {
  return `"${send.values[0]}"`;
}

/** Every record that a partition serves. */
async function readAll(partition: Partition, start: number): Promise<Found[]> {
  const found: Found[] = [];
  const cursor = new RecordCursor();
  let next = start;
  while (next < partition.highWatermark && partition.logStartOffset === start) {
    const fetched = await partition.read(next, { bytesMax: 1 << 16, atLeastOneBatch: true });
    if (fetched === undefined) throw new Violation(`nothing can be read at ${next}`);
    const { bytes } = fetched;
    for (let at = 0; at < bytes.length; at += cursor.header.sizeBytes) {
      cursor.reset(bytes, at);
      found.push(...recordsFrom(cursor, next));
      if (cursor.header.nextOffset <= next) throw new Violation(`no way forward at ${next}`);
    }
    next = cursor.header.nextOffset;
    fetched.release();
  }
  return found;
}

function* recordsFrom(cursor: RecordCursor, from: number): Generator<Found> {
  while (cursor.advance()) {
    const value = Buffer.from(cursor.value() ?? []).toString();
    if (cursor.offset >= from) yield { offset: cursor.offset, value };
  }
}
