/** TopicService: topics and their settings. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";

import type { Broker, OpenTopic, SettingChange as Change } from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import {
  type AddPartitionsRequest,
  type AlterTopicRequest,
  type CompactTopicRequest,
  type CompactTopicResponseSchema,
  type CreateTopicRequest,
  type CreateTopicResponseSchema,
  type DeleteRecordsRequest,
  type DeleteTopicRequest,
  type DescribeTopicRequest,
  type DescribeTopicResponseSchema,
  type ListTopicsResponseSchema,
  type SettingChange,
  type TopicSummarySchema,
  TopicService,
} from "../../proto/index.ts";
import { topicOf } from "./log-verbs.ts";
import { guarded, refuseFault } from "./service.ts";

export function addTopicService(router: ConnectRouter, broker: Broker): void {
  router.service(TopicService, guarded(new TopicCalls(broker)));
}

type Summary = MessageInitShape<typeof TopicSummarySchema>;

class TopicCalls implements ServiceImpl<typeof TopicService> {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  listTopics(): MessageInitShape<typeof ListTopicsResponseSchema> {
    return { topics: this.#broker.listTopics().map((topic) => summaryOf(topic)) };
  }

  describeTopic({
    topic: name,
  }: DescribeTopicRequest): MessageInitShape<typeof DescribeTopicResponseSchema> {
    const topic = topicOf(this.#broker, name);
    const [described] = this.#broker.describeTopics([{ name }]);
    const [configs] = this.#broker.describeConfigs([{ kind: "topic", name }]);
    refuseFault(described);
    refuseFault(configs);
    return {
      topic: summaryOf(topic),
      partitions: topic.partitions.map((partition) => ({
        partition: partition.index,
        startOffset: BigInt(partition.logStartOffset),
        endOffset: BigInt(partition.highWatermark),
        sizeBytes: BigInt(partition.sizeBytes),
        leader: described?.partitions[partition.index]?.leader ?? 0,
        leaderEpoch: partition.leaderEpoch,
      })),
      settings: (configs?.settings ?? []).map(({ value, ...setting }) => ({
        name: setting.name,
        origin: setting.origin,
        type: setting.type,
        isReadOnly: setting.isReadOnly,
        documentation: setting.documentation,
        ...(value === undefined ? {} : { value }),
      })),
    };
  }

  async createTopic(
    request: CreateTopicRequest,
  ): Promise<MessageInitShape<typeof CreateTopicResponseSchema>> {
    const { topic: name, partitionCount, validateOnly } = request;
    const settings = new Map(Object.entries(request.settings));
    const [created] = await this.#broker.createTopics([{ name, partitionCount, settings }], {
      validateOnly,
    });
    refuseFault(created);
    const topic = {
      name,
      topicId: created?.topicId ?? "",
      partitionCount: created?.partitionCount ?? 0,
    };
    return { topic };
  }

  async deleteTopic({ topic: name }: DeleteTopicRequest): Promise<object> {
    const [deleted] = await this.#broker.deleteTopics([{ name }]);
    refuseFault(deleted);
    return {};
  }

  async alterTopic({ topic: name, changes, validateOnly }: AlterTopicRequest): Promise<object> {
    const wanted = { kind: "topic", name, changes: changes.map((change) => changeOf(change)) };
    const [changed] = await this.#broker.alterConfigs([{ ...wanted, kind: "topic" }], {
      validateOnly,
    });
    refuseFault(changed);
    return {};
  }

  async addPartitions(request: AddPartitionsRequest): Promise<object> {
    const { topic: name, partitionCount, validateOnly } = request;
    const [grown] = await this.#broker.createPartitions([{ name, partitionCount }], {
      validateOnly,
    });
    refuseFault(grown);
    return {};
  }

  async compactTopic(
    { topic: name, partition }: CompactTopicRequest,
    { signal }: HandlerContext,
  ): Promise<MessageInitShape<typeof CompactTopicResponseSchema>> {
    const compacted = await this.#broker.compactTopic({ name }, { partition, signal });
    return {
      partitions: compacted.map((one) => ({
        partition: one.partition,
        recordsRead: BigInt(one.recordsRead),
        recordsRemoved: BigInt(one.recordsRemoved),
        tombstonesRemoved: BigInt(one.tombstonesRemoved),
        bytesRead: BigInt(one.bytesRead),
        bytesWritten: BigInt(one.bytesWritten),
        batchesSkipped: BigInt(one.batchesSkipped),
        tookMs: BigInt(Math.round(one.tookMs)),
        passes: one.passes,
      })),
    };
  }

  async deleteRecords({
    topic: name,
    partition,
    before,
  }: DeleteRecordsRequest): Promise<{ startOffset: bigint }> {
    const item = {
      topic: { name },
      partition,
      before: before === undefined ? undefined : Number(before),
    };
    const [deleted] = await this.#broker.deleteRecords([item]);
    refuseFault(deleted);
    return { startOffset: BigInt(deleted?.logStartOffset ?? 0) };
  }
}

function summaryOf({ name, topicId, isInternal, partitions }: OpenTopic): Summary {
  return { name, topicId, isInternal, partitionCount: partitions.length };
}

function changeOf({ name, change }: SettingChange): Change {
  switch (change.case) {
    case "set":
    case "append":
    case "subtract":
      return { kind: change.case, name, value: change.value };
    case "unset":
      return { kind: "delete", name };
    case undefined:
    default:
      throw new LogError(
        "invalid_argument",
        `nothing is said of setting "${name}": set, unset, append or subtract it`,
      );
  }
}
