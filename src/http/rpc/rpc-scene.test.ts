// A server of the RPC services on a port of this machine, for the tests beside this file.
import { type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";

import { Broker } from "../../broker/index.ts";
import { MemoryDisk } from "../../env/index.ts";
import { nodeEnv } from "../../env/node/index.ts";
import { RpcDoor } from "./index.ts";

export interface RpcScene extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly broker: Broker;
  isReady: boolean;
  createTopic(name: string, partitionCount?: number): Promise<void>;
}

/** With a store in memory, and the network of this machine. */
export async function openRpcScene(): Promise<RpcScene> {
  const env = { ...nodeEnv(), disk: new MemoryDisk() };
  const broker = await Broker.open(env, {
    directory: "/store",
    advertised: () => ({ host: "127.0.0.1", port: 9092 }),
    settings: new Map([["offsets.topic.num.partitions", "2"]]),
    onFatal: (error) => {
      throw error;
    },
  });
  const rpc = new RpcDoor({
    env,
    broker,
    isReady: () => scene.isReady,
    proglogTopic: "proglog",
    address: () => `127.0.0.1:${listener.port}`,
  });
  const listener = await env.network.serveHttp(
    { host: "127.0.0.1", port: 0 },
    {
      handle: (exchange) => {
        if (!rpc.take(exchange)) exchange.answer(404, {}, "");
      },
    },
  );
  const scene: RpcScene = {
    url: `http://127.0.0.1:${listener.port}`,
    port: listener.port,
    broker,
    isReady: true,
    async createTopic(name, partitionCount = 1) {
      const [created] = await broker.createTopics([{ name, partitionCount }]);
      if (created?.errorCode !== undefined) throw new Error(created.errorMessage);
    },
    async [Symbol.asyncDispose]() {
      rpc.close();
      await listener.close();
      await broker.close();
    },
  };
  return scene;
}

/** A client of every protocol, with protobuf and with JSON where there is a choice. */
export function transports(baseUrl: string): ReadonlyMap<string, Transport> {
  const two = { baseUrl, httpVersion: "2" as const };
  const one = { baseUrl, httpVersion: "1.1" as const };
  return new Map([
    ["gRPC", createGrpcTransport({ baseUrl })],
    ["gRPC-Web over HTTP/1.1", createGrpcWebTransport(one)],
    ["gRPC-Web over HTTP/2", createGrpcWebTransport(two)],
    ["Connect over HTTP/1.1", createConnectTransport(one)],
    ["Connect over HTTP/2", createConnectTransport(two)],
    ["Connect in JSON", createConnectTransport({ ...two, useBinaryFormat: false })],
    ["gRPC in JSON", createGrpcTransport({ baseUrl, useBinaryFormat: false })],
  ]);
}

/** Those that can send and receive at the same time. */
export function bothWays(all: ReadonlyMap<string, Transport>): ReadonlyMap<string, Transport> {
  return new Map([...all].filter(([name]) => !name.includes("1.1")));
}
