// One life of a directory under load: the server is killed again and again, and each successor is held to
// what its forerunners acknowledged.
import { setTimeout as delay } from "node:timers/promises";

import { createTopic, initProducerId, readBatches, untilLoaded, Wire } from "../clients/wire.ts";
import type { TestServer } from "../servers.ts";
import { Committer } from "./commits.ts";
import { Ledger } from "./ledger.ts";
import { Producer } from "./producers.ts";
import type { Random } from "./random.ts";

const topic = "kill";
const partitionCount = 3;
const producerCount = 4;
const loadMsMin = 100;
const loadMsMax = 1_200;
/** Some rounds also kill the successor while it starts. */
const chanceOfKillAtStart = 0.3;
const killAtStartMsMax = 300;
/** In some rounds the server stands still for a while, and is killed then or after it went on. */
const chanceOfPause = 0.2;
const pauseMsMax = 1_500;
/** Before some kills all answers are lost for a moment, so that much is written that nobody knows of. */
const chanceOfLostAnswers = 0.5;
const lostAnswersMsMax = 200;

export type KillableServer = Pick<
  TestServer,
  "bootstrap" | "kill" | "launch" | "pid" | "ready" | "restart"
>;

export interface ScenarioOptions {
  readonly rounds: number;
  /** Unacknowledged batches of a producer on a partition; at most five, as many as a server remembers. */
  readonly inFlightMax: number;
  readonly random: Random;
  /** Called after each round and at the end, with one line. */
  readonly report: (line: string) => void;
}

/** Runs all rounds against a running server; throws the first thing that is wrong. */
export async function killUnderLoad(
  server: KillableServer,
  { rounds, inFlightMax, random, report }: ScenarioOptions,
): Promise<void> {
  const { bootstrap } = server;
  await withWire(bootstrap, async (wire) => {
    await createTopic(wire, topic, partitionCount);
    // A server may begin a producer that it does not know with any sequence. Were a first batch refused by a
    // partition that is not ready, and the second one taken, the first could never be written.
    for (let partition = 0; partition < partitionCount; partition += 1) {
      await untilLoaded(async () => readBatches(wire, topic, partition, 0));
    }
  });
  const producers = Array.from({ length: producerCount }, (_, number) => {
    const own = { number, random: random.fork() };
    return new Producer({ ...own, bootstrap, topic, partitionCount, inFlightMax });
  });
  const committer = new Committer(bootstrap, "kill-group", topic);
  const ledger = new Ledger(topic, producers, partitionCount);
  const identities = new Set<number>();
  const load = new Load([...producers, committer]);
  try {
    for (let round = 1; round <= rounds; round += 1) {
      await load.during(delay(loadMsMin + random.below(loadMsMax - loadMsMin)));
      if (random.chance(chanceOfLostAnswers)) {
        producers.forEach((producer) => producer.deafen());
        await load.during(delay(random.below(lostAnswersMsMax)));
      }
      const pausedMs = await load.during(mayStandStill(server, random));
      await server.kill("SIGKILL");
      const acknowledged = countAcknowledged(producers);
      const isKilledAtStart = await mayKillAtStart(server, random);
      server.launch();
      const readyMs = await server.ready();
      const read = await load.during(
        withWire(bootstrap, async (wire) => {
          await committer.check(wire);
          await addFreshIdentity(wire, identities, producers);
          return ledger.check(wire);
        }),
      );
      const twice = isKilledAtStart ? ", killed once more while starting" : "";
      const paused = pausedMs > 0 ? `, stood still for ${pausedMs} ms` : "";
      report(
        `round ${round}: ${acknowledged} acknowledged, ` +
          `ready after ${Math.round(readyMs)} ms, ${read} read back${paused}${twice}`,
      );
    }
    await load.finish();
  } finally {
    load.abandon();
  }
  report(await everythingAgain(server, producers));
}

/** After all is acknowledged and an orderly restart: every record from the first offset, by a new ledger. */
async function everythingAgain(
  server: KillableServer,
  producers: readonly Producer[],
): Promise<string> {
  await server.restart();
  const ledger = new Ledger(topic, producers, partitionCount);
  const read = await withWire(server.bootstrap, async (wire) => ledger.check(wire));
  const acknowledged = countAcknowledged(producers);
  if (read !== acknowledged) throw new Error(`${acknowledged} acknowledged, ${read} read back`);
  const resent = producers.reduce((sum, { resentCount }) => sum + resentCount, 0);
  if (resent === 0) throw new Error("no batch was ever sent again: the test has missed its point");
  return (
    `at the end: ${acknowledged} acknowledged, ${read} read back, each once and in order; ` +
    `${resent} batches were sent more than once`
  );
}

/** SIGSTOP, and in half of the cases SIGCONT and some work before the kill. Answers how long it stood. */
async function mayStandStill(server: KillableServer, random: Random): Promise<number> {
  const forMs = 1 + random.below(pauseMsMax);
  const goesOn = random.chance(0.5);
  const afterMs = random.below(loadMsMin);
  if (!random.chance(chanceOfPause)) return 0;
  const { pid } = server;
  process.kill(pid, "SIGSTOP");
  await delay(forMs);
  if (goesOn) {
    process.kill(pid, "SIGCONT");
    await delay(afterMs);
  }
  return forMs;
}

async function mayKillAtStart(server: KillableServer, random: Random): Promise<boolean> {
  const afterMs = random.below(killAtStartMsMax);
  if (!random.chance(chanceOfKillAtStart)) return false;
  server.launch();
  await delay(afterMs);
  await server.kill("SIGKILL");
  return true;
}

/** No producer id is given twice, not over restarts either. */
async function addFreshIdentity(
  wire: Wire,
  given: Set<number>,
  producers: readonly Producer[],
): Promise<void> {
  const { id } = await untilLoaded(async () => initProducerId(wire));
  if (given.has(id) || producers.some(({ identity }) => identity?.id === id)) {
    throw new Error(`producer id ${id} was given a second time`);
  }
  given.add(id);
}

interface Worker {
  run(): Promise<void>;
  stop(): void;
  abandon(): void;
}

/** All that writes, as one thing that can break. */
class Load {
  readonly #workers: readonly Worker[];
  readonly #done: Promise<unknown>;

  constructor(workers: readonly Worker[]) {
    this.#workers = workers;
    this.#done = Promise.all(workers.map(async (worker) => worker.run()));
    // A rejection is met by the next `during` or by `finish`; between two of them it is nobody's yet.
    this.#done.catch(() => undefined);
  }

  /** Does the work, unless the load breaks first: then rejects with that. */
  async during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#done.then(async () => work)]);
  }

  /** No new records; waits until all that were sent are acknowledged. */
  async finish(): Promise<void> {
    for (const worker of this.#workers) worker.stop();
    await this.#done;
  }

  /** Ends without waiting for any acknowledgement. */
  abandon(): void {
    for (const worker of this.#workers) worker.abandon();
  }
}

async function withWire<T>(bootstrap: string, work: (wire: Wire) => Promise<T>): Promise<T> {
  const wire = await Wire.connect(bootstrap);
  try {
    return await work(wire);
  } finally {
    wire.close();
  }
}

function countAcknowledged(producers: readonly Producer[]): number {
  return producers.reduce((sum, { acknowledgedCount }) => sum + acknowledgedCount, 0);
}
