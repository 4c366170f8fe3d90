/** LogService for Connect's handlers: messages in JSON, and the calls that are few. */
import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";

import { PartitionSource } from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import type { Partition } from "../../partitions/index.ts";
import {
  type AppendRequest,
  AppendRequestSchema,
  type AppendResponseSchema,
  type AppendStreamRequest,
  AppendStreamRequestSchema,
  type AppendStreamResponseSchema,
  type LastOfKeyRequest,
  type LastOfKeyResponseSchema,
  type ListOffsetsRequest,
  type ListOffsetsResponseSchema,
  LogService,
  type ReadRequest,
  type ReadResponse,
  ReadResponseSchema,
  type Record,
  type TailRequest,
  type TailResponse,
} from "../../proto/index.ts";
import { type AppendedRun, readAppend } from "./append-messages.ts";
import type { LogCallParts } from "./log-calls.ts";
import { appendRecords, partitionsOf, topicOf } from "./log-verbs.ts";
import { rpcLimits } from "./limits.ts";
import { ReadCall } from "./read-call.ts";
import { ReadMessageWriter } from "./read-messages.ts";
import { guarded } from "./service.ts";
import { tailOf } from "./tail.ts";

type LogParts = Omit<LogCallParts, "streams">;

const TAIL_DEFAULT = 10;

export function addLogService(router: ConnectRouter, parts: LogParts): void {
  router.service(LogService, guarded(new LogCalls(parts)));
}

class LogCalls implements ServiceImpl<typeof LogService> {
  readonly #parts: LogParts;

  constructor(parts: LogParts) {
    this.#parts = parts;
  }

  async append(request: AppendRequest): Promise<MessageInitShape<typeof AppendResponseSchema>> {
    const bytes = toBinary(AppendRequestSchema, request);
    return { runs: runsOf(await this.#append(bytes, request.topic)) };
  }

  async *appendStream(
    requests: AsyncIterable<AppendStreamRequest>,
  ): AsyncGenerator<MessageInitShape<typeof AppendStreamResponseSchema>> {
    let topic = "";
    for await (const request of requests) {
      if (request.topic !== "") topic = request.topic;
      const bytes = toBinary(AppendStreamRequestSchema, request);
      yield { runs: runsOf(await this.#append(bytes, topic)) };
    }
  }

  read(request: ReadRequest, { signal }: HandlerContext): AsyncIterable<ReadResponse> {
    return readings(this.#parts, request, signal);
  }

  async tail(request: TailRequest): Promise<TailResponse> {
    const { broker } = this.#parts;
    const limit = request.limit === 0 ? TAIL_DEFAULT : request.limit;
    if (limit < 0 || limit > rpcLimits.tailRecordsMax) {
      throw new LogError(
        "invalid_argument",
        `limit is ${limit}; from 1 to ${rpcLimits.tailRecordsMax} are given at once. Read gives any number.`,
      );
    }
    const topic = topicOf(broker, request.topic);
    const partitions = partitionsOf(broker, topic, request.partitions);
    return tailOf(partitions, limit);
  }

  async listOffsets(
    request: ListOffsetsRequest,
  ): Promise<MessageInitShape<typeof ListOffsetsResponseSchema>> {
    const { broker } = this.#parts;
    const topic = topicOf(broker, request.topic);
    const { timeMs } = request;
    const partitions = await Promise.all(
      partitionsOf(broker, topic, request.partitions).map(async (partition) => {
        const at = timeMs === undefined ? undefined : await partition.offsetForTime(Number(timeMs));
        return {
          partition: partition.index,
          startOffset: BigInt(partition.logStartOffset),
          endOffset: BigInt(partition.highWatermark),
          ...(at === undefined ? {} : { timeOffset: BigInt(at.offset) }),
        };
      }),
    );
    return { partitions };
  }

  async lastOfKey(
    request: LastOfKeyRequest,
  ): Promise<MessageInitShape<typeof LastOfKeyResponseSchema>> {
    const { broker } = this.#parts;
    const writer = broker.writer(topicOf(broker, request.topic));
    const index = request.partition ?? writer.partitionFor(request.key);
    const offset = await writer.lastOffset(index, request.key);
    if (offset === undefined) return {};
    const record = await recordAt(writer.lane(index).partition, offset);
    return record === undefined ? {} : { record };
  }

  async initProducer(): Promise<{ producerId: bigint; producerEpoch: number }> {
    const { producerId, producerEpoch } = await this.#parts.broker.initProducerId({});
    return { producerId: BigInt(producerId), producerEpoch };
  }

  #append(request: Uint8Array, topic: string): Promise<AppendedRun[]> {
    const { env, broker } = this.#parts;
    return appendRecords(broker, topicOf(broker, topic), readAppend(request, env.clock.wallMs()));
  }
}

function runsOf(
  runs: readonly AppendedRun[],
): { partition: number; offset: bigint; count: number }[] {
  return runs.map(({ partition, offset, count }) => ({
    partition,
    offset: BigInt(offset),
    count,
  }));
}

/** A reading for whoever takes one message after another. */
async function* readings(
  { env, broker }: LogParts,
  request: ReadRequest,
  signal: AbortSignal,
): AsyncGenerator<ReadResponse> {
  const ending = new AbortController();
  let message: Buffer | undefined;
  let taken: (() => void) | undefined;
  let made = Promise.withResolvers<void>();
  const sink = {
    headBytes: 0,
    send(bytes: Buffer): boolean {
      message = bytes;
      made.resolve();
      return false;
    },
    drained: () =>
      new Promise<void>((resolve) => {
        taken = resolve;
      }),
  };
  const call = new ReadCall(env, request, sink, AbortSignal.any([signal, ending.signal]));
  let isDone = false;
  const running = call.run(broker).finally(() => {
    isDone = true;
    made.resolve();
  });
  // Whoever takes the messages is told, when it asks for the next one.
  running.catch(() => undefined);
  try {
    for (;;) {
      await made.promise;
      if (message === undefined && isDone) break;
      made = Promise.withResolvers();
      if (message !== undefined) yield fromBinary(ReadResponseSchema, message);
      message = undefined;
      if (isDone) break;
      taken?.();
    }
    await running;
  } finally {
    ending.abort(new LogError("cancelled", "nobody reads any more"));
    taken?.();
  }
}

async function recordAt(partition: Partition, offset: number): Promise<Record | undefined> {
  const until = offset + 1;
  const range = { from: offset, until, skipsMissing: true, reusesMemory: true };
  const source = new PartitionSource(partition, range);
  try {
    await source.load();
    if (!source.hasRecord) return undefined;
    const writer = new ReadMessageWriter(0);
    writer.record(source.cursor, partition.index);
    return fromBinary(ReadResponseSchema, writer.take()).records[0];
  } finally {
    source.close();
  }
}
