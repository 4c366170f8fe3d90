/** The server itself: who it is, and how it is set. */
import type { Broker } from "../broker/index.ts";
import { sendJson } from "./json-answer.ts";
import { fieldsOf } from "./json-fields.ts";
import type { Request } from "./request.ts";
import type { Route } from "./router.ts";
import { changesOf, refuseFault, settingJson } from "./topic-routes.ts";

export class ClusterRoutes {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  get routes(): readonly Route[] {
    return [
      { method: "GET", path: "/cluster", handle: (request) => this.#cluster(request) },
      { method: "GET", path: "/config", handle: (request) => this.#config(request) },
      { method: "PATCH", path: "/config", handle: (request) => this.#alter(request) },
    ];
  }

  #cluster(request: Request): void {
    request.allow();
    const { clusterId, controllerId, brokers } = this.#broker.describeCluster();
    const { groups } = this.#broker.stats();
    const listed = this.#broker.listTopics();
    const topics = listed.length;
    const partitions = listed.reduce((sum, topic) => sum + topic.partitions.length, 0);
    const shown = brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port }));
    sendJson(request, { clusterId, controllerId, brokers: shown, topics, partitions, groups });
  }

  #config(request: Request): void {
    request.allow();
    const [described] = this.#broker.describeConfigs([{ kind: "broker", name: "" }]);
    refuseFault(described);
    sendJson(request, { settings: (described?.settings ?? []).map(settingJson) });
  }

  async #alter(request: Request): Promise<void> {
    request.allow();
    const fields = await fieldsOf(request, "settings");
    const changes = changesOf(fields.settings("settings"));
    const [changed] = await this.#broker.alterConfigs([{ kind: "broker", name: "", changes }]);
    refuseFault(changed);
    request.exchange.answer(204, {}, "");
  }
}
