import { SeededRandom } from "../src/env/index.ts";

/** Everything about a world that its seed decides before it begins. */
export interface Plan {
  readonly seed: number;
  readonly durability: "fsync" | "os";
  readonly lives: number;
  /** Virtual milliseconds of a life at most. */
  readonly lifeMsMax: number;
  readonly plainProducers: number;
  readonly idempotentProducers: number;
  readonly readers: number;
  readonly committers: number;
  readonly members: number;
  readonly pauseMsMax: number;
  readonly recordBytesMax: number;
  readonly walFileBytes: number;
  readonly segmentBytes: number;
  readonly segmentRecords: number;
  readonly segmentMs: number;
  readonly checkpointBatches: number;
  /** One disk call in so many fails; 0 for none. */
  readonly failsOneIn: number;
  /** One failure of a sync in so many calls of it; 0 for none. */
  readonly syncFailsOneIn: number;
  /** Whether the disk is full from time to time. */
  readonly isFullAtTimes: boolean;
  /** Idempotent producers that speak the Kafka protocol over a network, and as many readers. */
  readonly wireProducers: number;
  /** Longest time on the way in one direction, in virtual milliseconds. */
  readonly networkMsMax: number;
  /** One write of a client in so many finds its connection cut, or loses what is sent; 0 for none. */
  readonly networkFailsOneIn: number;
}

export function planOf(seed: number): Plan {
  const random = new SeededRandom(seed);
  const oneOf = <T>(values: readonly [T, ...T[]]): T =>
    values[random.below(values.length)] ?? values[0];
  // One in four, and none of those that found something before there were such limits.
  const isLimited = seed % 4 === 1;
  return {
    seed,
    durability: oneOf(["fsync", "fsync", "fsync", "os"]),
    lives: 2 + random.below(6),
    lifeMsMax: oneOf([20, 200, 2_000, 20_000]),
    plainProducers: random.below(3),
    idempotentProducers: 1 + random.below(3),
    readers: 1 + random.below(2),
    committers: random.below(3),
    members: random.below(3),
    pauseMsMax: oneOf([0, 2, 20, 200]),
    recordBytesMax: oneOf([20, 200, 2_000]),
    walFileBytes: oneOf([1_500, 10_000, 1 << 20]),
    segmentBytes: oneOf([2_000, 20_000, 1 << 20]),
    checkpointBatches: oneOf([5, 50, 500]),
    failsOneIn: oneOf([0, 0, 30, 200]),
    syncFailsOneIn: oneOf([0, 0, 0, 50]),
    isFullAtTimes: oneOf([false, false, true]),
    wireProducers: random.below(3),
    networkMsMax: oneOf([0, 5, 100]),
    networkFailsOneIn: oneOf([0, 8, 60]),
    segmentRecords: isLimited ? oneOf([Infinity, 10, 200]) : Infinity,
    segmentMs: isLimited ? oneOf([Infinity, 30, 1_000]) : Infinity,
  };
}
