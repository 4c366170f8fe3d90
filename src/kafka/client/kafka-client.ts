import type { Env } from "../../env/index.ts";
import { Cluster } from "./cluster.ts";
import { Groups } from "./groups.ts";
import { GroupMember, type MemberOptions } from "./member.ts";
import { Offsets } from "./offsets.ts";
import { Producer, type ProducerOptions } from "./producer.ts";
import { type PartitionRange, readRanges, type ReadOptions } from "./reader.ts";
import type { RecordChunk } from "./record-chunk.ts";
import { Topics } from "./topics.ts";

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  /** What the server shows for this client. */
  readonly clientId: string;
  readonly connectMsMax?: number | undefined;
  /** For an answer, beyond what a call waits at the server by intent. */
  readonly requestMsMax?: number | undefined;
}

const CONNECT_MS_MAX = 10_000;
const REQUEST_MS_MAX = 30_000;

/**
 * A client of any Kafka server.
 *
 * @example
 * const client = await KafkaClient.connect(env, { host: "127.0.0.1", port: 9092, clientId: "me" });
 * const producer = await client.produce("orders");
 * await producer.send({ value: Buffer.from("one") });
 * await producer.flush();
 * await client.close();
 */
export class KafkaClient implements AsyncDisposable {
  readonly topics: Topics;
  readonly offsets: Offsets;
  readonly groups: Groups;
  readonly #cluster: Cluster;

  /** Meets the server once, so that a wrong address shows here. @throws LogError unreachable, ... */
  static async connect(env: Env, options: ClientOptions): Promise<KafkaClient> {
    const cluster = new Cluster(
      env,
      { host: options.host, port: options.port },
      {
        clientId: options.clientId,
        connectMsMax: options.connectMsMax ?? CONNECT_MS_MAX,
        requestMsMax: options.requestMsMax ?? REQUEST_MS_MAX,
      },
    );
    await cluster.any();
    return new KafkaClient(cluster);
  }

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.topics = new Topics(cluster);
    this.offsets = new Offsets(cluster);
    this.groups = new Groups(cluster);
  }

  /** @throws LogError topic_not_found */
  async produce(topic: string, options?: ProducerOptions): Promise<Producer> {
    return Producer.open(this.#cluster, topic, options);
  }

  /** See {@link readRanges}. */
  read(
    ranges: readonly PartitionRange[],
    options?: ReadOptions,
  ): AsyncGenerator<RecordChunk, void, undefined> {
    return readRanges(this.#cluster, ranges, options);
  }

  /** A member that has not joined yet. */
  member(options: MemberOptions): GroupMember {
    return new GroupMember(this.#cluster, this.groups, options);
  }

  /** Ends every connection at once: flush producers and leave groups before. Idempotent. */
  async close(): Promise<void> {
    await this.#cluster.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
