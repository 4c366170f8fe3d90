/** Following a topic: server-sent events, lines, or a WebSocket, all at one path. */
import type { Broker, OpenTopic } from "../broker/index.ts";
import type { Env, HttpExchange, Timer } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { MetricRegistry } from "../metrics/index.ts";
import type { Partition } from "../partitions/index.ts";
import { events, type FollowForm, lines, messages } from "./follow-form.ts";
import type { FollowerSink } from "./follower-sink.ts";
import { PartitionReading } from "./partition-reading.ts";
import { invalid, RequestFault, uncached } from "./problem.ts";
import { offsetsOf, type OffsetsOfRange, rangeOf } from "./range-offsets.ts";
import { ndjsonType } from "./record-answer.ts";
import { RecordEncoder } from "./record-encoder.ts";
import type { Request } from "./request.ts";
import type { Route } from "./router.ts";
import { partitionOf, topicOf } from "./topic-finder.ts";
import { encoding, type FollowCounters, type Follower, TopicTail } from "./topic-tail.ts";
import { handshakeFault, openWebSocket } from "./websocket.ts";

/** Clients that follow at the same time. */
const followersMax = 10_000;
/** How often a silent line shows that it is alive. */
const beatMs = 15_000;
/** How long a browser waits before it comes again. */
const retryMs = 1_000;

export interface FollowParts {
  readonly env: Env;
  readonly broker: Broker;
  readonly metrics: MetricRegistry;
}

/** What a client follows, and from where on. */
interface Wanted {
  readonly topic: OpenTopic;
  readonly partitions: readonly Partition[];
  /** Whether that is all that the topic has, and what is added later, too. */
  readonly isWhole: boolean;
  readonly starts: readonly number[];
  /** Undefined follows for ever. */
  readonly ends: readonly number[] | undefined;
}

export class FollowRoutes {
  readonly #env: Env;
  readonly #broker: Broker;
  readonly #counters: FollowCounters;
  /** By what is followed in which form; those that have followers. */
  readonly #tails = new Map<string, TopicTail>();
  #beat: Timer | undefined;
  #isClosed = false;

  constructor({ env, broker, metrics }: FollowParts) {
    this.#env = env;
    this.#broker = broker;
    const counter = (name: string, help: string): FollowCounters["encoded"] =>
      metrics.counter(`cordwood_http_${name}_total`, help);
    this.#counters = {
      encoded: counter("followed_records_encoded", "Records made into text for followers."),
      leftBehind: counter("followers_left_behind", "Followers too slow for the others."),
      sentBytes: counter("followed_bytes", "Bytes handed to followers."),
    };
    const sum = (of: (tail: TopicTail) => number): number =>
      [...this.#tails.values()].reduce((total, tail) => total + of(tail), 0);
    metrics.gauge("cordwood_http_followers", "Clients that follow a topic.", () =>
      sum((tail) => tail.followerCount),
    );
    metrics.gauge("cordwood_http_followers_behind", "Those that do not have everything.", () =>
      sum((tail) => tail.behindCount),
    );
  }

  get routes(): readonly Route[] {
    return [
      { method: "GET", path: "/topics/{topic}/events", handle: (request) => this.#follow(request) },
    ];
  }

  /** Ends everybody who follows; they are told to come again. */
  close(): void {
    this.#isClosed = true;
    this.#beat?.cancel();
    for (const tail of this.#tails.values()) tail.end();
  }

  async #follow(request: Request): Promise<void> {
    const { exchange } = request;
    request.allow("range", "partition", "lastEventId");
    if (exchange.isUpgrade) {
      const fault = handshakeFault(exchange);
      if (fault !== undefined) throw new RequestFault("invalid_argument", fault);
    }
    const wanted = await this.#wanted(request);
    const count = [...this.#tails.values()].reduce((sum, tail) => sum + tail.followerCount, 0);
    if (count >= followersMax) {
      const message = `${followersMax} clients follow already; try again later`;
      throw new RequestFault("limit_exceeded", message, { limit: followersMax });
    }
    if (this.#isClosed) throw new LogError("closed", "the server is closing");
    const isDone = wanted.ends?.every((end, index) => (wanted.starts[index] ?? 0) >= end) === true;
    if (exchange.method === "HEAD" || (isDone && !exchange.isUpgrade)) {
      // 204 tells a browser not to come again.
      exchange.answer(isDone ? 204 : 200, { "content-type": "text/event-stream" }, "");
      return;
    }
    const form = formOf(request);
    let follower: Follower | undefined;
    const sink = openSink(exchange, form, wanted.ends === undefined, () => follower?.gone());
    if (wanted.ends !== undefined) {
      await sendBounded(sink, { ...wanted, form, ends: wanted.ends, counters: this.#counters });
      return;
    }
    follower = this.#tailOf(wanted, form).follow(sink, wanted.starts);
    // It may have gone before there was anybody to tell.
    if (sink.isGone) follower.gone();
  }

  async #wanted(request: Request): Promise<Wanted> {
    const name = request.param("topic");
    const topic = topicOf(this.#broker, name);
    const partitions = partitionsOf(topic, request.query("partition"));
    const range = rangeOf(request.query("range") ?? "end");
    const nowMs = this.#env.clock.wallMs();
    const lastEventId = request.header("last-event-id") ?? request.query("lastEventId");
    const known = lastEventId === undefined ? [] : positionsOf(lastEventId, partitions, topic.name);
    const starts: number[] = [];
    const ends: number[] = [];
    for (const [index, partition] of partitions.entries()) {
      const position = known[index];
      // A partition that was added since is read from its start.
      const resumed =
        position ?? (lastEventId === undefined ? undefined : partition.logStartOffset);
      const from: Partial<OffsetsOfRange> =
        resumed === undefined || range.end !== undefined
          ? await offsetsOf(`${topic.name}/${partition.index}`, partition, range, nowMs)
          : {};
      starts.push(resumed ?? from.start ?? 0);
      ends.push(Math.min(from.end ?? Infinity, partition.highWatermark));
    }
    const isWhole = request.query("partition") === undefined;
    return { topic, partitions, isWhole, starts, ends: range.end === undefined ? undefined : ends };
  }

  #tailOf({ topic, partitions, isWhole }: Wanted, form: FollowForm): TopicTail {
    const indexes = partitions.map(({ index }) => index).join(",");
    const key = `${form.name} ${topic.topicId} ${isWhole ? "all" : "some"} ${indexes}`;
    const known = this.#tails.get(key);
    if (known !== undefined) return known;
    const tail = new TopicTail({
      env: this.#env,
      partitions,
      form,
      counters: this.#counters,
      isOutdated: () => isWhole && topic.partitions.length > partitions.length,
      onIdle: () => this.#tails.delete(key),
    });
    this.#tails.set(key, tail);
    this.#beat ??= this.#env.timers.after(beatMs, () => this.#beatAll());
    return tail;
  }

  #beatAll(): void {
    this.#beat = undefined;
    for (const tail of this.#tails.values()) tail.beat();
    if (this.#tails.size > 0 && !this.#isClosed) {
      this.#beat = this.#env.timers.after(beatMs, () => this.#beatAll());
    }
  }
}

function formOf(request: Request): FollowForm {
  if (request.exchange.isUpgrade) return messages;
  return request.accepts(ndjsonType) ? lines : events;
}

// oxlint-disable-next-line max-params -- to whom, what, how long, and what then
function openSink(
  exchange: HttpExchange,
  form: FollowForm,
  isEndless: boolean,
  onGone: () => void,
): FollowerSink {
  if (form === messages) return openWebSocket(exchange, onGone);
  exchange.whenGone(onGone);
  const isEvents = form === events;
  const headers = {
    ...uncached,
    "content-type": isEvents ? "text/event-stream" : ndjsonType,
    "x-content-type-options": "nosniff",
  };
  exchange.begin(200, headers, { isEndless });
  if (isEvents) exchange.write(`retry: ${retryMs}\n\n`);
  return new ExchangeSink(exchange, isEvents ? ":\n\n" : "");
}

/** A range that ends is read once, partition by partition. */
async function sendBounded(
  sink: FollowerSink,
  bounded: Omit<Wanted, "ends"> & {
    readonly ends: readonly number[];
    readonly form: FollowForm;
    readonly counters: FollowCounters;
  },
): Promise<void> {
  const { partitions, starts, ends } = bounded;
  const encoder = new RecordEncoder();
  const positions = [...starts];
  const send = async (reading: PartitionReading, index: number): Promise<void> => {
    while (reading.hasMore && !sink.isGone) {
      await reading.step(encoding({ tail: bounded, encoder, positions, index }));
      positions[index] = reading.next;
      if (!sink.write(encoder.take())) await sink.drained();
    }
  };
  try {
    for (const [index, partition] of partitions.entries()) {
      await send(new PartitionReading(partition, starts[index] ?? 0, { end: ends[index] }), index);
    }
    sink.end();
  } catch (thrown) {
    if (!(thrown instanceof LogError)) throw thrown;
    sink.abort();
  }
}

class ExchangeSink implements FollowerSink {
  readonly #exchange: HttpExchange;
  readonly #beat: string;

  constructor(exchange: HttpExchange, beat: string) {
    this.#exchange = exchange;
    this.#beat = beat;
  }

  get unsentBytes(): number {
    return this.#exchange.unsentBytes;
  }

  get isGone(): boolean {
    return this.#exchange.isGone;
  }

  write(chunk: Uint8Array): boolean {
    return this.#exchange.write(chunk);
  }

  drained(): Promise<void> {
    return this.#exchange.drained();
  }

  end(): void {
    this.#exchange.end();
  }

  abort(): void {
    this.#exchange.abort();
  }

  beat(): void {
    this.#exchange.write(this.#beat);
  }
}

/** @throws RequestFault, LogError partition_not_found */
function partitionsOf(topic: OpenTopic, asked: string | undefined): readonly Partition[] {
  if (asked === undefined) return [...topic.partitions];
  const indexes = asked.split(",").map((text) => (/^\d{1,9}$/.test(text) ? Number(text) : -1));
  if (indexes.includes(-1) || new Set(indexes).size !== indexes.length) {
    throw invalid(
      "partition",
      `"partition" is a number, or several like 0,2, not "${asked.slice(0, 100)}"`,
    );
  }
  return indexes.map((index) => partitionOf(topic, index));
}

/** The id of an event: for each partition the next offset behind it. @throws RequestFault */
function positionsOf(
  id: string,
  partitions: readonly Partition[],
  topicName: string,
): readonly number[] {
  const texts = id.split(",");
  if (texts.length > partitions.length || texts.some((text) => !/^\d{1,15}$/.test(text))) {
    throw invalid("Last-Event-ID", `"${id.slice(0, 100)}" is no id of an event of ${topicName}`);
  }
  return texts.map((text, index) => {
    const partition = partitions[index];
    const end = partition?.highWatermark ?? 0;
    if (Number(text) <= end) return Math.max(Number(text), partition?.logStartOffset ?? 0);
    const name = `${topicName}/${partition?.index}`;
    const message = `the id names offset ${text} of ${name}, which ends before ${end}: it is of another log`;
    throw new RequestFault("offset_out_of_range", message, { field: "Last-Event-ID" });
  });
}
