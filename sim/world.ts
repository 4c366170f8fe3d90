/** A world that one seed fixes: a disk, one process after another on it, and clients that outlive them. */
import {
  type MemoryDisk,
  MemoryDisk as Disk,
  seededFates,
  SeededRandom,
  VirtualClock,
} from "../src/env/index.ts";
import { LogError } from "../src/errors/index.ts";
import { verifyStore } from "../src/storage/index.ts";
import { Clients } from "./clients.ts";
import { Weather } from "./faulty-disk.ts";
import { Ledger, Violation } from "./ledger.ts";
import { directory, Life } from "./life.ts";
import { SimNetwork } from "./network.ts";
import { type Plan, planOf } from "./plan.ts";
import { Scheduler } from "./scheduler.ts";
import { TraceHash } from "./trace-hash.ts";

const wallStartMs = 1_767_225_600_000;
/** Starts that fail for an injected error before they go on without any. */
const failedStartsMax = 3;
/** Virtual time within which, without faults, every producer must get its answers. */
const quietMsMax = 600_000;
/** Callbacks of a life at most: some plans would do nothing else for minutes. */
const lifeStepsMax = 4_000;

export interface WorldReport {
  readonly plan: Plan;
  readonly trace: string;
  readonly steps: number;
  readonly acked: number;
  readonly faults: number;
  readonly lives: number;
  readonly virtualMs: number;
}

export async function runWorld(
  seed: number,
  listener?: (line: string) => void,
): Promise<WorldReport> {
  const world = new World(planOf(seed), listener);
  return world.run();
}

class World {
  readonly #plan: Plan;
  readonly #random: SeededRandom;
  readonly #trace: TraceHash;
  readonly #ledger = new Ledger();
  readonly #clients: Clients;
  readonly #weather: Weather;
  #nowMs = 0;
  #steps = 0;
  #lives = 0;

  constructor(plan: Plan, listener: ((line: string) => void) | undefined) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed ^ 0x5eed);
    this.#trace = new TraceHash(listener);
    this.#weather = new Weather(plan, this.#random, this.#trace);
    this.#ledger.isOneHistory = true;
    this.#clients = new Clients(plan, this.#random, this.#ledger, this.#trace);
  }

  async run(): Promise<WorldReport> {
    let disk: MemoryDisk | undefined;
    for (let number = 0; number < this.#plan.lives; number++) {
      const life = await this.#begin(disk, true);
      disk = await this.#live(life);
    }
    await this.#endInPeace(await this.#begin(disk, false));
    return {
      plan: this.#plan,
      trace: this.#trace.digest(),
      steps: this.#steps,
      acked: this.#ledger.acked,
      faults: this.#weather.faults,
      lives: this.#lives,
      virtualMs: Math.round(this.#nowMs),
    };
  }

  /** Starts a process on what the disk has, and holds it against what clients were told. */
  async #begin(former: MemoryDisk | undefined, mayFail: boolean): Promise<Life> {
    let disk = former;
    for (let failures = 0; ; failures++) {
      const life = this.#life(disk);
      this.#weather.isOn = mayFail && failures < failedStartsMax;
      this.#weather.isFull = false;
      if (this.#weather.isOn && this.#random.below(8) === 0) {
        await this.#cutStart(life);
        const losesPower = this.#plan.durability === "fsync" && this.#random.below(2) === 0;
        disk = this.#end(life, losesPower ? "power" : "kill");
        continue;
      }
      try {
        await life.scheduler.run(life.open(this.#plan));
        this.#weather.isOn = false;
        await life.scheduler.run(this.#ledger.check(life.broker));
        return life;
      } catch (error) {
        if (!this.#weather.isOn || !isOperational(error)) throw error;
        this.#trace.note(`start failed: ${LogError.from(error).code}`);
        disk = this.#end(life, "kill");
      }
    }
  }

  /** The process dies while it starts, or right after. */
  async #cutStart(life: Life): Promise<void> {
    let isOver = false;
    let failure: Error | undefined;
    const open = async (): Promise<void> => {
      try {
        await life.open(this.#plan);
      } catch (error) {
        if (!isOperational(error)) failure = LogError.from(error);
      }
      isOver = true;
    };
    const opening = open();
    const until = life.scheduler.steps + this.#random.below(60);
    await life.scheduler.runWhile(() => !isOver && life.scheduler.steps < until);
    if (isOver) await opening;
    if (failure !== undefined) throw failure;
  }

  #life(former: MemoryDisk | undefined): Life {
    this.#lives++;
    const clock = new VirtualClock(wallStartMs + Math.floor(this.#nowMs));
    const scheduler = new Scheduler(clock, this.#random);
    const make = (options: ConstructorParameters<typeof Disk>[0]): MemoryDisk =>
      former === undefined ? new Disk(options) : former.kill(options);
    const disk = this.#weather.disk(make, scheduler);
    const note = (message: string): void => this.#trace.note(message);
    const events = { debug() {}, info: note, warn: note, error: note };
    return new Life({
      scheduler,
      random: new SeededRandom(this.#random.uint32()),
      disk,
      events,
      networkFor: (network) =>
        new SimNetwork({
          network,
          scheduler,
          random: this.#random,
          plan: this.#plan,
          trace: this.#trace,
          isStormy: () => this.#weather.isOn,
          noteFault: () => {
            this.#weather.faults++;
          },
        }),
    });
  }

  /** Clients at work, in any weather, until the process ends. Answers what is left on the disk. */
  async #live(life: Life): Promise<MemoryDisk> {
    const { scheduler } = life;
    this.#weather.isOn = true;
    const work = this.#clients.work(life);
    const endMs = scheduler.clock.monotonicMs() + this.#random.below(this.#plan.lifeMsMax) + 1;
    const lastStep = scheduler.steps + this.#random.below(lifeStepsMax);
    if (this.#plan.isFullAtTimes) this.#fillAtTimes(life);
    await scheduler.runWhile(
      () =>
        scheduler.clock.monotonicMs() < endMs &&
        scheduler.steps < lastStep &&
        life.fatal === undefined &&
        !work.hasFailed,
    );
    work.rethrow();
    const way = this.#random.below(4);
    const losesPower = way > 1 && this.#plan.durability === "fsync";
    if (life.fatal === undefined && way === 1) {
      try {
        await scheduler.run(life.close());
      } catch (error) {
        if (!isOperational(error)) throw error;
      }
      work.rethrow();
      return this.#end(life, "kill");
    }
    return this.#end(life, losesPower ? "power" : "kill");
  }

  #fillAtTimes(life: Life): void {
    const { scheduler } = life;
    const turn = (): void => {
      this.#weather.isFull = !this.#weather.isFull;
      scheduler.after(this.#random.below(this.#plan.lifeMsMax / 2 + 1), turn);
    };
    scheduler.after(this.#random.below(this.#plan.lifeMsMax), turn);
  }

  #end(life: Life, way: "kill" | "power"): MemoryDisk {
    this.#trace.note(`end by ${way}`);
    this.#nowMs += life.scheduler.clock.monotonicMs() + this.#random.below(5_000);
    this.#steps += life.scheduler.steps;
    if (way === "kill") return life.disk.kill({});
    return life.disk.crash(seededFates(this.#random.uint32()), {});
  }

  /** Without faults everybody gets an answer; then all of it is looked at once more, also by the scrub. */
  async #endInPeace(life: Life): Promise<void> {
    const { scheduler } = life;
    const endMs = scheduler.clock.monotonicMs() + quietMsMax;
    await scheduler.run(this.#clients.finish(life));
    if (scheduler.clock.monotonicMs() > endMs) throw new Violation("answers came too late");
    await scheduler.run(this.#ledger.check(life.broker));
    await scheduler.run(life.close());
    const { problems } = verifyStore(life.disk, directory, () => undefined);
    if (problems.length > 0) throw new Violation(`the scrub found: ${problems.join("; ")}`);
    const left = life.disk.list(`${directory}/checkpoints`).length;
    if (left > 2) throw new Violation(`${left} checkpoints are left`);
    this.#end(life, "kill");
  }
}

/** An error that the disk was made to give, as the product passes it on. */
function isOperational(error: unknown): boolean {
  if (error instanceof LogError) {
    return ["storage_failed", "storage_full", "closed", "directory_not_writable"].includes(
      error.code,
    );
  }
  return error instanceof Error && "code" in error && "writtenBytes" in error;
}
