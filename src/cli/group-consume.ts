import { LogError } from "../errors/index.ts";
import type { Generation, PartitionRange, PositionToCommit } from "../kafka/index.ts";
import type { ConsumeFlags } from "./consume.ts";
import type { PlaceMember, RecordRun } from "./place.ts";
import type { RecordWriter } from "./record-writer.ts";
import { planRead } from "./resolve.ts";
import type { Session } from "./session.ts";

export interface GroupReading {
  readonly topics: readonly string[];
  readonly groupId: string;
  readonly flags: ConsumeFlags;
  readonly writer: RecordWriter;
}

const COMMIT_MS = 1_000;
const ENDING_MS = 500;

/**
 * Prints the records of this member's share, from where the group was, and commits what was printed.
 * After a crash records may be printed again, and none is left out.
 */
export async function consumeInGroup(session: Session, reading: GroupReading): Promise<void> {
  const { client, signal } = session;
  const topics = [...new Set(reading.topics)];
  const member = client.member({ groupId: reading.groupId, topics, signal });
  const work = new GroupWork(session, reading, member);
  try {
    while (!(await work.generation(await member.join())));
  } finally {
    await work.commit();
    await member.leave();
  }
}

class GroupWork {
  readonly #session: Session;
  readonly #reading: GroupReading;
  readonly #member: PlaceMember;
  /** What was printed and is not committed. */
  readonly #printed = new Map<string, PositionToCommit>();
  #committedMs: number;

  constructor(session: Session, reading: GroupReading, member: PlaceMember) {
    this.#session = session;
    this.#reading = reading;
    this.#member = member;
    this.#committedMs = session.env.clock.monotonicMs();
  }

  /** Works until the generation has ended, or everything is read: then it answers true. */
  async generation(generation: Generation): Promise<boolean> {
    const { client } = this.#session;
    const signal = AbortSignal.any([this.#session.signal, generation.ended]);
    const { writer, flags } = this.#reading;
    try {
      const ranges = await this.#rangesOf(generation);
      for await (const run of client.read(ranges, { signal, isFew: false })) {
        this.#printedTo(run, writer.run(run, flags.count));
        await this.#session.output.drained();
        if (writer.count === flags.count) return true;
        await this.#commitSometimes();
      }
      // A member without a share stays, because its turn may come.
      if (flags.follow) await aborted(signal);
      return true;
    } catch (thrown) {
      if (this.#session.signal.aborted || !generation.ended.aborted) throw thrown;
      await this.commit();
      return false;
    }
  }

  /** Commits what was printed. One who is out of the group can not, and whoever follows prints it again. */
  async commit(): Promise<void> {
    const positions = [...this.#printed.values()];
    this.#printed.clear();
    this.#committedMs = this.#session.env.clock.monotonicMs();
    try {
      // Whoever was told to end does not wait for a server that is away.
      const { aborted: isEnding } = this.#session.signal;
      await this.#member.commit(positions, isEnding ? { msMax: ENDING_MS } : {});
    } catch (thrown) {
      const { message } = LogError.from(thrown);
      this.#session.say(`cordwood: not committed, so some records will come again: ${message}`);
    }
  }

  async #commitSometimes(): Promise<void> {
    if (this.#session.env.clock.monotonicMs() - this.#committedMs >= COMMIT_MS) await this.commit();
  }

  #printedTo({ topic, partition }: RecordRun, offset: number): void {
    this.#printed.set(`${topic}/${partition}`, { topic, partition, offset });
  }

  /** From what the group committed on; without that, or where the log holds that no more, from the range's start. */
  async #rangesOf({ assignment }: Generation): Promise<PartitionRange[]> {
    const { flags, groupId, topics } = this.#reading;
    const committed = await this.#session.client.groups.positions(groupId);
    const ranges: PartitionRange[] = [];
    for (const topic of topics) {
      const partitions = assignment.filter((part) => part.topic === topic);
      if (partitions.length === 0) continue;
      const planned = await planRead(this.#session, {
        topic,
        range: flags.range,
        partitions: partitions.map(({ partition }) => partition),
        follows: flags.follow,
      });
      for (const range of planned) {
        const position = committed.find(
          (each) => each.topic === topic && each.partition === range.partition,
        );
        ranges.push({ ...range, start: position?.offset ?? range.start });
      }
    }
    return ranges;
  }
}

/** Rejects with the reason, once the signal is aborted. */
async function aborted(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
