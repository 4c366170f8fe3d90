/** Plays workloads and opens what every crash on their way may leave. */
import { SeededRandom } from "../../src/env/index.ts";
import { settled, whenSettled } from "../../src/partitions/index.ts";
import { verifyStore } from "../../src/storage/index.ts";
import { batchOf } from "../batches.ts";
import { Violation } from "../ledger.ts";
import type { Image } from "./image.ts";
import { type Operation, operations, prepare } from "./operations.ts";
import { directory, envOn, openBroker, Stage } from "./stage.ts";
import { History } from "./states.ts";

/** One state in so many is also scrubbed: every checksum, chain, index and sum of what the new process left. */
const scrubEach = 16;

export interface CrashReport {
  /** Distinct by the content of the disk. */
  states: number;
  /** With what clients were told counted in: the same disk may owe more at a later place. */
  checks: number;
  workloads: number;
  failures: string[];
  /** States by the name of the operation in which the crash was. */
  readonly statesOf: Map<string, number>;
}

export interface CrashOptions {
  /** Stops when so many distinct states were checked. */
  readonly states: number;
  readonly seed: number;
  /** Operations of a workload at most. */
  readonly length?: number;
  readonly only?: string | undefined;
  readonly progress?: (report: CrashReport) => void;
  /** Stops at the first failure. */
  readonly isFirstEnough?: boolean;
  /** Plays each `of`-th workload alone, from the `index`-th on: a long run in parts. */
  readonly part?: { readonly index: number; readonly of: number };
  /** States, by their digest, that earlier parts have seen: they are checked again, and not counted. */
  readonly seen?: Set<string>;
}

/** All workloads of up to `length` operations, in an order that the seed chooses; short ones first. */
function workloadsOf(length: number, seed: number): Operation[][] {
  const random = new SeededRandom(seed);
  const all: Operation[][] = [];
  let shorter: Operation[][] = [[]];
  for (let count = 1; count <= length; count++) {
    shorter = shorter.flatMap((workload) => operations.map((one) => [...workload, one]));
    const shuffled = [...shorter];
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = random.below(at + 1);
      const [one, two] = [shuffled[at], shuffled[other]];
      if (one !== undefined && two !== undefined) [shuffled[at], shuffled[other]] = [two, one];
    }
    all.push(...shuffled);
  }
  return all;
}

export async function enumerateCrashes(options: CrashOptions): Promise<CrashReport> {
  const enumeration = new Enumeration(options);
  const { report } = enumeration;
  const { part = { index: 0, of: 1 } } = options;
  const chosen = options.only?.split(",");
  if (chosen === undefined && part.index === 0) await enumeration.firstStart();
  const workloads =
    chosen === undefined
      ? workloadsOf(options.length ?? 3, options.seed).filter((_, i) => i % part.of === part.index)
      : [chosen.map((name) => operations.find((one) => one.name === name) ?? unknown(name))];
  for (const workload of workloads) {
    if (enumeration.isDone) break;
    await enumeration.play(workload);
    options.progress?.(report);
  }
  return report;
}

function unknown(name: string): never {
  throw new Error(
    `no operation "${name}"; there are ${operations.map((one) => one.name).join(", ")}`,
  );
}

class Enumeration {
  readonly report: CrashReport = {
    states: 0,
    checks: 0,
    workloads: 0,
    failures: [],
    statesOf: new Map(),
  };
  readonly #options: CrashOptions;
  readonly #random: SeededRandom;
  readonly #distinct: Set<string>;
  readonly #checked = new Set<string>();

  constructor(options: CrashOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#distinct = options.seen ?? new Set();
  }

  get isDone(): boolean {
    if (this.#options.isFirstEnough === true && this.report.failures.length > 0) return true;
    return this.report.states >= this.#options.states;
  }

  /** The start on an empty disk and the first topics are a workload too. */
  async firstStart(): Promise<void> {
    const stage = await Stage.open();
    await prepare(stage);
    this.report.workloads++;
    await this.#crashAll(stage, 0, "first-start");
  }

  async play(workload: readonly Operation[]): Promise<void> {
    const name = workload.map((one) => one.name).join(",");
    const stage = await Stage.open();
    await prepare(stage);
    // What came before the last operation was looked at with the shorter workload.
    const prepared = stage.at;
    let from = prepared;
    this.report.workloads++;
    try {
      for (const operation of workload) {
        from = stage.at;
        await operation.run(stage);
        stage.look();
      }
      await stage.settle();
      stage.look();
    } catch (error) {
      this.#failed(name, "at its own end", error);
      return;
    }
    await this.#crashAll(stage, this.#options.only === undefined ? from : prepared, name);
  }

  async #crashAll(stage: Stage, from: number, name: string): Promise<void> {
    for (const era of stage.eras) {
      const end = era.from + era.changes.length;
      const history = new History(era.base, era.changes);
      for (let at = Math.max(era.from, from); at <= end; at++) {
        history.moveTo(at - era.from);
        await this.#crashHere(stage, history, { at, name });
      }
    }
  }

  async #crashHere(
    stage: Stage,
    history: History,
    { at, name }: { readonly at: number; readonly name: string },
  ): Promise<void> {
    const owed = stage.ledger.summary(at);
    for (const image of history.images(this.#random)) {
      if (this.isDone) return;
      await this.#crash(stage, { image, at, owed, name });
    }
  }

  async #crash(
    stage: Stage,
    crash: {
      readonly image: Image;
      readonly at: number;
      readonly owed: string;
      readonly name: string;
    },
  ): Promise<void> {
    const { image, at, owed, name } = crash;
    const digest = image.digest();
    const key = `${digest}|${owed}`;
    if (this.#checked.has(key)) return;
    this.#checked.add(key);
    this.report.checks++;
    if (!this.#distinct.has(digest)) {
      this.#distinct.add(digest);
      this.report.states++;
      const last = name.split(",").at(-1) ?? name;
      this.report.statesOf.set(last, (this.report.statesOf.get(last) ?? 0) + 1);
    }
    try {
      const isScrubbed = this.#options.only !== undefined || this.report.checks % scrubEach === 0;
      await checkImage(stage, image, { at, isScrubbed });
    } catch (error) {
      this.#failed(name, `at ${at}, state ${digest}`, error);
    }
  }

  #failed(name: string, where: string, error: unknown): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.report.failures.push(`--only ${name}: ${where}: ${what}`);
  }
}

/** Opens what a crash left, and holds it against what clients had been told. */
async function checkImage(
  stage: Stage,
  image: Image,
  { at, isScrubbed }: { readonly at: number; readonly isScrubbed: boolean },
): Promise<void> {
  const disk = image.toDisk();
  const env = envOn(disk, 99);
  const broker = await openBroker(env, []);
  await env.run(stage.ledger.check(broker, at));
  const { producer } = stage;
  for (const [place, batches] of producer?.batches ?? []) {
    const [topicId = ""] = place.split("/");
    const partition = broker.partitionById(topicId, 0);
    for (const { send, baseSequence } of batches) {
      if (send.sentAt > at || partition === undefined || producer === undefined) continue;
      const identity = { producerId: producer.producerId, producerEpoch: 0, baseSequence };
      const bytes = batchOf(send.values, env.clock.wallMs(), identity);
      const outcome = partition.append(bytes, env.clock.wallMs());
      const name = `the batch of sequence ${baseSequence}`;
      if (outcome.kind === "refused") throw new Violation(`${name} is refused: ${outcome.reason}`);
      await env.run(new Promise<void>((resolve) => whenSettled([outcome], resolve)));
      const error = settled(outcome);
      if (error !== undefined) throw error;
      const wasAcked = send.ackedAt <= at;
      if (wasAcked && (outcome.kind !== "duplicate" || outcome.baseOffset !== send.baseOffset)) {
        throw new Violation(`${name} was acknowledged, and is taken as ${outcome.kind} again`);
      }
    }
  }
  await env.run(broker.close());
  if (!isScrubbed) return;
  const { problems } = verifyStore(disk, directory, () => undefined);
  if (problems.length > 0) throw new Violation(`the scrub found: ${problems.join("; ")}`);
}
