/** Gives what is appended to a topic to all who follow it: read once, encoded once. */
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Counter } from "../metrics/index.ts";
import type { AdvanceWaiter, Partition } from "../partitions/index.ts";
import type { FollowForm } from "./follow-form.ts";
import type { FollowerSink } from "./follower-sink.ts";
import { PartitionReading } from "./partition-reading.ts";
import { RecordEncoder } from "./record-encoder.ts";

/** A chunk for followers is handed over at this size; a batch that is larger goes alone. */
const chunkBytes = 64 * 1024;

/** Bytes that a follower has not taken, beyond which it is left behind to read by itself. */
const unsentBytesMax = 256 * 1024;

/** A follower that has taken nothing for so many beats, with bytes waiting, is cut off. */
const stalledBeatsMax = 4;

export interface FollowCounters {
  /** Records made into text for followers, however many of them got it. */
  readonly encoded: Counter;
  /** Followers that were left behind. */
  readonly leftBehind: Counter;
  /** Bytes handed to followers. */
  readonly sentBytes: Counter;
}

export interface TailOptions {
  readonly env: Env;
  readonly partitions: readonly Partition[];
  readonly form: FollowForm;
  readonly counters: FollowCounters;
  /** Whether these are not the partitions any more that a client that came now would get. */
  readonly isOutdated: () => boolean;
  /** Called when the last follower is gone. */
  readonly onIdle: () => void;
}

/**
 * One topic, or some of its partitions, in one form. Followers that have everything are live: each
 * chunk is encoded once and handed to all of them. The others read by themselves until they are
 * where the tail is.
 */
export class TopicTail implements AdvanceWaiter {
  readonly partitions: readonly Partition[];
  readonly form: FollowForm;
  readonly #env: Env;
  readonly #counters: FollowCounters;
  readonly #isOutdated: () => boolean;
  readonly #onIdle: () => void;
  readonly #encoder = new RecordEncoder();
  readonly #followers = new Set<Follower>();
  readonly #live = new Set<Follower>();
  /** Offsets up to which the live followers have everything; meaningless while there is none. */
  #published: readonly number[] = [];
  #isPumpDue = false;
  #isPumping = false;
  #onPumped: (() => void)[] = [];
  #fault: LogError | undefined;

  constructor(options: TailOptions) {
    this.#env = options.env;
    this.partitions = options.partitions;
    this.form = options.form;
    this.#counters = options.counters;
    this.#isOutdated = options.isOutdated;
    this.#onIdle = options.onIdle;
  }

  get followerCount(): number {
    return this.#followers.size;
  }

  get behindCount(): number {
    return this.#followers.size - this.#live.size;
  }

  get counters(): FollowCounters {
    return this.#counters;
  }

  /** Begins to feed a client from `positions` on, one for each partition. */
  follow(sink: FollowerSink, positions: readonly number[]): Follower {
    if (this.#followers.size === 0) for (const each of this.partitions) each.addWaiter(this);
    const follower = new Follower(this, sink, positions);
    this.#followers.add(follower);
    follower.catchUp();
    return follower;
  }

  remove(follower: Follower): void {
    if (!this.#followers.delete(follower)) return;
    this.#live.delete(follower);
    if (this.#followers.size > 0) return;
    for (const each of this.partitions) each.removeWaiter(this);
    this.#onIdle();
  }

  /** Ends all followers; they may come again. */
  end(): void {
    for (const follower of this.#followers) follower.end();
  }

  /** Lets clients notice that the line is alive, cuts off those that take nothing, and has all come again where the topic has grown. */
  beat(): void {
    if (this.#isOutdated()) {
      this.end();
      return;
    }
    for (const follower of this.#followers) follower.beat();
  }

  advanced(): void {
    if (this.#isPumpDue || this.#isPumping) return;
    this.#isPumpDue = true;
    this.#env.timers.soon(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  /** Up to where a follower reads before it asks to be live. */
  target(): readonly number[] {
    return this.#live.size > 0
      ? this.#published
      : this.partitions.map((each) => each.highWatermark);
  }

  /** Takes a follower among the live ones where it has exactly what they have. */
  admit(follower: Follower): boolean {
    const { positions } = follower;
    const target = this.target();
    if (!positions.every((position, index) => position === target[index])) return false;
    if (this.#live.size === 0) this.#published = [...positions];
    this.#live.add(follower);
    if (!this.#isPumping && this.#hasMore()) this.advanced();
    return true;
  }

  /** Resolves when the live followers have got something. */
  async pumped(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onPumped.push(resolve);
      this.advanced();
    });
  }

  /** A live follower does not take what it gets; it goes on by itself. */
  leaveBehind(follower: Follower): void {
    this.#live.delete(follower);
    this.#counters.leftBehind.add();
    follower.positions = [...this.#published];
    follower.catchUp();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#pumpOnce().then(
      () => this.#wasPumped(),
      (thrown: unknown) => {
        this.#fault = LogError.from(thrown);
        this.#wasPumped();
        // A topic that is gone, or data that cannot be read: whoever comes again is told.
        this.end();
      },
    );
  }

  #wasPumped(): void {
    this.#isPumping = false;
    const waiting = this.#onPumped;
    this.#onPumped = [];
    for (const resolve of waiting) resolve();
    if (this.#fault === undefined && this.#live.size > 0 && this.#hasMore()) this.advanced();
  }

  /** Reads one chunk from where everybody is, and hands it over. */
  async #pumpOnce(): Promise<void> {
    for (const { closeReason } of this.partitions) if (closeReason !== undefined) throw closeReason;
    if (this.#live.size === 0) return;
    const positions = [...this.#published];
    const encoder = this.#encoder;
    for (const [index, partition] of this.partitions.entries()) {
      const reading = new PartitionReading(partition, positions[index] ?? 0);
      if (encoder.size >= chunkBytes) break;
      if (!reading.hasMore) continue;
      const encode = encoding({ tail: this, encoder, positions, index });
      await reading.step(encode);
      positions[index] = reading.next;
    }
    const chunk = encoder.take();
    // Who became live while the device was read stands where the reading began.
    this.#published = positions;
    if (chunk.length === 0) return;
    for (const follower of this.#live) follower.push(chunk);
  }

  #hasMore(): boolean {
    return this.partitions.some(
      (partition, index) => (this.#published[index] ?? 0) < partition.highWatermark,
    );
  }
}

/** What writes each record of one partition, with the positions of all that its followers have then. */
export function encoding(options: {
  readonly tail: Pick<TopicTail, "partitions" | "form" | "counters">;
  readonly encoder: RecordEncoder;
  readonly positions: readonly number[];
  readonly index: number;
}): Parameters<PartitionReading["step"]>[0] {
  const { tail, encoder, positions, index } = options;
  const before = positions
    .slice(0, index)
    .map((position) => `${position},`)
    .join("");
  const after = positions
    .slice(index + 1)
    .map((position) => `,${position}`)
    .join("");
  const number = tail.partitions[index]?.index ?? 0;
  const { encoded } = tail.counters;
  return (cursor) => {
    encoded.add();
    tail.form.record(encoder, number, cursor, `${before}${cursor.offset + 1}${after}`);
  };
}

/** One client that follows. */
export class Follower {
  /** Next offset of each partition of the tail; of a live follower the tail's own hold. */
  positions: number[];
  readonly #tail: TopicTail;
  readonly #sink: FollowerSink;
  #isOver = false;
  #isCatchingUp = false;
  /** Bytes not taken at the last beat, and for how many beats nothing was taken. */
  #lastUnsent = 0;
  #stalledBeats = 0;

  constructor(tail: TopicTail, sink: FollowerSink, positions: readonly number[]) {
    this.#tail = tail;
    this.#sink = sink;
    this.positions = [...positions];
  }

  /** Reads until it has what the live followers have. */
  catchUp(): void {
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    this.#catchUp().catch((thrown: unknown) => {
      if (!(thrown instanceof LogError)) throw thrown;
      // What cannot be read is told to whoever asks again.
      this.end();
    });
  }

  // hot: once for every follower and chunk.
  push(chunk: Uint8Array): void {
    this.#tail.counters.sentBytes.add(chunk.length);
    this.#sink.write(chunk);
    if (this.#sink.unsentBytes > unsentBytesMax) this.#tail.leaveBehind(this);
  }

  beat(): void {
    const { unsentBytes } = this.#sink;
    const isStalled = unsentBytes > 0 && unsentBytes === this.#lastUnsent;
    this.#stalledBeats = isStalled ? this.#stalledBeats + 1 : 0;
    this.#lastUnsent = unsentBytes;
    if (this.#stalledBeats >= stalledBeatsMax) this.#sink.abort();
    else if (unsentBytes === 0) this.#sink.beat();
  }

  /** The client has gone. */
  gone(): void {
    this.#isOver = true;
    this.#tail.remove(this);
  }

  end(): void {
    if (this.#isOver) return;
    this.gone();
    this.#sink.end();
  }

  async #catchUp(): Promise<void> {
    const encoder = new RecordEncoder();
    for (;;) {
      if (this.#sink.unsentBytes > 0) await this.#sink.drained();
      if (this.#isOver) return;
      if (this.#tail.admit(this)) {
        this.#isCatchingUp = false;
        return;
      }
      const target = this.#tail.target();
      const index = this.positions.findIndex((position, at) => position < (target[at] ?? 0));
      // It asked for more than the live ones have got so far.
      if (index < 0) await this.#tail.pumped();
      else await this.#readOne(encoder, index, target[index] ?? 0);
    }
  }

  async #readOne(encoder: RecordEncoder, index: number, end: number): Promise<void> {
    const partition = this.#tail.partitions[index];
    if (partition === undefined) return;
    const { positions } = this;
    const reading = new PartitionReading(partition, positions[index] ?? 0, { end });
    await reading.step(encoding({ tail: this.#tail, encoder, positions, index }));
    positions[index] = Math.max(reading.next, positions[index] ?? 0);
    const chunk = encoder.take();
    if (this.#isOver || chunk.length === 0) return;
    this.#tail.counters.sentBytes.add(chunk.length);
    this.#sink.write(chunk);
  }
}
