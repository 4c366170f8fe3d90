/** Consumer groups as they are seen from outside: who is in them, where they are, how far behind. */
import type { Broker, CommitItem, GroupDescription } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import { sendJson } from "./json-answer.ts";
import { fieldsOf, JsonFields } from "./json-fields.ts";
import { invalid, uncached } from "./problem.ts";
import type { Request } from "./request.ts";
import type { Route } from "./router.ts";
import { refuseFault } from "./topic-routes.ts";

export class GroupRoutes {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  get routes(): readonly Route[] {
    const offsets = "/groups/{group}/offsets";
    return [
      { method: "GET", path: "/groups", handle: (request) => this.#list(request) },
      { method: "GET", path: "/groups/{group}", handle: (request) => this.#describe(request) },
      { method: "DELETE", path: "/groups/{group}", handle: (request) => this.#delete(request) },
      { method: "GET", path: offsets, handle: (request) => this.#offsets(request) },
      { method: "PUT", path: offsets, handle: (request) => this.#commit(request) },
      { method: "DELETE", path: offsets, handle: (request) => this.#forget(request) },
    ];
  }

  #list(request: Request): void {
    request.allow();
    const groups = this.#broker.listGroups().map(({ groupId, state, protocolType }) => ({
      group: groupId,
      state,
      protocolType,
    }));
    sendJson(request, { groups });
  }

  async #describe(request: Request): Promise<void> {
    request.allow();
    const group = request.param("group");
    const { state, protocolType, protocolName, members } = await this.#group(group);
    sendJson(request, {
      group,
      state,
      protocolType,
      protocolName,
      members: members.map(({ memberId, groupInstanceId, client }) => ({
        memberId,
        groupInstanceId: groupInstanceId ?? null,
        clientId: client.clientId,
        clientHost: client.clientHost,
      })),
      offsets: await this.#committed(group),
    });
  }

  async #delete(request: Request): Promise<void> {
    request.allow();
    const [deleted] = await this.#broker.deleteGroups([request.param("group")]);
    refuseFault(deleted);
    request.exchange.answer(204, uncached, "");
  }

  async #offsets(request: Request): Promise<void> {
    request.allow();
    const group = request.param("group");
    await this.#group(group);
    sendJson(request, { offsets: await this.#committed(group) });
  }

  /** Stores positions for a group without members. */
  async #commit(request: Request): Promise<void> {
    request.allow();
    const groupId = request.param("group");
    const fields = await fieldsOf(request, "offsets");
    const offsets = fields.list("offsets").map((each, index) => this.#commitItem(each, index));
    if (offsets.length === 0) throw invalid("offsets", `"offsets" has at least one position`);
    const outcomes = await this.#broker.commitOffsets({
      groupId,
      offsets,
    });
    for (const outcome of outcomes) refuseFault(outcome);
    sendJson(request, { offsets: await this.#committed(groupId) });
  }

  async #forget(request: Request): Promise<void> {
    request.allow("topic", "partition");
    const name = request.query("topic");
    const partition = request.numberQuery("partition");
    if (name === undefined || partition === undefined) {
      throw invalid(
        name === undefined ? "topic" : "partition",
        `"topic" and "partition" say which`,
      );
    }
    const item = { topic: { name }, partition };
    const deleted = await this.#broker.deleteOffsets(request.param("group"), [item]);
    refuseFault(deleted);
    refuseFault(deleted.items[0]);
    request.exchange.answer(204, uncached, "");
  }

  /** A place in the log that there is, so that a mistyped one is told now and not to a reader later. */
  #commitItem(given: unknown, index: number): CommitItem {
    const names = ["topic", "partition", "offset", "metadata"];
    const fields = new JsonFields(given, names, `offsets[${index}]`);
    const name = fields.text("topic");
    const number = fields.number("partition");
    const offset = fields.number("offset");
    const partition = this.#broker.partition(name, number);
    if (partition === undefined) {
      throw new LogError(
        "partition_not_found",
        `there is no partition ${number} of a topic "${name}"`,
      );
    }
    if (offset > partition.highWatermark) {
      const end = partition.highWatermark;
      throw invalid(
        fields.path("offset"),
        `${name}/${number} ends before ${end}, so nothing is read from ${offset} on`,
      );
    }
    const metadata = fields.optionalText("metadata") ?? "";
    return { topic: { name }, partition: number, offset, leaderEpoch: undefined, metadata };
  }

  async #group(groupId: string): Promise<GroupDescription> {
    const [group] = await this.#broker.describeGroups([groupId]);
    refuseFault(group);
    if (group !== undefined && group.state !== "Dead") return group;
    throw new LogError("group_not_found", `there is no group "${groupId.slice(0, 249)}"`);
  }

  async #committed(groupId: string): Promise<object[]> {
    const found = await this.#broker.fetchOffsets({ groupId, partitions: undefined });
    refuseFault(found);
    return found.offsets.flatMap(({ topic, partition, offset, metadata }) => {
      if (offset === undefined) return [];
      const endOffset = this.#broker.partition(topic, partition)?.highWatermark;
      const lag = endOffset === undefined ? null : Math.max(endOffset - offset, 0);
      return [{ topic, partition, offset, metadata, endOffset: endOffset ?? null, lag }];
    });
  }
}
