// Idempotent producers that keep their identity and sequences over any number of lost connections: what was not
// acknowledged is sent again, in order, with the same producer id, epoch and sequences.
import { setTimeout as delay } from "node:timers/promises";

import {
  buildBatch,
  initProducerId,
  produce,
  type ProducerIdentity,
  Wire,
  WireError,
} from "../clients/wire.ts";
import type { Random } from "./random.ts";

const batchRecordsMax = 20;
const paddingBytesMax = 600;
const paceMs = 3;

/** An acknowledged batch of one producer and partition. */
export interface Acknowledged {
  readonly baseSequence: number;
  readonly baseOffset: number;
  readonly recordCount: number;
}

interface Outgoing {
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly bytes: Buffer;
}

/** What one producer knows about one partition. */
class Lane {
  readonly acknowledged: Acknowledged[] = [];
  /** Sent at least once and not yet acknowledged, in order. */
  readonly outstanding: Outgoing[] = [];
  nextSequence = 0;
}

export interface ProducerOptions {
  readonly number: number;
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitionCount: number;
  /** Batches of one partition that may wait for their answers at a time. */
  readonly inFlightMax: number;
  readonly random: Random;
}

export class Producer {
  readonly number: number;
  readonly lanes: readonly Lane[];
  readonly #options: ProducerOptions;
  #identity: ProducerIdentity | undefined;
  #isStopped = false;
  #isAbandoned = false;
  /** An answer that no correct server gives; the run ends with it. */
  #failure: Error | undefined;
  /** Batches that were sent once more, because their answer was lost or never given. */
  #resentCount = 0;
  /** The connection of now. */
  #wire: Wire | undefined;

  constructor(options: ProducerOptions) {
    this.number = options.number;
    this.#options = options;
    this.lanes = Array.from({ length: options.partitionCount }, () => new Lane());
  }

  get identity(): ProducerIdentity | undefined {
    return this.#identity;
  }

  get resentCount(): number {
    return this.#resentCount;
  }

  get acknowledgedCount(): number {
    return this.lanes
      .flatMap((lane) => lane.acknowledged)
      .reduce((sum, batch) => sum + batch.recordCount, 0);
  }

  /** Writes until `stop`, then ends once all that it began is acknowledged. Rejects on an answer that is wrong. */
  async run(): Promise<void> {
    while (!this.#isDone()) {
      try {
        await this.#session();
      } catch (error) {
        if (this.#failure) throw this.#failure;
        if (!(error instanceof Error)) throw error;
        await delay(20); // The server is down or not ready; there is nothing to wait on but time.
      }
    }
  }

  /** Begins nothing new; `run` ends when all is acknowledged. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Loses all answers of this connection: what it still sends is written and never acknowledged. */
  deafen(): void {
    this.#wire?.deafen();
  }

  /** Gives up what is outstanding too. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  #isDone(): boolean {
    if (this.#isAbandoned) return true;
    return this.#isStopped && this.lanes.every((lane) => lane.outstanding.length === 0);
  }

  /** One connection: resends what is outstanding, then writes on, until the first failure. */
  async #session(): Promise<void> {
    const wire = await Wire.connect(this.#options.bootstrap);
    this.#wire = wire;
    try {
      this.#identity ??= await initProducerId(wire);
      const failed = Promise.withResolvers<never>();
      const send = (partition: number, lane: Lane, batch: Outgoing): void => {
        this.#send(wire, partition, lane, batch).catch(failed.reject);
      };
      for (const [partition, lane] of this.lanes.entries()) {
        this.#resentCount += lane.outstanding.length;
        for (const batch of lane.outstanding) send(partition, lane, batch);
      }
      while (!this.#isDone()) {
        if (!this.#isStopped) this.#write(send);
        await Promise.race([delay(paceMs), failed.promise]);
      }
    } finally {
      wire.close();
    }
  }

  /** One new batch to a random partition that has room. */
  #write(send: (partition: number, lane: Lane, batch: Outgoing) => void): void {
    const { random, partitionCount, inFlightMax } = this.#options;
    const partition = random.below(partitionCount);
    const lane = this.lanes[partition];
    if (!lane || !this.#identity || lane.outstanding.length >= inFlightMax) return;
    const recordCount = 1 + random.below(batchRecordsMax);
    const values = Array.from({ length: recordCount }, (_, index) =>
      valueOf(this.number, lane.nextSequence + index, random.below(paddingBytesMax)),
    );
    const baseSequence = lane.nextSequence;
    const options = { producer: this.#identity, baseSequence, timestampMs: Date.now() };
    const batch = { baseSequence, recordCount, bytes: buildBatch(values, options) };
    lane.nextSequence += recordCount;
    lane.outstanding.push(batch);
    send(partition, lane, batch);
  }

  async #send(wire: Wire, partition: number, lane: Lane, batch: Outgoing): Promise<void> {
    const { topic } = this.#options;
    let baseOffset: number;
    try {
      baseOffset = await produce(wire, topic, partition, batch.bytes);
    } catch (error) {
      // After a failure of an earlier batch the later ones are out of order, rightly. The first one never is.
      const isFirst = lane.outstanding[0] === batch;
      if (isFirst && error instanceof WireError && !mayPass.has(error.code)) {
        const who = `producer ${this.number} partition ${partition} sequence ${batch.baseSequence}`;
        this.#failure ??= new Error(`${who}: ${error.message}`, { cause: error });
      }
      throw error;
    }
    if (lane.outstanding.shift() !== batch) {
      this.#failure ??= new Error(`producer ${this.number}: acknowledged out of order`);
      throw this.#failure;
    }
    const { baseSequence, recordCount } = batch;
    lane.acknowledged.push({ baseSequence, baseOffset, recordCount });
  }
}

/** Errors a server may answer while it starts or stops: unknown topic, no leader, timeout, storage, network, broker gone. */
const mayPass = new Set([3, 5, 6, 7, 8, 13, 14, 15, 16, 19, 56]);

/** `producer sequence padding`; the partition is where it is found. */
function valueOf(producer: number, sequence: number, paddingBytes: number): string {
  return `${producer} ${sequence} ${"x".repeat(paddingBytes)}`;
}

export function parseValue(value: string): {
  readonly producer: number;
  readonly sequence: number;
} {
  const [producer, sequence] = value.split(" ", 2).map(Number);
  if (producer === undefined || sequence === undefined || Number.isNaN(producer + sequence)) {
    throw new Error(`a record that nobody wrote: ${value.slice(0, 80)}`);
  }
  return { producer, sequence };
}
