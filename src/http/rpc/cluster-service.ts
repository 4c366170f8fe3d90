/** ClusterService: the servers themselves. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";

import type { Broker } from "../../broker/index.ts";
import {
  ClusterService,
  type DescribeClusterResponseSchema,
  type GetStatsResponseSchema,
} from "../../proto/index.ts";
import { guarded } from "./service.ts";

export function addClusterService(router: ConnectRouter, broker: Broker): void {
  router.service(ClusterService, guarded(new ClusterCalls(broker)));
}

class ClusterCalls implements ServiceImpl<typeof ClusterService> {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  describeCluster(): MessageInitShape<typeof DescribeClusterResponseSchema> {
    const { clusterId, controllerId, brokers } = this.#broker.describeCluster();
    return {
      clusterId,
      controller: controllerId,
      nodes: brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port })),
    };
  }

  getStats(): MessageInitShape<typeof GetStatsResponseSchema> {
    const { store, walBytes, topics, partitions, groups, waitingFetches } = this.#broker.stats();
    return {
      nodeId: this.#broker.nodeId,
      topics,
      partitions,
      groups,
      walBytes: BigInt(walBytes),
      waitingFetches,
      frames: BigInt(store.frames),
      batches: BigInt(store.batches),
      bytes: BigInt(store.bytes),
      syncs: BigInt(store.syncs),
      checkpoints: BigInt(store.checkpoints),
      segments: BigInt(store.segments),
      failedWrites: BigInt(store.failedWrites),
      compactions: BigInt(store.compactions),
      compactionBytesRead: BigInt(store.compactionBytesRead),
      compactionBytesWritten: BigInt(store.compactionBytesWritten),
      compactionRecordsRemoved: BigInt(store.compactionRecordsRemoved),
      compactionMs: BigInt(Math.round(store.compactionMs)),
    };
  }

  async checkpoint(): Promise<object> {
    await this.#broker.checkpoint();
    return {};
  }
}
