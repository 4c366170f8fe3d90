import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import type { ActiveProducer, Refused } from "./outcomes.ts";

/** How many batches of a producer are known again; as many as clients have in flight at most. */
const batchesRemembered = 5;
/** Most producers that one partition remembers; beyond it those that were silent the longest are forgotten. */
export const producersPerPartitionMax = 10_000;
/** Share that is forgotten at once, so that the search for the oldest is rare. */
const forgottenShare = 0.1;

const sequenceMax = 0x7fff_ffff;

/** What the table needs of a batch's header; also what the log says of a batch at recovery. */
export interface ProducerBatch {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly maxTimestamp: number;
}

/** A batch that would be known again. */
export interface RememberedBatch {
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly maxTimestamp: number;
}

/** Never changed: an append makes a new one, so that the former is there to go back to. */
interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastActiveMs: number;
  /** Oldest first; never empty. */
  readonly batches: readonly RememberedBatch[];
}

export type SequenceVerdict =
  | { readonly kind: "next" }
  | { readonly kind: "duplicate"; readonly batch: RememberedBatch }
  | Refused;

const next: SequenceVerdict = { kind: "next" };

/** The idempotent producers of one partition: what each may send next, and its last batches. */
export class ProducerTable {
  readonly #producers = new Map<number, Producer>();
  /** For each producer that the open frame changed, what it was before; undefined where it was not there. */
  readonly #before = new Map<number, Producer | undefined>();

  get size(): number {
    return this.#producers.size;
  }

  /** Judges a batch of an idempotent producer that is about to be numbered. Pure. */
  // hot: once for every batch of an idempotent producer.
  judge(batch: ProducerBatch, recordCount: number): SequenceVerdict {
    const producer = this.#producers.get(batch.producerId);
    // A table that forgot its producer, or never met it, takes what comes as the beginning.
    if (producer === undefined) return next;
    const { producerEpoch, baseSequence } = batch;
    if (producerEpoch < producer.producerEpoch) {
      return refuse(
        "producer_fenced",
        `producer ${batch.producerId} has epoch ${producer.producerEpoch}, the batch has ${producerEpoch}: a newer instance took over`,
      );
    }
    if (producerEpoch > producer.producerEpoch) {
      if (baseSequence === 0) return next;
      return refuse(
        "sequence_out_of_order",
        `producer ${batch.producerId} begins epoch ${producerEpoch} with sequence ${baseSequence}, not with 0`,
      );
    }
    const lastSequence = sequenceAfter(baseSequence, recordCount - 1);
    for (const known of producer.batches) {
      if (known.baseSequence === baseSequence && known.lastSequence === lastSequence) {
        return { kind: "duplicate", batch: known };
      }
    }
    const expected = sequenceAfter(lastSequenceOf(producer), 1);
    if (baseSequence === expected) return next;
    const oldest = producer.batches[0];
    const isWindowFull = producer.batches.length === batchesRemembered;
    if (isWindowFull && oldest !== undefined && isBefore(lastSequence, oldest.baseSequence)) {
      return refuse(
        "sequence_duplicate",
        `producer ${batch.producerId} sent sequence ${baseSequence} long ago; only its last ${batchesRemembered} batches are known`,
      );
    }
    return refuse(
      "sequence_out_of_order",
      `producer ${batch.producerId} must send sequence ${expected} next, the batch has ${baseSequence}`,
    );
  }

  /** Remembers a batch that was appended to the open frame. */
  append(batch: ProducerBatch, nowMs: number): void {
    const { producerId } = batch;
    if (!this.#before.has(producerId)) {
      this.#before.set(producerId, this.#producers.get(producerId));
    }
    this.recover(batch, nowMs);
  }

  /** Remembers a batch that is in the log. */
  recover(batch: ProducerBatch, nowMs: number): void {
    const { producerId, producerEpoch, baseSequence, baseOffset, lastOffset } = batch;
    const known = this.#producers.get(producerId);
    const remembered: RememberedBatch = {
      baseSequence,
      lastSequence: sequenceAfter(baseSequence, lastOffset - baseOffset),
      baseOffset,
      lastOffset,
      maxTimestamp: batch.maxTimestamp,
    };
    const isSameEpoch = known !== undefined && known.producerEpoch === producerEpoch;
    const batches = isSameEpoch
      ? [...known.batches.slice(1 - batchesRemembered), remembered]
      : [remembered];
    if (known === undefined && this.#producers.size >= producersPerPartitionMax) this.#forget();
    this.#producers.set(producerId, { producerId, producerEpoch, lastActiveMs: nowMs, batches });
  }

  /** The open frame is in the log. */
  wasWritten(): void {
    if (this.#before.size > 0) this.#before.clear();
  }

  /** The open frame is not in the log. */
  undo(): void {
    for (const [producerId, producer] of this.#before) {
      if (producer === undefined) this.#producers.delete(producerId);
      else this.#producers.set(producerId, producer);
    }
    this.#before.clear();
  }

  /** Forgets producers that were last active before `beforeMs`. */
  expire(beforeMs: number): void {
    for (const producer of this.#producers.values()) {
      if (producer.lastActiveMs < beforeMs) this.#producers.delete(producer.producerId);
    }
  }

  active(): ActiveProducer[] {
    return Array.from(this.#producers.values(), (producer) => ({
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      lastSequence: lastSequenceOf(producer),
      lastActiveMs: producer.lastActiveMs,
    }));
  }

  /** Writes the table as it is without the open frame. */
  encode(writer: ByteWriter): void {
    const producers = this.#written();
    writer.int32(producers.length);
    for (const producer of producers) {
      writer.int64(producer.producerId);
      writer.int16(producer.producerEpoch);
      writer.int64(producer.lastActiveMs);
      writer.int8(producer.batches.length);
      for (const batch of producer.batches) {
        writer.int32(batch.baseSequence);
        writer.int64(batch.baseOffset);
        writer.int32(batch.lastOffset - batch.baseOffset);
        writer.int64(batch.maxTimestamp);
      }
    }
  }

  static decode(reader: ByteReader): ProducerTable {
    const table = new ProducerTable();
    for (let left = reader.int32(); left > 0; left--) {
      const producerId = reader.int64();
      const producerEpoch = reader.int16();
      const lastActiveMs = reader.int64();
      const batches: RememberedBatch[] = [];
      for (let batchesLeft = reader.int8(); batchesLeft > 0; batchesLeft--) {
        const baseSequence = reader.int32();
        const baseOffset = reader.int64();
        const offsetDelta = reader.int32();
        batches.push({
          baseSequence,
          lastSequence: sequenceAfter(baseSequence, offsetDelta),
          baseOffset,
          lastOffset: baseOffset + offsetDelta,
          maxTimestamp: reader.int64(),
        });
      }
      table.#producers.set(producerId, { producerId, producerEpoch, lastActiveMs, batches });
    }
    return table;
  }

  #written(): Producer[] {
    if (this.#before.size === 0) return [...this.#producers.values()];
    const unchanged = [...this.#producers.values()].filter(
      (producer) => !this.#before.has(producer.producerId),
    );
    const former = [...this.#before.values()].filter((producer) => producer !== undefined);
    return [...unchanged, ...former];
  }

  #forget(): void {
    const oldestFirst = [...this.#producers.values()].toSorted(
      (left, right) => left.lastActiveMs - right.lastActiveMs,
    );
    const count = Math.ceil(producersPerPartitionMax * forgottenShare);
    for (const { producerId } of oldestFirst.slice(0, count)) this.#producers.delete(producerId);
  }
}

/** Sequence numbers go from 0 to 2^31 - 1 and around. */
function sequenceAfter(sequence: number, count: number): number {
  const after = sequence + count;
  return after > sequenceMax ? after - sequenceMax - 1 : after;
}

function isBefore(sequence: number, other: number): boolean {
  const distance = other - sequence;
  const forward = distance < 0 ? distance + sequenceMax + 1 : distance;
  return forward !== 0 && forward <= sequenceMax / 2;
}

function lastSequenceOf(producer: Producer): number {
  return producer.batches.at(-1)?.lastSequence ?? 0;
}

function refuse(code: Refused["code"], reason: string): Refused {
  return { kind: "refused", code, reason };
}
