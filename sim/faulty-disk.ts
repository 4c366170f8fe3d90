import { type DiskCall, diskError, MemoryDisk, type SeededRandom } from "../src/env/index.ts";
import type { Plan } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import type { TraceHash } from "./trace-hash.ts";

const codesOf: Readonly<Partial<Record<DiskCall["kind"], readonly string[]>>> = {
  open: ["EMFILE", "EIO", "EINTR"],
  list: ["EMFILE", "EIO"],
  read: ["EIO", "EINTR"],
  write: ["EIO", "ENOSPC", "EDQUOT", "EINTR"],
  rename: ["EIO", "ENOSPC"],
  remove: ["EIO"],
  syncDirectory: ["EIO", "EMFILE"],
};

/** What of a failing write arrives at most: less than the smallest frame, so never a whole one. */
const tornBytesMax = 200;

/** Fails calls of a disk as the plan says, and tells the trace of every one. */
export class Weather {
  /** No faults while it is false. */
  isOn = false;
  isFull = false;
  faults = 0;
  readonly #plan: Plan;
  readonly #random: SeededRandom;
  readonly #trace: TraceHash;

  constructor(plan: Plan, random: SeededRandom, trace: TraceHash) {
    this.#plan = plan;
    this.#random = random;
    this.#trace = trace;
  }

  disk(
    before: (options: ConstructorParameters<typeof MemoryDisk>[0]) => MemoryDisk,
    scheduler: Scheduler,
  ): MemoryDisk {
    return before({
      onCall: (call) => this.#before(call),
      settle: (task) => scheduler.answer(task),
    });
  }

  #before(call: DiskCall): void {
    const code = this.isOn ? this.#codeFor(call) : undefined;
    this.#trace.note(`${call.kind} ${call.path} ${call.count} ${code ?? ""}`);
    if (code === undefined) return;
    this.faults++;
    throw diskError(code, call.path, this.#random.below(tornBytesMax));
  }

  #codeFor({ kind }: DiskCall): string | undefined {
    const { failsOneIn, syncFailsOneIn } = this.#plan;
    if (this.isFull && kind === "write") return "ENOSPC";
    if (kind === "sync") return this.#isHit(syncFailsOneIn) ? "EIO" : undefined;
    const codes = codesOf[kind];
    if (codes === undefined || !this.#isHit(failsOneIn)) return undefined;
    return codes[this.#random.below(codes.length)];
  }

  #isHit(oneIn: number): boolean {
    return oneIn > 0 && this.#random.below(oneIn) === 0;
  }
}
