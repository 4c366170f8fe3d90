/** What a ReadRequest asks for, resolved to offsets. */
import {
  type Broker,
  oldestOf,
  type OpenTopic,
  PartitionSource,
  startOffset,
  whenAdvanced,
} from "../../broker/index.ts";
import type { Env } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import type { Partition } from "../../partitions/index.ts";
import type { Bound, ReadRequest } from "../../proto/index.ts";
import { abortError, type ReadFrom } from "../../values/index.ts";
import { partitionsOf, positionsOf, topicOf } from "./log-verbs.ts";
import { rpcLimits } from "./limits.ts";
import { ReadMessageWriter } from "./read-messages.ts";

/** Takes the messages of a reading, each behind its room for an envelope. */
export interface ReadSink {
  /** Before each message. */
  readonly headBytes: number;
  /** False where the client must take some first. */
  send(message: Buffer): boolean;
  /** Resolves then, or when the client has gone. */
  drained(): Promise<void>;
}

/** Reads for one client until it is at the end of what was asked for, or `signal` is aborted. */
export class ReadCall {
  readonly #env: Env;
  readonly #request: ReadRequest;
  readonly #sink: ReadSink;
  readonly #signal: AbortSignal;
  readonly #message: ReadMessageWriter;
  #sources: readonly PartitionSource[] = [];
  /** Records that may still be sent. */
  #left: number;
  /** Sources of which something is in the open message. */
  readonly #touched = new Set<PartitionSource>();

  // oxlint-disable-next-line max-params -- what to read, for whom, and until when
  constructor(env: Env, request: ReadRequest, sink: ReadSink, signal: AbortSignal) {
    this.#env = env;
    this.#request = request;
    this.#sink = sink;
    this.#signal = signal;
    this.#message = new ReadMessageWriter(sink.headBytes);
    this.#left = request.limit > 0n ? Number(request.limit) : Infinity;
  }

  /** @throws LogError as the verbs of the broker; cancelled, or what `signal` was aborted with. */
  async run(broker: Broker): Promise<void> {
    if (this.#request.limit < 0n) throw new LogError("invalid_argument", "limit is below 0");
    const topic = topicOf(broker, this.#request.topic);
    const ranges = await Promise.all(
      partitionsOf(broker, topic, this.#request.partitions).map((partition) =>
        rangeOf(topic, partition, this.#request),
      ),
    );
    this.#sources = ranges.map(
      ({ partition, ...range }) => new PartitionSource(partition, { ...range, reusesMemory: true }),
    );
    this.#message.next(positionsOf(this.#sources));
    this.#message.end(
      ranges.flatMap(({ partition, until }) =>
        until === undefined ? [] : [{ partition: partition.index, offset: until }],
      ),
    );
    try {
      await this.#send();
      await this.#pump();
    } finally {
      for (const source of this.#sources) source.close();
    }
  }

  async #pump(): Promise<void> {
    const partitions = this.#sources.map(({ partition }) => partition);
    while (this.#left > 0) {
      this.#refuseIfAborted();
      for (const source of this.#sources) if (!source.hasRecord) await source.load();
      this.#fill();
      if (this.#message.recordCount > 0) {
        await this.#send();
        continue;
      }
      if (this.#sources.every((source) => source.isOver)) return;
      if (!this.#sources.some((source) => source.hasMore)) {
        await whenAdvanced(partitions, [this.#signal]);
      }
      // What becomes durable in one turn is sent together; and a walk over deletions lets others run.
      await new Promise<void>((resolve) => {
        this.#env.timers.soon(resolve);
      });
    }
  }

  // hot: once for every record that is read.
  #fill(): void {
    const message = this.#message;
    const { skipDeletions } = this.#request;
    for (;;) {
      if (this.#left <= 0 || message.size >= rpcLimits.readBytesMax) return;
      const source = oldestOf(this.#sources);
      if (source === undefined) return;
      if (!skipDeletions || source.cursor.valueStart >= 0) {
        message.record(source.cursor, source.partition.index);
        this.#left--;
      }
      source.take();
      this.#touched.add(source);
    }
  }

  async #send(): Promise<void> {
    const message = this.#message;
    message.next(positionsOf([...this.#touched]));
    this.#touched.clear();
    if (!this.#sink.send(message.take())) await this.#sink.drained();
  }

  #refuseIfAborted(): void {
    if (this.#signal.aborted) throw abortError(this.#signal);
  }
}

interface ReadRange {
  readonly partition: Partition;
  readonly from: number;
  readonly until: number | undefined;
  readonly skipsMissing: boolean;
}

async function rangeOf(
  topic: OpenTopic,
  partition: Partition,
  request: ReadRequest,
): Promise<ReadRange> {
  const { highWatermark } = partition;
  const known = request.offsets.find((offset) => offset.partition === partition.index);
  const from = fromOf(request.from);
  if (known === undefined && typeof from === "number" && from >= 0) onlyOne(topic, request);
  const to = request.to === undefined ? undefined : fromOf(request.to);
  return {
    partition,
    from:
      known === undefined
        ? await startOffset(topic.name, partition, from)
        : await knownOffset(topic, partition, { request, offset: Number(known.offset) }),
    until: await untilOf(topic, partition, { to, follow: request.follow, highWatermark }),
    skipsMissing: request.skipMissing || (known === undefined && from === "start"),
  };
}

/** A place that a stream went on to; records from there on may have been removed since. */
async function knownOffset(
  topic: OpenTopic,
  partition: Partition,
  { request, offset }: { readonly request: ReadRequest; readonly offset: number },
): Promise<number> {
  const isGone = offset >= 0 && offset < partition.logStartOffset && request.skipMissing;
  return isGone ? partition.logStartOffset : startOffset(topic.name, partition, offset);
}

async function untilOf(
  topic: OpenTopic,
  partition: Partition,
  range: {
    readonly to: ReadFrom | undefined;
    readonly follow: boolean;
    readonly highWatermark: number;
  },
): Promise<number | undefined> {
  const { to, follow, highWatermark } = range;
  if (to === undefined) return follow ? undefined : highWatermark;
  // An end that is not there yet is waited for where the reading follows.
  if (typeof to === "number" && to > highWatermark) return follow ? to : highWatermark;
  if (typeof to === "number" && to >= 0) return to;
  return startOffset(topic.name, partition, to);
}

function onlyOne(topic: OpenTopic, { partitions }: ReadRequest): void {
  const count = partitions.length === 0 ? topic.partitions.length : partitions.length;
  if (count === 1) return;
  throw new LogError(
    "invalid_argument",
    `${topic.name}: an offset to read from needs one partition, and these are ${count}; name it, or give offsets of each`,
  );
}

/** The start where nothing is said. */
function fromOf(bound: Bound | undefined): ReadFrom {
  const at = bound?.at;
  if (at?.case === undefined || at.case === "start") return "start";
  if (at.case === "end") return "end";
  return at.case === "offset" ? Number(at.value) : { time: Number(at.value) };
}
