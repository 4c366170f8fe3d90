/**
 * The services of `proto/` over Connect, gRPC and gRPC-Web on the exchanges of the environment.
 *
 * Appends and readings with protobuf messages are framed here, because they are many: `log-calls.ts`.
 * All else, and every call in JSON, is Connect's: `connect-door.ts`. Both come to the same functions.
 */
import type { ConnectRouter } from "@connectrpc/connect";

import type { Broker } from "../../broker/index.ts";
import type { Env, HttpExchange } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import {
  ClusterService,
  file_cordwood_v1_error,
  GroupService,
  health,
  LogService,
  proglog,
  reflection,
  reflectionAlpha,
  TopicService,
} from "../../proto/index.ts";
import { addClusterService } from "./cluster-service.ts";
import { ConnectDoor } from "./connect-door.ts";
import { addGroupService } from "./group-service.ts";
import { addHealthService } from "./health-service.ts";
import { connectErrorOf } from "./errors.ts";
import { type LogCallParts, type OpenStream, takeLogCall } from "./log-calls.ts";
import { addLogService } from "./log-service.ts";
import { addProglog } from "./proglog-service.ts";
import { addReflection } from "./reflection-service.ts";
import { addTopicService } from "./topic-service.ts";

export interface RpcOptions {
  readonly env: Env;
  readonly broker: Broker;
  readonly isReady: () => boolean;
  /** The topic that programs written for proglog use; undefined where they are not served. */
  readonly proglogTopic?: string | undefined;
  /** Where clients reach this server. */
  readonly address: () => string;
}

/** Takes what is a call; everything else is left alone. */
export class RpcDoor {
  readonly #parts: LogCallParts;
  readonly #connect: ConnectDoor;
  readonly #ending = new AbortController();
  readonly #streams = new Set<OpenStream>();

  constructor(options: RpcOptions) {
    const { env, broker } = options;
    this.#parts = { env, broker, streams: this.#streams };
    this.#connect = new ConnectDoor((router) => addServices(router, options), this.#ending.signal);
  }

  /** False where the exchange is no call of these services. */
  // hot: once for every request.
  take(exchange: HttpExchange): boolean {
    return takeLogCall(this.#parts, exchange) || this.#connect.take(exchange);
  }

  /** Ends streams that would go on. Idempotent. */
  close(): void {
    const reason = new LogError("closed", "the server ends; go on with the next one");
    this.#ending.abort(connectErrorOf(reason));
    for (const stream of this.#streams) stream.end(reason);
  }
}

function addServices(router: ConnectRouter, options: RpcOptions): void {
  const { env, broker, isReady, proglogTopic: topic, address } = options;
  addLogService(router, { env, broker });
  addTopicService(router, broker);
  addGroupService(router, broker);
  addClusterService(router, broker);
  if (topic !== undefined) addProglog(router, { broker, topic, address });
  const services = [LogService, TopicService, GroupService, ClusterService, health.Health];
  const others = [reflection.ServerReflection, reflectionAlpha.ServerReflection];
  const all = [...services, ...others, ...(topic === undefined ? [] : [proglog.Log])];
  const names = new Set(all.map(({ typeName }) => typeName));
  addHealthService(router, { env, isReady, services: names });
  addReflection(router, [...all.map(({ file }) => file), file_cordwood_v1_error]);
}
