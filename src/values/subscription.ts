/** Gives records to a handler batch by batch, and keeps the position, or lets the handler keep it. */
import { LogError } from "../errors/index.ts";
import { abortError } from "./abort-error.ts";
import type {
  Position,
  ReadableTopic,
  RecordBatch,
  SubscribeOptions,
  Subscription,
  TopicRecord,
} from "./store.ts";

const BATCH_RECORDS = 500;

/** What a subscription asks of the store behind it. */
export interface SubscriptionSource {
  /** Aborted when the store ends. */
  readonly ending: AbortSignal;
  /** The position that a group has stored. */
  stored(group: string): Promise<Position>;
  store(group: string, position: Position): Promise<void>;
  /** Called once for each subscription. */
  read(reading: SubscribedReading): BatchReader;
}

export interface SubscribedReading {
  readonly topics: readonly ReadableTopic<unknown>[];
  /** Where to go on; a partition that is not in it begins at `from`. */
  readonly position: Position;
  readonly from: "start" | "end";
  readonly follow: boolean;
  readonly deletions: boolean;
  /** Whether records that are gone at a position are passed over. */
  readonly skipsMissing: boolean;
  readonly signals: readonly AbortSignal[];
}

export interface BatchReader {
  /** Waits for a record, and takes with it those that are there, up to `countMax`. Empty at the end. */
  gather(countMax: number): Promise<readonly TopicRecord<unknown>[]>;
  /** Behind what was gathered, of all partitions. */
  position(): Position;
}

type AnyOptions = SubscribeOptions<readonly ReadableTopic<unknown>[]>;
type AnyHandler = (batch: RecordBatch<unknown>) => void | Promise<void>;

/** The subscriptions of one store. */
export class StoreSubscriptions {
  readonly #source: SubscriptionSource;
  readonly #running = new Set<RunningSubscription>();

  constructor(source: SubscriptionSource) {
    this.#source = source;
  }

  /** @throws LogError invalid_argument, group_not_empty. */
  begin(options: AnyOptions, handler: AnyHandler): Subscription {
    const { group } = options;
    for (const other of this.#running) {
      if (group === undefined || other.group !== group) continue;
      throw new LogError(
        "group_not_empty",
        `the group "${group}" has a subscription in this program already; close that one first`,
      );
    }
    const subscription = new RunningSubscription(this.#source, options, handler);
    this.#running.add(subscription);
    subscription.whenEnded(() => this.#running.delete(subscription));
    return subscription;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#running, (subscription) => subscription.close()));
  }
}

class RunningSubscription implements Subscription {
  readonly group: string | undefined;
  readonly finished: Promise<void>;
  readonly #source: SubscriptionSource;
  readonly #options: AnyOptions;
  readonly #handler: AnyHandler;
  readonly #running: Promise<void>;
  readonly #closing = new AbortController();
  #position: Position = {};
  #isClosed = false;

  constructor(source: SubscriptionSource, options: AnyOptions, handler: AnyHandler) {
    if (options.group === undefined && options.position === undefined) {
      throw new LogError(
        "invalid_argument",
        "a subscription needs a group, or the position that you keep yourself ({} the first time)",
      );
    }
    this.#source = source;
    this.#options = options;
    this.#handler = handler;
    this.group = options.group;
    this.#running = this.#run();
    // A promise of its own: that the store looks at the other one must not hide a failure that nobody sees.
    this.finished = this.#running.then(() => undefined);
  }

  /** Calls back when nothing runs any more, however it ended. */
  whenEnded(callback: () => void): void {
    const call = (): void => callback();
    this.#running.then(call, call);
  }

  /** Behind what the handler has done. */
  get position(): Position {
    return this.#position;
  }

  /** Ends after the batch that the handler is at. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort();
    // Whoever looks at `finished` is told.
    await this.#running.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const { signal, follow = true, deletions = false, topics } = this.#options;
    const { from = "start", missing = "fail" } = this.#options;
    const { ending } = this.#source;
    const outer = signal === undefined ? [ending] : [signal, ending];
    const stored = this.group === undefined ? {} : await this.#source.stored(this.group);
    this.#position = { ...stored, ...this.#options.position };
    const reader = this.#source.read({
      topics,
      position: this.#position,
      from,
      follow,
      deletions,
      skipsMissing: missing === "skip",
      signals: [...outer, this.#closing.signal],
    });
    while (!this.#isClosed) {
      const records = await this.#gather(reader);
      if (records.length === 0) break;
      const position = reader.position();
      await this.#handle({ records, position });
      this.#position = position;
      if (this.group !== undefined) await this.#source.store(this.group, position);
    }
    const aborted = outer.find((one) => one.aborted);
    if (aborted !== undefined && !this.#isClosed) throw abortError(aborted);
  }

  async #gather(reader: BatchReader): Promise<readonly TopicRecord<unknown>[]> {
    try {
      return await reader.gather(this.#options.batchRecords ?? BATCH_RECORDS);
    } catch (thrown) {
      if (this.#isClosed) return [];
      throw thrown;
    }
  }

  async #handle(batch: RecordBatch<unknown>): Promise<void> {
    try {
      await this.#handler(batch);
    } catch (thrown) {
      const [first] = batch.records;
      const place = `${first?.topic}/${first?.partition} at offset ${first?.offset}`;
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new LogError(
        "handler_failed",
        `the handler of a subscription failed with a batch that begins with ${place}: ${why}. Its position was not moved; subscribe again to go on.`,
        { cause: thrown },
      );
    }
  }
}
