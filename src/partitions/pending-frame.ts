import { invariant, type LogError } from "../errors/index.ts";

/** What {@link PendingFrame} tells to each partition that has a part in it. */
export interface FrameMember {
  /** Everything up to `endOffset` is in the log now, though not durable yet. */
  written(endOffset: number, bytes: number): void;
  /** Everything up to `endOffset` is durable, and so are `bytes` more of it in all since the store was opened. */
  reached(endOffset: number, bytes: number): void;
  /** Nothing that was appended since the frame before is in the log. */
  undo(): void;
  /** After {@link FrameMember.reached}, once for all frames that became durable together. */
  wake(): void;
}

/**
 * What was appended, by all partitions together, between two writes of the store: it becomes
 * durable as one or fails as one. An object and not a number, because a frame that could not be
 * written leaves its number to the next one, and nobody may take that one's success for its own.
 */
export class PendingFrame {
  /** Number in the write-ahead log; undefined until the frame is written. */
  #sequence: number | undefined;
  #isSettled = false;
  #error: LogError | undefined;
  #callbacks: (() => void)[] | undefined;
  /** The partitions in the frame, and for each where it ends once the frame is durable. Most frames have one: an empty array would be made again for it. */
  #members: FrameMember[] = nobody;
  #endOffsets: number[] = nothing;
  #endBytes: number[] = nothing;

  get sequence(): number | undefined {
    return this.#sequence;
  }

  /** Whether it is known what became of the frame. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Why the frame is not known to be durable. Undefined before it is settled, and where it is durable. */
  get error(): LogError | undefined {
    return this.#error;
  }

  /** Calls back once the frame is settled; before this returns, where it is settled already. */
  whenSettled(callback: () => void): void {
    if (this.#isSettled) {
      callback();
      return;
    }
    this.#callbacks ??= [];
    this.#callbacks.push(callback);
  }

  /** Gives a partition a part in the frame; answers its place there, for {@link PendingFrame.extend}. */
  join(member: FrameMember): number {
    if (this.#members === nobody) {
      this.#members = [member];
      this.#endOffsets = [0];
      this.#endBytes = [0];
      return 0;
    }
    this.#endOffsets.push(0);
    this.#endBytes.push(0);
    return this.#members.push(member) - 1;
  }

  /** Where the partition at `place` ends now. */
  extend(place: number, endOffset: number, endBytes: number): void {
    this.#endOffsets[place] = endOffset;
    this.#endBytes[place] = endBytes;
  }

  /** Whether the record of `member` at `offset`, which no earlier frame has, is in this one. */
  holds(member: FrameMember, offset: number): boolean {
    const place = this.#members.indexOf(member);
    return place >= 0 && offset < (this.#endOffsets[place] ?? 0);
  }

  wasWritten(sequence: number): void {
    invariant(this.#sequence === undefined && !this.#isSettled, "a frame is written once");
    this.#sequence = sequence;
    const members = this.#members;
    for (let place = 0; place < members.length; place++) {
      members[place]?.written(this.#endOffsets[place] ?? 0, this.#endBytes[place] ?? 0);
    }
  }

  /** Moves each partition of the frame forward; nobody is told yet. */
  reach(): void {
    const members = this.#members;
    for (let place = 0; place < members.length; place++) {
      members[place]?.reached(this.#endOffsets[place] ?? 0, this.#endBytes[place] ?? 0);
    }
  }

  /** Takes back what each partition of the frame did for it. */
  undo(): void {
    for (const member of this.#members) member.undo();
  }

  /** Tells those who wait for the frame. Callbacks must not throw. */
  settle(error?: LogError): void {
    invariant(!this.#isSettled, "a frame is settled once");
    this.#isSettled = true;
    this.#error = error;
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    if (callbacks !== undefined) for (const callback of callbacks) callback();
  }

  /** Wakes the readers of each partition of the frame. */
  wake(): void {
    for (const member of this.#members) member.wake();
  }

  /** Lets go of the partitions: each of them keeps its last frame, which must not keep the others. */
  disband(): void {
    this.#members = nobody;
    this.#endOffsets = nothing;
    this.#endBytes = nothing;
  }
}

const nobody: FrameMember[] = [];
const nothing: number[] = [];
