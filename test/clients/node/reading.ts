// What a member of a group reads, told as the checker wants it.
import type { Client, Member, Offsets, ReadRecord } from "../client.ts";
import { readChecksum } from "../facts.ts";

export type Row = readonly [partition: number, offset: number, number: number, crc: number];

/** A member of a group, of the name of its topic if not said otherwise, and what it has read. */
export class Reading {
  rows: Row[] = [];
  readonly numbers = new Set<number>();
  readonly next = new Map<number, number>();
  readonly #member: Member;

  static async join(client: Client, topic: string, group = topic): Promise<Reading> {
    let reading: Reading | undefined;
    const early: ReadRecord[] = [];
    const member = await client.join(group, topic, (record) => {
      if (reading) reading.#add(record);
      else early.push(record);
    });
    reading = new Reading(member);
    for (const record of early) reading.#add(record);
    return reading;
  }

  private constructor(member: Member) {
    this.#member = member;
  }

  owned(): readonly number[] {
    return this.#member.partitions().toSorted((a, b) => a - b);
  }

  /** What was read since the last time. */
  take(): readonly Row[] {
    const taken = this.rows;
    this.rows = [];
    return taken;
  }

  async commit(next: Offsets): Promise<void> {
    const owned = new Set(this.owned());
    const mine = new Map([...next].filter(([partition]) => owned.has(partition)));
    if (mine.size > 0) await this.#member.commit(mine);
  }

  async leave(): Promise<void> {
    await this.#member.leave();
  }

  #add(record: ReadRecord): void {
    const number = Number(String(record.value).split(" ")[1]);
    this.rows.push([record.partition, record.offset, number, readChecksum(record)]);
    this.numbers.add(number);
    this.next.set(record.partition, record.offset + 1);
  }
}
