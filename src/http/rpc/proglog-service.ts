/**
 * The log of the book "Distributed Services with Go" on one topic, so that programs written for it run
 * unchanged. Its records have no key, and are those of the topic's first partition.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";

import {
  type Broker,
  PartitionSource,
  type TopicWriter,
  whenAdvanced,
} from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import type { Partition } from "../../partitions/index.ts";
import { proglog } from "../../proto/index.ts";
import { vouched } from "../../values/index.ts";
import { topicOf } from "./log-verbs.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";
import { guarded } from "./service.ts";

/** What the book's server says over gRPC of an offset that it does not have: HTTP's code, not one of gRPC's. */
const OUT_OF_RANGE = 404;
const PARTITION = 0;

export interface ProglogParts {
  readonly broker: Broker;
  readonly topic: string;
  /** Where this server is reached, for GetServers. */
  readonly address: () => string;
}

export function addProglog(router: ConnectRouter, parts: ProglogParts): void {
  router.service(proglog.Log, guarded(new ProglogCalls(parts)));
}

type Consumed = MessageInitShape<typeof proglog.ConsumeResponseSchema>;

class ProglogCalls implements ServiceImpl<typeof proglog.Log> {
  readonly #parts: ProglogParts;

  constructor(parts: ProglogParts) {
    this.#parts = parts;
  }

  async produce({ record }: proglog.ProduceRequest): Promise<{ offset: bigint }> {
    const writer = await this.#writer();
    const value = record?.value ?? new Uint8Array(0);
    const stored = { timestamp: writer.nowMs, key: undefined, value, headers: [] };
    return { offset: BigInt(await writer.append(PARTITION, stored)) };
  }

  async *produceStream(
    requests: AsyncIterable<proglog.ProduceRequest>,
  ): AsyncGenerator<{ offset: bigint }> {
    for await (const request of requests) yield await this.produce(request);
  }

  async consume(
    { offset }: proglog.ConsumeRequest,
    { protocolName }: HandlerContext,
  ): Promise<Consumed> {
    const source = await this.#sourceAt(offset, protocolName);
    try {
      if (Number(offset) < source.partition.highWatermark) await source.load();
      // Behind a gap that compaction left lies another record than the one asked for.
      if (!source.hasRecord || source.cursor.offset !== Number(offset)) {
        throw outOfRange(offset, protocolName);
      }
      return consumed(source);
    } finally {
      source.close();
    }
  }

  /** Goes on with what is appended later, until the client ends it. */
  async *consumeStream(
    { offset }: proglog.ConsumeRequest,
    { protocolName, signal }: HandlerContext,
  ): AsyncGenerator<Consumed> {
    const { partition } = (await this.#writer()).lane(PARTITION);
    while (!signal.aborted && Number(offset) > partition.highWatermark) {
      await whenAdvanced([partition], [signal]);
    }
    const source = await this.#sourceAt(offset, protocolName);
    try {
      while (!signal.aborted) {
        if (!source.hasRecord) await source.load();
        if (source.hasRecord) {
          yield consumed(source);
          source.take();
        } else if (!source.hasMore) {
          await whenAdvanced([partition], [signal]);
        }
      }
    } finally {
      source.close();
    }
  }

  getServers(): MessageInitShape<typeof proglog.GetServersResponseSchema> {
    const { broker, address } = this.#parts;
    const id = String(broker.nodeId);
    return { servers: [{ id, rpcAddr: address(), isLeader: true }] };
  }

  /** The topic is made when it is first asked for, where the server makes topics on demand. */
  async #writer(): Promise<TopicWriter> {
    const { broker, topic: name } = this.#parts;
    if (broker.topicNamed(name) === undefined) {
      const { errorCode, errorMessage } = await broker.autoCreateTopic(name);
      if (errorCode !== undefined) throw new LogError(errorCode, errorMessage ?? errorCode);
    }
    return broker.writer(topicOf(broker, name));
  }

  async #sourceAt(offset: bigint, protocolName: string): Promise<PartitionSource> {
    const { partition }: { partition: Partition } = (await this.#writer()).lane(PARTITION);
    const from = Number(offset);
    if (from < partition.logStartOffset || from > partition.highWatermark) {
      throw outOfRange(offset, protocolName);
    }
    return new PartitionSource(partition, { from, until: undefined, skipsMissing: false });
  }
}

function consumed({ cursor }: PartitionSource): Consumed {
  const value = new Uint8Array(cursor.value() ?? []);
  return { record: { value, offset: BigInt(cursor.offset) } };
}

function outOfRange(offset: bigint, protocolName: string): ConnectError {
  // Connect has names for the codes of gRPC only.
  const isConnect = protocolName === "connect";
  const code = isConnect ? Code.NotFound : vouched<Code>(OUT_OF_RANGE);
  const error = new ConnectError(`offset out of range: ${offset}`, code);
  const value = localized("en-US", `The requested offset is outside of the log: ${offset}`);
  error.details.push({ type: "google.rpc.LocalizedMessage", value });
  return error;
}

/** A google.rpc.LocalizedMessage. */
function localized(locale: string, message: string): Uint8Array<ArrayBuffer> {
  const writer = new ProtobufWriter(256);
  for (const [tag, text] of [
    [0x0a, locale],
    [0x12, message],
  ] as const) {
    const bytes = Buffer.from(text);
    writer.byte(tag);
    writer.varint(bytes.length);
    writer.raw(bytes);
  }
  return new Uint8Array(writer.take());
}
