// A broker behind a real Kafka port in a directory of its own, and a client that writes the bytes
// of single requests itself, for the tests beside this file.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Broker } from "../../broker/index.ts";
import type { Env } from "../../env/index.ts";
import { nodeEnv } from "../../env/node/index.ts";
import { MetricRegistry } from "../../metrics/index.ts";
import { BatchBuilder, type BatchBuilderOptions } from "../../records/index.ts";
import { MessageWriter, sourceOf } from "../codec/writer.ts";
import { decodeResponse, encodeRequest } from "../header.ts";
import { KafkaListener } from "../listener.ts";
import type { ApiName, RequestBody, ResponseOf } from "../registry.ts";
import { kafkaHandlers } from "./handlers.ts";

export class KafkaWorld implements AsyncDisposable {
  readonly env: Env;
  readonly broker: Broker;
  readonly listener: KafkaListener;
  readonly metrics: MetricRegistry;
  readonly #directory: string;
  readonly #clients: RawClient[] = [];

  private constructor(
    env: Env,
    broker: Broker,
    {
      listener,
      metrics,
      directory,
    }: Pick<KafkaWorld, "listener" | "metrics"> & {
      directory: string;
    },
  ) {
    this.env = env;
    this.broker = broker;
    this.listener = listener;
    this.metrics = metrics;
    this.#directory = directory;
  }

  static async open(settings: Readonly<Record<string, string>> = {}): Promise<KafkaWorld> {
    const env = nodeEnv();
    const directory = await mkdtemp(join(tmpdir(), "cordwood-kafka-"));
    const metrics = new MetricRegistry();
    const at = { host: "127.0.0.1", port: 0 };
    let port = 0;
    const broker = await Broker.open(env, {
      directory,
      durability: "os",
      settings: new Map(
        Object.entries({
          "offsets.topic.num.partitions": "2",
          "group.initial.rebalance.delay.ms": "0",
          ...settings,
        }),
      ),
      metrics,
      advertised: () => ({ ...at, port }),
      onFatal: (error) => assert.fail(error),
    });
    const handlers = kafkaHandlers({ env, broker, metrics });
    const listener = await KafkaListener.listen(env, { at, handlers });
    port = listener.port;
    return new KafkaWorld(env, broker, { listener, metrics, directory });
  }

  async client(): Promise<RawClient> {
    const client = await RawClient.connect(this.listener.port);
    this.#clients.push(client);
    return client;
  }

  /** The id of a topic that is there. */
  topicId(name: string): string {
    const topic = this.broker.topicNamed(name);
    assert.ok(topic !== undefined, `topic ${name} is there`);
    return topic.topicId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.listener.close(0);
    await this.broker.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** One connection; requests are answered in their order, as the protocol promises. */
export class RawClient {
  readonly #socket: Socket;
  readonly #writer = new MessageWriter();
  readonly #waiting: ((frame: Buffer | undefined) => void)[] = [];
  #received = Buffer.alloc(0);
  #correlationId = 0;
  /** Resolves once the connection is closed by either side. */
  readonly closed: Promise<unknown>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = once(socket, "close");
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      for (const answer of this.#waiting.splice(0)) answer(undefined);
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  async ask<K extends ApiName>(
    api: K,
    version: number,
    body: RequestBody<K>,
  ): Promise<ResponseOf<K>> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    this.#waiting.push(resolve);
    const correlationId = this.tell(api, version, body);
    const frame = await promise;
    assert.ok(frame !== undefined, `${api} v${version} is answered`);
    assert.equal(frame.readInt32BE(0), correlationId, "answers come in the order of requests");
    return decodeResponse(api, version, sourceOf(frame), 0, frame.length);
  }

  /** Sends without waiting for an answer. */
  tell<K extends ApiName>(api: K, version: number, body: RequestBody<K>): number {
    const correlationId = ++this.#correlationId;
    const options = { version, correlationId, clientId: "raw" };
    this.#socket.write(Buffer.concat(encodeRequest(this.#writer, api, options, body)));
    return correlationId;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4) {
      const size = this.#received.readInt32BE(0);
      if (this.#received.length < 4 + size) return;
      const frame = Buffer.from(this.#received.subarray(4, 4 + size));
      this.#received = this.#received.subarray(4 + size);
      const answer = this.#waiting.shift();
      assert.ok(answer !== undefined, "an answer was waited for");
      answer(frame);
    }
  }
}

/** One batch with a record for each value. */
export function batchOf(
  values: readonly string[],
  options: Partial<BatchBuilderOptions> & { readonly timestampMs?: number } = {},
): Uint8Array {
  const { timestampMs = 1_700_000_000_000, ...rest } = options;
  const builder = new BatchBuilder({ codec: "none", ...rest });
  for (const [index, value] of values.entries()) {
    builder.append(timestampMs + index, undefined, Buffer.from(value));
  }
  return builder.finish();
}
