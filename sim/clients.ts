/** Those who use the broker: they outlive its processes, and note in the ledger what they are told. */
import { type SeededRandom } from "../src/env/index.ts";
import type { OpenTopic } from "../src/broker/index.ts";
import { LogError } from "../src/errors/index.ts";
import { type AppendOutcome, settled, whenSettled } from "../src/partitions/index.ts";
import { RecordCursor } from "../src/records/index.ts";
import { batchOf } from "./batches.ts";
import { directly, Wire } from "./door.ts";
import { IdempotentClient } from "./idempotent-client.ts";
import { type Ledger, Violation } from "./ledger.ts";
import type { Life } from "./life.ts";
import { MemberClient } from "./member-client.ts";
import type { Plan } from "./plan.ts";
import type { TraceHash } from "./trace-hash.ts";

const topicsMax = 4;
const partitionsMax = 4;
/** Keys in use in topics that are compacted. */
const keysMax = 3;
const compactedSettings = [
  ["cleanup.policy", "compact"],
  ["min.cleanable.dirty.ratio", "0.1"],
] as const;

/** What all clients share. */
export interface ClientShare {
  readonly plan: Plan;
  readonly random: SeededRandom;
  readonly ledger: Ledger;
  readonly trace: TraceHash;
}

/** What is under way in one life. */
export interface Work {
  readonly hasFailed: boolean;
  rethrow(): void;
}

export class Clients {
  readonly #share: ClientShare;
  readonly #idempotent: readonly IdempotentClient[];
  readonly #wires: readonly Wire[];
  /** Idempotent producers that use them. */
  readonly #wired: readonly IdempotentClient[];
  readonly #members: readonly MemberClient[];
  #serial = 0;

  constructor(plan: Plan, random: SeededRandom, ledger: Ledger, trace: TraceHash) {
    this.#share = { plan, random, ledger, trace };
    this.#idempotent = Array.from(
      { length: plan.idempotentProducers },
      (_, i) => new IdempotentClient(this.#share, `i${i}`, directly),
    );
    this.#wires = Array.from({ length: plan.wireProducers }, () => new Wire());
    this.#wired = this.#wires.map((wire, i) => new IdempotentClient(this.#share, `w${i}`, wire));
    this.#members = Array.from(
      { length: plan.members },
      (_, i) => new MemberClient(this.#share, `m${i}`),
    );
  }

  /** Sets everybody to work; what they do ends with the life. */
  work(life: Life): Work {
    const { plan } = this.#share;
    let failure: { readonly error: unknown } | undefined;
    const start = (run: () => Promise<void>): void => {
      const repeat = async (): Promise<void> => {
        for (;;) {
          await this.#pause(life);
          if (life.isEnding) return;
          await run();
        }
      };
      repeat().catch((error: unknown) => {
        failure ??= { error };
      });
    };
    start(() => this.#admin(life));
    start(() => this.#checkpoint(life));
    start(() => this.#syncNow(life));
    for (let i = 0; i < plan.plainProducers; i++) start(() => this.#produce(life, `p${i}`));
    for (let i = 0; i < plan.readers; i++) start(() => this.#read(life));
    for (let i = 0; i < plan.committers; i++) start(() => this.#commit(life, `g${i}`));
    for (const client of [...this.#idempotent, ...this.#wired])
      start(() => client.produce(life, pick(life, this.#share.random)));
    for (const wire of this.#wires) start(() => this.#fetch(life, wire));
    for (const client of this.#members) start(() => client.step(life));
    return {
      get hasFailed(): boolean {
        return failure !== undefined;
      },
      rethrow: () => {
        if (failure !== undefined) throw failure.error;
      },
    };
  }

  /** Until every producer has its answers. */
  async finish(life: Life): Promise<void> {
    for (const client of [...this.#idempotent, ...this.#wired]) await client.finish(life);
    for (let count = 0; count < 3; count++) await this.#produce(life, "last");
    await life.store.checkpoint();
    // Whatever is open is durable by then.
    await life.scheduler.pause(1_000);
  }

  #pause(life: Life): Promise<void> {
    const { random, plan } = this.#share;
    // Never without time: else a world would never come to its end.
    return life.scheduler.pause(0.1 + random.below(plan.pauseMsMax + 1));
  }

  async #admin(life: Life): Promise<void> {
    const { random } = this.#share;
    const what = random.below(10);
    const topics = life.broker.listTopics().filter(({ isInternal }) => !isInternal);
    const topic = topics[random.below(Math.max(topics.length, 1))];
    if (topics.length < topicsMax && (topic === undefined || what < 3)) await this.#create(life);
    else if (topic === undefined) return;
    else if (what === 3) await this.#delete(life, topic);
    else if (what === 4) await this.#grow(life, topic);
    else if (what < 8) await this.#deleteRecords(life, topic);
    else if (what === 8 && topic.name.startsWith("compacted")) await this.#compact(life, topic);
  }

  async #create(life: Life): Promise<void> {
    const { random, ledger } = this.#share;
    const number = random.below(topicsMax + 1);
    // Its name tells what a topic has, also where its creation was never answered.
    const kind = number % 3 === 2 ? "retained" : number === 1 ? "compacted" : "t";
    const name = `${kind}${number}`;
    if (life.broker.topicNamed(name) !== undefined) return;
    // Of one whose creation was never answered nobody knows the id: the name is not used again.
    if (ledger.topics.some((one) => one.name === name && one.topicId === undefined)) return;
    const settings = new Map(
      kind === "retained"
        ? [["retention.bytes", String(random.below(5_000))]]
        : kind === "compacted"
          ? compactedSettings
          : [],
    );
    const partitionCount = 1 + random.below(3);
    const facts = ledger.topicSent(name, partitionCount);
    const [created] = await life.broker.createTopics([{ name, partitionCount, settings }]);
    this.#share.trace.note(`create topic ${name} ${created?.topicId ?? created?.errorCode}`);
    if (created?.topicId === undefined) {
      if (!life.isEnding) ledger.topicRefused(facts);
      return;
    }
    ledger.topicAcked(facts, created.topicId);
  }

  async #delete(life: Life, { name, topicId }: OpenTopic): Promise<void> {
    const { ledger, random } = this.#share;
    const facts = ledger.topics.find((one) => one.topicId === topicId);
    if (facts === undefined || random.below(2) === 0) return;
    facts.deleteSentAt = ledger.now();
    const [deleted] = await life.broker.deleteTopics([{ name }]);
    this.#share.trace.note(`delete topic ${name} ${topicId} ${deleted?.errorCode ?? "acked"}`);
    if (deleted?.errorCode === undefined) facts.deleteAckedAt = ledger.now();
  }

  async #grow(life: Life, { name, topicId, partitions }: OpenTopic): Promise<void> {
    const partitionCount = partitions.length + 1;
    if (partitionCount > partitionsMax) return;
    const facts = this.#share.ledger.topics.find((one) => one.topicId === topicId);
    const [grown] = await life.broker.createPartitions([{ name, partitionCount }]);
    if (grown?.errorCode === undefined && facts !== undefined)
      facts.partitionCount = partitionCount;
  }

  async #deleteRecords(life: Life, topic: OpenTopic): Promise<void> {
    const { ledger, random } = this.#share;
    const partition = topic.partitions[random.below(topic.partitions.length)];
    if (partition === undefined) return;
    const { logStartOffset: start, highWatermark } = partition;
    const before = start + random.below(highWatermark - start + 1);
    const deletion = ledger.deletionSent(`${topic.topicId}/${partition.index}`, before);
    const item = { topic: { name: topic.name }, partition: partition.index, before };
    const [deleted] = await life.broker.deleteRecords([item]);
    if (deleted?.errorCode === undefined) deletion.ackedAt = ledger.now();
  }

  async #compact(life: Life, { name }: OpenTopic): Promise<void> {
    try {
      const done = await life.broker.compactTopic({ name });
      const removed = done.reduce((sum, { recordsRemoved }) => sum + recordsRemoved, 0);
      this.#share.trace.note(`compact ${name}: ${removed} removed`);
    } catch (error) {
      // A disk that fails fails it too, and the end of the process ends it.
      this.#share.trace.note(`compact ${name}: ${LogError.from(error).code}`);
      if (LogError.from(error).code === "data_corrupt") throw error;
    }
  }

  async #checkpoint(life: Life): Promise<void> {
    if (this.#share.random.below(10) > 0) return;
    // A disk that fails fails it too; the next one is made by and by.
    await life.store.checkpoint().catch(() => undefined);
  }

  /** As a program does that waits for the device. */
  async #syncNow(life: Life): Promise<void> {
    if (this.#share.random.below(10) > 0) return;
    try {
      life.store.flush();
      life.store.syncWalNow();
    } catch (error) {
      // A device that fails ends the process.
      this.#share.trace.note(`sync now: ${LogError.from(error).code}`);
    }
  }

  /** One batch that is never sent again. */
  async #produce(life: Life, producer: string): Promise<void> {
    const { ledger, random, trace } = this.#share;
    const partition = pick(life, random);
    if (partition === undefined) return;
    const values = Array.from({ length: 1 + random.below(4) }, () => this.#value(producer));
    const place = `${partition.topicId}/${partition.index}`;
    const nowMs = life.env.clock.wallMs();
    const isKeyed = life.broker.topicById(partition.topicId)?.name.startsWith("compacted") === true;
    const key = isKeyed ? `k${random.below(keysMax)}` : undefined;
    const send = ledger.sent(place, { producer, isIdempotent: false, values, key });
    const outcome: AppendOutcome = partition.append(batchOf(values, nowMs, { key }), nowMs);
    whenSettled([outcome], () => {
      const error = settled(outcome);
      trace.note(`${values[0]?.slice(0, 12)} ${error?.code ?? "acked"}`);
      if (error === undefined && outcome.kind === "appended") {
        ledger.ackedSend(send, outcome.baseOffset);
        ledger.saw(place, outcome.baseOffset + values.length);
        if (partition.highWatermark < outcome.baseOffset + values.length) {
          throw new Violation("acknowledged above the high watermark");
        }
      } else {
        noteRefusal(life, () => {
          send.refusedAt = ledger.now();
        });
      }
    });
    if (random.below(2) === 0) return;
    await new Promise<void>((resolve) => whenSettled([outcome], resolve));
  }

  #value(producer: string): string {
    const { plan, random } = this.#share;
    return `${producer}-${this.#serial++}:${"x".repeat(random.below(plan.recordBytesMax))}`;
  }

  async #read(life: Life): Promise<void> {
    const { ledger, random } = this.#share;
    const partition = pick(life, random);
    if (partition === undefined) return;
    const place = `${partition.topicId}/${partition.index}`;
    const { logStartOffset: start, highWatermark } = partition;
    ledger.saw(place, highWatermark);
    const fetchOffset = start + random.below(highWatermark - start + 1);
    await new Promise<void>((resolve) => {
      const items = [{ partition, fetchOffset, bytesMax: 1 + random.below(20_000) }];
      const request = {
        items,
        bytesMin: random.below(3_000),
        bytesMax: 20_000,
        waitMsMax: random.below(50),
      };
      life.broker.fetch(request, ([answer]) => {
        const { fetched } = answer ?? {};
        if (fetched !== undefined) {
          for (const [offset, value] of recordsOf(fetched.bytes)) {
            if (offset >= (answer?.highWatermark ?? 0)) throw new Violation(`read at ${offset}`);
            ledger.read(place, offset, value);
          }
          fetched.release();
        }
        if (answer?.errorCode === "data_corrupt") throw new Violation(`${answer.errorMessage}`);
        resolve();
      });
    });
  }

  /** A read over the wire: what is answered is true whatever happened on the way. */
  async #fetch(life: Life, wire: Wire): Promise<void> {
    const { ledger, random } = this.#share;
    const partition = pick(life, random);
    if (partition === undefined) return;
    const place = `${partition.topicId}/${partition.index}`;
    const { logStartOffset: start, highWatermark } = partition;
    const fetchOffset = start + random.below(highWatermark - start + 1);
    const answer = await wire.fetch(life, partition, fetchOffset);
    if (answer === undefined || answer.errorCode !== 0) return;
    ledger.saw(place, answer.highWatermark);
    for (const [offset, value] of recordsOf(answer.records)) {
      if (offset >= answer.highWatermark) throw new Violation(`read at ${offset}`);
      ledger.read(place, offset, value);
    }
  }

  async #commit(life: Life, group: string): Promise<void> {
    const { ledger, random } = this.#share;
    const partition = pick(life, random);
    if (partition === undefined) return;
    const topic = life.broker.topicById(partition.topicId);
    if (topic === undefined) return;
    const offset = random.below(1_000_000);
    const place = `${partition.topicId}/${partition.index}`;
    const commit = ledger.commitSent(`${group}|${topic.name}|${place}`, offset);
    const [answer] = await life.broker.commitOffsets({
      groupId: group,
      generationId: undefined,
      memberId: undefined,
      groupInstanceId: undefined,
      offsets: [
        {
          topic: { name: topic.name },
          partition: partition.index,
          offset,
          leaderEpoch: undefined,
          metadata: "",
        },
      ],
    });
    this.#share.trace.note(`${group} ${topic.name} ${offset} ${answer?.errorMessage ?? "acked"}`);
    if (answer?.errorCode === undefined) commit.ackedAt = ledger.now();
    else {
      noteRefusal(life, () => {
        commit.refusedAt = ledger.now();
      });
    }
  }
}

/** What the end of a process refuses may be in the log for all that anybody knows; it says so a moment later. */
function noteRefusal(life: Life, note: () => void): void {
  life.scheduler.soon(() => {
    if (!life.isEnding) note();
  });
}

function* recordsOf(bytes: Uint8Array): Generator<[number, string]> {
  const cursor = new RecordCursor();
  for (let at = 0; at < bytes.length; at += cursor.header.sizeBytes) {
    cursor.reset(bytes, at);
    while (cursor.advance()) yield [cursor.offset, Buffer.from(cursor.value() ?? []).toString()];
  }
}

/** Some partition of some topic; undefined while there is none. */
function pick(life: Life, random: SeededRandom): OpenTopic["partitions"][number] | undefined {
  const topics = life.broker.listTopics().filter(({ isInternal }) => !isInternal);
  const topic = topics[random.below(Math.max(topics.length, 1))];
  return topic?.partitions[random.below(topic.partitions.length)];
}
