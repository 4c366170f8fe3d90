import { NIL_UUID } from "../../bytes/index.ts";
import { LogError } from "../../errors/index.ts";
import { type Cluster, type TopicMetadata, topicMetadataOf } from "./cluster.ts";
import { mustSucceed } from "./errors.ts";

export interface NewTopicRequest {
  readonly name: string;
  /** Undefined leaves it to the server. */
  readonly partitionCount?: number | undefined;
  readonly replicationFactor?: number | undefined;
  readonly settings?: ReadonlyMap<string, string> | undefined;
}

export interface TopicSetting {
  readonly name: string;
  /** Undefined where there is none, or it is not shown. */
  readonly value: string | undefined;
  /** Whether it was set for this topic itself. */
  readonly isOwn: boolean;
  readonly isReadOnly: boolean;
  readonly documentation: string;
}

export interface TopicChange {
  readonly set?: ReadonlyMap<string, string>;
  /** Names that fall back to their defaults. */
  readonly remove?: readonly string[];
}

const TOPIC_RESOURCE = 2;
const OWN_SOURCE = 1;
const SET_OPERATION = 0;
const DELETE_OPERATION = 1;
const ADMIN_MS_MAX = 30_000;

/** Topics and their settings. */
export class Topics {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Every topic, in the order of their names. */
  async list(): Promise<TopicMetadata[]> {
    const { topics } = await this.#cluster.retrying(() => this.#cluster.metadata(undefined, false));
    const found = topics.filter(({ errorCode }) => errorCode === 0).map(topicMetadataOf);
    return found.toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** As the server has it now. @throws LogError topic_not_found */
  async describe(name: string): Promise<TopicMetadata> {
    this.#cluster.forget(name);
    return this.#cluster.retrying(() => this.#cluster.topic(name));
  }

  /** @throws LogError topic_exists, invalid_topic_name, invalid_config, invalid_partitions, ... */
  async create(
    topic: NewTopicRequest,
    options: { readonly validateOnly?: boolean } = {},
  ): Promise<void> {
    const connection = await this.#cluster.any();
    const answer = await connection.request("CreateTopics", {
      topics: [
        {
          name: topic.name,
          numPartitions: topic.partitionCount ?? -1,
          replicationFactor: topic.replicationFactor ?? -1,
          assignments: [],
          configs: [...(topic.settings ?? [])].map(([name, value]) => ({ name, value })),
        },
      ],
      timeoutMs: ADMIN_MS_MAX,
      validateOnly: options.validateOnly ?? false,
    });
    for (const { errorCode, errorMessage } of answer.topics) {
      mustSucceed(errorCode, `topic ${topic.name}`, errorMessage);
    }
    if (options.validateOnly !== true) await this.#appeared(topic.name);
  }

  /** @throws LogError topic_not_found */
  async delete(name: string): Promise<void> {
    const connection = await this.#cluster.any();
    const isByEither = (connection.versionOf("DeleteTopics") ?? 0) >= 6;
    const answer = await connection.request("DeleteTopics", {
      ...(isByEither ? { topics: [{ name, topicId: NIL_UUID }] } : { topicNames: [name] }),
      timeoutMs: ADMIN_MS_MAX,
    });
    for (const { errorCode, errorMessage } of answer.responses) {
      mustSucceed(errorCode, `topic ${name}`, errorMessage);
    }
    this.#cluster.forget(name);
  }

  /** Gives the topic so many partitions. @throws LogError invalid_partitions, topic_not_found */
  async grow(name: string, partitionCount: number): Promise<void> {
    const connection = await this.#cluster.any();
    const answer = await connection.request("CreatePartitions", {
      topics: [{ name, count: partitionCount }],
      timeoutMs: ADMIN_MS_MAX,
      validateOnly: false,
    });
    for (const { errorCode, errorMessage } of answer.results) {
      mustSucceed(errorCode, `topic ${name}`, errorMessage);
    }
    this.#cluster.forget(name);
  }

  /** What holds for the topic, in the order of the names. @throws LogError topic_not_found */
  async settings(name: string): Promise<TopicSetting[]> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#cluster.any();
      const withDocumentation = (connection.versionOf("DescribeConfigs") ?? 0) >= 3;
      const answer = await connection.request("DescribeConfigs", {
        resources: [{ resourceType: TOPIC_RESOURCE, resourceName: name }],
        includeDocumentation: withDocumentation,
      });
      const result = answer.results[0];
      if (result === undefined) throw new LogError("topic_not_found", `topic ${name}: not found`);
      mustSucceed(result.errorCode, `topic ${name}`, result.errorMessage);
      return result.configs
        .map((config) => ({
          name: config.name,
          value: config.isSensitive ? undefined : config.value,
          isOwn: config.configSource === OWN_SOURCE,
          isReadOnly: config.readOnly,
          documentation: config.documentation ?? "",
        }))
        .toSorted((left, right) => (left.name < right.name ? -1 : 1));
    });
  }

  /** @throws LogError invalid_config, topic_not_found */
  async alter(name: string, change: TopicChange): Promise<void> {
    const connection = await this.#cluster.any();
    const set = [...(change.set ?? [])].map(([setting, value]) => ({
      name: setting,
      configOperation: SET_OPERATION,
      value,
    }));
    const remove = (change.remove ?? []).map((setting) => ({
      name: setting,
      configOperation: DELETE_OPERATION,
    }));
    const answer = await connection.request("IncrementalAlterConfigs", {
      resources: [
        { resourceType: TOPIC_RESOURCE, resourceName: name, configs: [...set, ...remove] },
      ],
      validateOnly: false,
    });
    for (const { errorCode, errorMessage } of answer.responses) {
      mustSucceed(errorCode, `topic ${name}`, errorMessage);
    }
  }

  /** Bytes on disk of each partition that the brokers tell of, by topic and index. */
  async sizes(): Promise<ReadonlyMap<string, ReadonlyMap<number, number>>> {
    const connection = await this.#cluster.any();
    const sizes = new Map<string, Map<number, number>>();
    if (connection.versionOf("DescribeLogDirs") === undefined) return sizes;
    const answer = await connection.request("DescribeLogDirs", { topics: undefined });
    for (const { name, partitions } of answer.results.flatMap(({ topics }) => topics)) {
      const ofTopic = sizes.get(name) ?? new Map<number, number>();
      for (const { partitionIndex, partitionSize } of partitions) {
        ofTopic.set(partitionIndex, partitionSize);
      }
      sizes.set(name, ofTopic);
    }
    return sizes;
  }

  /** Brokers may answer that a topic is made before each of them knows it. */
  async #appeared(name: string): Promise<void> {
    this.#cluster.forget(name);
    await this.#cluster.retrying(async () => {
      try {
        const { partitions } = await this.#cluster.topic(name);
        if (partitions.every(({ leader }) => leader !== undefined)) return;
      } catch (thrown) {
        if (LogError.from(thrown).code !== "topic_not_found") throw thrown;
      }
      this.#cluster.forget(name);
      throw new LogError("closed", `topic ${name} was made and has not appeared yet`);
    });
  }
}
