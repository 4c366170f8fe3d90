import type { OpenTopic } from "../src/broker/index.ts";
import { batchOf } from "./batches.ts";
import type { ClientShare } from "./clients.ts";
import type { Answer, Door } from "./door.ts";
import { type Send, Violation } from "./ledger.ts";
import type { Life } from "./life.ts";

const inFlightMax = 5;
const triesMax = 1_000;

interface Batch {
  readonly send: Send;
  readonly baseSequence: number;
}

/** A producer that sends again, in order, whatever was not acknowledged, over any number of restarts. */
export class IdempotentClient {
  readonly #share: ClientShare;
  readonly #name: string;
  readonly #door: Door;
  #producerId: number | undefined;
  #serial = 0;
  readonly #nextSequence = new Map<string, number>();
  /** Batches that were ever made, by place. */
  readonly #made = new Map<string, number>();
  /** Sent and not acknowledged, by place. */
  readonly #open = new Map<string, Batch[]>();
  /** The life in which each place is worked at; what an earlier one began was lost with it. */
  readonly #busy = new Map<string, Life>();

  constructor(share: ClientShare, name: string, door: Door) {
    this.#share = share;
    this.#name = name;
    this.#door = door;
  }

  async produce(life: Life, partition: OpenTopic["partitions"][number] | undefined): Promise<void> {
    const { random, ledger } = this.#share;
    const producerId = await this.#identity(life);
    if (producerId === undefined || partition === undefined) return;
    const place = `${partition.topicId}/${partition.index}`;
    if (this.#busy.get(place) === life) return;
    this.#busy.set(place, life);
    const open = this.#open.get(place) ?? [];
    this.#open.set(place, open);
    const wanted = 1 + random.below(inFlightMax);
    // A partition remembers so many batches of a producer: behind one whose answer was lost no more may follow.
    const oldest = open[0]?.send.index ?? this.#madeAt(place);
    while (open.length < wanted && this.#madeAt(place) < oldest + inFlightMax) {
      open.push(this.#next(place));
    }
    await this.#send(life, partition, open);
    ledger.saw(place, partition.highWatermark);
    this.#busy.delete(place);
  }

  /** Sends until nothing is open. */
  async finish(life: Life): Promise<void> {
    for (const [place, open] of this.#open) {
      const [topicId = "", index = "0"] = place.split("/");
      const partition = life.broker.partitionById(topicId, Number(index));
      if (partition === undefined) continue;
      for (let tries = 0; open.length > 0; tries++) {
        if (tries > triesMax) throw new Violation(`${this.#name} gets no answer at ${place}`);
        await this.#send(life, partition, open);
      }
    }
  }

  async #identity(life: Life): Promise<number | undefined> {
    if (this.#producerId !== undefined) return this.#producerId;
    try {
      const { producerId } = await life.broker.initProducerId({});
      if (this.#producerId !== undefined) return this.#producerId;
      this.#share.ledger.producerId(producerId);
      this.#producerId = producerId;
    } catch {
      // The disk failed, or the process ends: it is asked again.
    }
    return this.#producerId;
  }

  #madeAt(place: string): number {
    return this.#made.get(place) ?? 0;
  }

  #next(place: string): Batch {
    const { random, plan, ledger } = this.#share;
    const values = Array.from({ length: 1 + random.below(3) }, () => {
      return `${this.#name}-${this.#serial++}:${"y".repeat(random.below(plan.recordBytesMax))}`;
    });
    // A topic that is compacted wants one; of a batch with a key of its own the last record stays.
    const key = values[0]?.split(":")[0];
    const baseSequence = this.#nextSequence.get(place) ?? 0;
    this.#nextSequence.set(place, baseSequence + values.length);
    this.#made.set(place, this.#madeAt(place) + 1);
    return {
      send: ledger.sent(place, { producer: this.#name, isIdempotent: true, values, key }),
      baseSequence,
    };
  }

  /** Sends all that is open, some of it twice, and takes out what was acknowledged. */
  async #send(
    life: Life,
    partition: OpenTopic["partitions"][number],
    open: Batch[],
  ): Promise<void> {
    const { random, ledger, trace } = this.#share;
    const sent: { readonly answer: Promise<Answer>; readonly batch: Batch }[] = [];
    // A partition that does not know a producer takes any batch as its first: until one is there, only one is sent.
    const isFirst = open[0]?.send.index === 0;
    for (const batch of isFirst ? open.slice(0, 1) : [...open]) {
      sent.push({ answer: this.#append(life, partition, batch), batch });
      if (random.below(6) === 0) {
        sent.push({ answer: this.#append(life, partition, batch), batch });
      }
      if (random.below(3) === 0) await life.scheduler.pause(random.below(3));
    }
    const answers = await Promise.all(sent.map(({ answer }) => answer));
    for (const [i, answer] of answers.entries()) {
      const batch = sent[i]?.batch;
      if (batch === undefined) continue;
      const code = answer.kind === "failed" ? answer.code : answer.kind;
      trace.note(`${this.#name} ${batch.baseSequence} ${code}`);
      if (code === "sequence_duplicate" || code === "producer_fenced") {
        throw new Violation(`${this.#name} at ${batch.baseSequence}: ${code}`);
      }
      if (answer.kind === "failed") continue;
      ledger.ackedSend(batch.send, answer.baseOffset);
      const at = open.indexOf(batch);
      if (at >= 0) open.splice(at, 1);
    }
  }

  #append(life: Life, partition: OpenTopic["partitions"][number], batch: Batch): Promise<Answer> {
    const nowMs = life.env.clock.wallMs();
    const { baseSequence, send } = batch;
    const { key } = send;
    const about = { producerId: this.#producerId ?? 0, producerEpoch: 0, baseSequence, key };
    return this.#door.produce(life, partition, batchOf(send.values, nowMs, about));
  }
}
