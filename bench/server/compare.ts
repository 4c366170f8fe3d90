// Cordwood and Apache Kafka in turn, on one machine, in one run.
import { type Broker, type Durability, startCordwood, startKafka } from "./brokers.ts";
import {
  type Drivers,
  measuredOf,
  type Measured,
  type RunOptions,
  runStart,
  runWorkload,
} from "./measure.ts";
import { kafkaClassPath } from "./programs.ts";
import { sayCompared, sayKafkaHead } from "./report.ts";
import { type Figures, type Workload, workloads } from "./workloads.ts";

/** Both brokers get this many windows of these before the first comparison: the JVM compiles meanwhile. */
const warmUpWindows = 2;
const warmUpOf = ["produce-100b-c4", "single-c16", "fetch-c1", "partitions-500"];

export interface Bench {
  /** Measured runs of each workload. */
  readonly runs: number;
  readonly secs: number;
  readonly warmSecs: number;
  readonly drivers: Drivers;
}

/**
 * Both brokers run all the while and take turns, ours first. Each run has a topic of its own, which is
 * deleted at its end; one run of each workload on each broker is dropped.
 */
export async function compareWithKafka(
  chosen: readonly Workload[],
  durability: Durability,
  bench: Bench,
): Promise<Measured[]> {
  const classPath = kafkaClassPath();
  const all: Measured[] = [];
  const keep = (workload: Workload, ours: readonly Figures[], kafka: readonly Figures[]): void => {
    const pair = [
      measuredOf({ workload, durability, broker: "cordwood", runs: ours }),
      measuredOf({ workload, durability, broker: "kafka", runs: kafka }),
    ] as const;
    sayCompared(...pair);
    all.push(...pair);
  };
  sayKafkaHead(durability);
  for (const workload of chosen.filter(({ driver }) => driver === "start")) {
    const starts = [() => startCordwood({ durability }), () => startKafka(classPath)] as const;
    const [ours, kafka] = await inTurn(bench.runs, starts, (start) => runStart(start));
    keep(workload, ours, kafka);
  }
  const loads = chosen.filter(({ driver }) => driver !== "start");
  if (loads.length === 0) return all;
  await using brokers = await Pair.start(durability, classPath);
  const options = { ...bench, durability, isShared: true };
  await warmUp(brokers.both, options);
  for (const workload of loads) {
    const [ours, kafka] = await inTurn(bench.runs, brokers.both, async (broker) => {
      return (await runWorkload(broker, workload, options)).figures;
    });
    keep(workload, ours, kafka);
  }
  return all;
}

class Pair implements AsyncDisposable {
  readonly both: readonly [Broker, Broker];

  private constructor(both: readonly [Broker, Broker]) {
    this.both = both;
  }

  static async start(durability: Durability, classPath: string): Promise<Pair> {
    return new Pair([await startCordwood({ durability }), await startKafka(classPath)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const broker of this.both) await broker.stop();
  }
}

/** A B, A B, A B: what disturbs the machine for a while disturbs both. The first turn is dropped. */
async function inTurn<T>(
  runs: number,
  both: readonly [T, T],
  measure: (one: T) => Promise<Figures>,
): Promise<[Figures[], Figures[]]> {
  const figures: [Figures[], Figures[]] = [[], []];
  for (let run = 0; run <= runs; run += 1) {
    for (const side of [0, 1] as const) {
      const one = await measure(both[side]);
      if (run > 0) figures[side].push(one);
    }
  }
  return figures;
}

async function warmUp(both: readonly Broker[], measured: RunOptions): Promise<void> {
  // Filling a topic of Kafka that syncs each batch would take minutes; the dropped turns sync.
  const options: RunOptions = { ...measured, durability: "os" };
  for (let window = 0; window < warmUpWindows; window += 1) {
    for (const workload of workloads.filter(({ name }) => warmUpOf.includes(name))) {
      for (const broker of both) await runWorkload(broker, workload, options);
    }
  }
}
