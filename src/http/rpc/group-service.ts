/** GroupService: groups and the positions that they store. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";

import type { Broker } from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import {
  type CommitOffsetsRequest,
  type DeleteGroupRequest,
  type DeleteOffsetsRequest,
  type DescribeGroupRequest,
  type DescribeGroupResponseSchema,
  type FetchOffsetsRequest,
  type FetchOffsetsResponseSchema,
  GroupService,
  type ListGroupsRequest,
  type ListGroupsResponseSchema,
} from "../../proto/index.ts";
import { guarded, refuseFault } from "./service.ts";

export function addGroupService(router: ConnectRouter, broker: Broker): void {
  router.service(GroupService, guarded(new GroupCalls(broker)));
}

class GroupCalls implements ServiceImpl<typeof GroupService> {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  listGroups({ states }: ListGroupsRequest): MessageInitShape<typeof ListGroupsResponseSchema> {
    const groups = this.#broker.listGroups({ states });
    return {
      groups: groups.map(({ groupId, state, protocolType }) => ({
        group: groupId,
        state,
        protocolType,
      })),
    };
  }

  async describeGroup({
    group,
  }: DescribeGroupRequest): Promise<MessageInitShape<typeof DescribeGroupResponseSchema>> {
    const [described] = await this.#broker.describeGroups([group]);
    refuseFault(described);
    const { state = "Dead", protocolType = "", protocolName = "", members = [] } = described ?? {};
    return {
      group: { group, state, protocolType },
      protocol: protocolName,
      members: members.map(({ groupInstanceId, client, memberId, assignment }) => ({
        memberId,
        assignment: new Uint8Array(assignment),
        clientId: client.clientId,
        clientHost: client.clientHost,
        ...(groupInstanceId === undefined ? {} : { groupInstanceId }),
      })),
    };
  }

  async commitOffsets({ group: groupId, offsets }: CommitOffsetsRequest): Promise<object> {
    const outcomes = await this.#broker.commitOffsets({
      groupId,
      offsets: offsets.map(({ topic, partition, offset, metadata }) => ({
        topic: { name: topic },
        partition,
        offset: offsetOf(offset),
        leaderEpoch: undefined,
        metadata,
      })),
    });
    for (const [index, outcome] of outcomes.entries()) {
      const { topic, partition } = offsets[index] ?? {};
      refuseFault(outcome, `${topic}/${partition}`);
    }
    return {};
  }

  async fetchOffsets({
    group: groupId,
  }: FetchOffsetsRequest): Promise<MessageInitShape<typeof FetchOffsetsResponseSchema>> {
    const fetched = await this.#broker.fetchOffsets({ groupId, partitions: undefined });
    refuseFault(fetched);
    return {
      offsets: fetched.offsets.flatMap(({ topic, partition, offset, metadata }) => {
        if (offset === undefined) return [];
        const committed = { topic, partition, offset: BigInt(offset), metadata };
        const end = this.#broker.partition(topic, partition)?.highWatermark;
        if (end === undefined) return [{ committed }];
        const lag = BigInt(Math.max(0, end - offset));
        return [{ committed, endOffset: BigInt(end), lag }];
      }),
    };
  }

  async deleteGroup({ group }: DeleteGroupRequest): Promise<object> {
    const [deleted] = await this.#broker.deleteGroups([group]);
    refuseFault(deleted);
    return {};
  }

  async deleteOffsets({ group, partitions }: DeleteOffsetsRequest): Promise<object> {
    const items = partitions.map(({ topic, partition }) => ({ topic: { name: topic }, partition }));
    const deleted = await this.#broker.deleteOffsets(group, items);
    const { errorCode, errorMessage } = deleted;
    if (errorCode !== undefined) throw new LogError(errorCode, errorMessage ?? errorCode);
    for (const [index, outcome] of deleted.items.entries()) {
      const { topic, partition } = partitions[index] ?? {};
      refuseFault(outcome, `${topic}/${partition}`);
    }
    return {};
  }
}

function offsetOf(offset: bigint): number {
  const number = Number(offset);
  if (number >= 0 && Number.isSafeInteger(number)) return number;
  throw new LogError("invalid_argument", `${offset} is no offset to go on from`);
}
