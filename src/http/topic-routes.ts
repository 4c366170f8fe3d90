/** Topics: made, described, changed, cut short, deleted. */
import type { Broker, ItemOutcome, OpenTopic, SettingDescription } from "../broker/index.ts";
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import { parsePoint, type Point } from "../values/index.ts";
import { sendJson } from "./json-answer.ts";
import { fieldsOf } from "./json-fields.ts";
import { invalid, uncached } from "./problem.ts";
import { offsetAt } from "./range-offsets.ts";
import type { Request } from "./request.ts";
import type { Route } from "./router.ts";
import { partitionOf, topicOf } from "./topic-finder.ts";

export class TopicRoutes {
  readonly #env: Env;
  readonly #broker: Broker;

  constructor({ env, broker }: { readonly env: Env; readonly broker: Broker }) {
    this.#env = env;
    this.#broker = broker;
  }

  get routes(): readonly Route[] {
    const partition = "/topics/{topic}/partitions/{partition}";
    return [
      { method: "GET", path: "/topics", handle: (request) => this.#list(request) },
      { method: "POST", path: "/topics", handle: (request) => this.#create(request) },
      { method: "GET", path: "/topics/{topic}", handle: (request) => this.#describe(request) },
      { method: "PATCH", path: "/topics/{topic}", handle: (request) => this.#alter(request) },
      { method: "DELETE", path: "/topics/{topic}", handle: (request) => this.#delete(request) },
      { method: "GET", path: "/topics/{topic}/config", handle: (request) => this.#config(request) },
      {
        method: "GET",
        path: "/topics/{topic}/offsets",
        handle: (request) => this.#offsets(request),
      },
      {
        method: "POST",
        path: "/topics/{topic}/truncate",
        handle: (request) => this.#truncate(request),
      },
      {
        method: "POST",
        path: "/topics/{topic}/compact",
        handle: (request) => this.#compact(request),
      },
      { method: "GET", path: partition, handle: (request) => this.#partition(request) },
    ];
  }

  #list(request: Request): void {
    request.allow();
    const topics = this.#broker.listTopics().map(({ name, isInternal, partitions }) => ({
      name,
      isInternal,
      partitionCount: partitions.length,
    }));
    sendJson(request, { topics });
  }

  async #create(request: Request): Promise<void> {
    request.allow("validateOnly");
    const validateOnly = flagOf(request, "validateOnly");
    const fields = await fieldsOf(request, "name", "partitions", "settings");
    const name = fields.text("name");
    const settings = new Map<string, string>();
    for (const [key, value] of fields.settings("settings")) {
      if (value !== undefined) settings.set(key, value);
    }
    const partitionCount = fields.optionalNumber("partitions");
    const [created] = await this.#broker.createTopics([{ name, partitionCount, settings }], {
      validateOnly,
    });
    refuseFault(created);
    if (validateOnly) sendJson(request, { name, partitionCount: created?.partitionCount });
    else sendJson(request, this.#description(topicOf(this.#broker, name)), { status: 201 });
  }

  #describe(request: Request): void {
    request.allow();
    sendJson(request, this.#description(topicOf(this.#broker, request.param("topic"))));
  }

  /** More partitions, other settings: both or none where one of them is wrong. */
  async #alter(request: Request): Promise<void> {
    request.allow();
    const { name } = topicOf(this.#broker, request.param("topic"));
    const fields = await fieldsOf(request, "partitions", "settings");
    const partitionCount = fields.optionalNumber("partitions");
    const more = partitionCount === undefined ? [] : [{ name, partitionCount }];
    const changes = changesOf(fields.settings("settings"));
    const config = changes.length === 0 ? [] : [{ kind: "topic", name, changes } as const];
    for (const validateOnly of [true, false]) {
      for (const outcome of await this.#broker.createPartitions(more, { validateOnly })) {
        refuseFault(outcome);
      }
      for (const outcome of await this.#broker.alterConfigs(config, { validateOnly })) {
        refuseFault(outcome);
      }
    }
    sendJson(request, this.#description(topicOf(this.#broker, name)));
  }

  async #delete(request: Request): Promise<void> {
    request.allow();
    const [deleted] = await this.#broker.deleteTopics([{ name: request.param("topic") }]);
    refuseFault(deleted);
    request.exchange.answer(204, uncached, "");
  }

  #config(request: Request): void {
    request.allow();
    const { name } = topicOf(this.#broker, request.param("topic"));
    const [described] = this.#broker.describeConfigs([{ kind: "topic", name }]);
    refuseFault(described);
    sendJson(request, { settings: (described?.settings ?? []).map(settingJson) });
  }

  async #offsets(request: Request): Promise<void> {
    request.allow("at");
    const topic = topicOf(this.#broker, request.param("topic"));
    const at = parsePoint((request.query("at") ?? "end").replaceAll(" ", "+"));
    const partitions = [];
    for (const partition of topic.partitions) {
      const offset = await this.#offsetAt(topic, partition, at);
      partitions.push({ ...partitionJson(partition), offset });
    }
    sendJson(request, { partitions });
  }

  /** Deletes what is before a point, in one partition or in all. */
  async #truncate(request: Request): Promise<void> {
    request.allow();
    const topic = topicOf(this.#broker, request.param("topic"));
    const fields = await fieldsOf(request, "before", "partition");
    const given = fields.get("before");
    const text = typeof given === "number" ? String(given) : fields.text("before");
    const point = parsePoint(text);
    const index = fields.optionalNumber("partition");
    if (point.kind === "offset" && index === undefined && topic.partitions.length > 1) {
      const message = `${topic.name} has ${topic.partitions.length} partitions, each with offsets of its own: name the "partition" that is to begin at ${text}`;
      throw invalid("partition", message);
    }
    const chosen = index === undefined ? topic.partitions : [partitionOf(topic, index)];
    const items = [];
    for (const partition of chosen) {
      const before = await this.#offsetAt(topic, partition, point);
      items.push({ topic: { name: topic.name }, partition: partition.index, before });
    }
    for (const outcome of await this.#broker.deleteRecords(items)) refuseFault(outcome);
    sendJson(request, { partitions: chosen.map(partitionJson) });
  }

  /** Ends early where the client goes away. */
  async #compact(request: Request): Promise<void> {
    request.allow("partition");
    const { name } = topicOf(this.#broker, request.param("topic"));
    const partition = request.numberQuery("partition");
    const { signal } = request.exchange;
    const compacted = await this.#broker.compactTopic({ name }, { partition, signal });
    sendJson(request, { partitions: compacted });
  }

  /** With its end as the entity tag, which is what `If-Match` of an append takes. */
  #partition(request: Request): void {
    request.allow();
    const topic = topicOf(this.#broker, request.param("topic"));
    const partition = partitionOf(topic, request.numberParam("partition"));
    const etag = `"${partition.logEndOffset}"`;
    sendJson(request, partitionJson(partition), { headers: { etag } });
  }

  #offsetAt(topic: OpenTopic, partition: Partition, point: Point): Promise<number> {
    const name = `${topic.name}/${partition.index}`;
    return offsetAt(name, partition, point, this.#env.clock.wallMs());
  }

  #description(topic: OpenTopic): object {
    const { name, topicId, isInternal } = topic;
    const [described] = this.#broker.describeConfigs([{ kind: "topic", name }]);
    const own = (described?.settings ?? []).filter(({ origin }) => origin === "topic");
    const settings = Object.fromEntries(own.map((setting) => [setting.name, setting.value]));
    return { name, topicId, isInternal, partitions: topic.partitions.map(partitionJson), settings };
  }
}

function partitionJson(partition: Partition): object {
  return {
    partition: partition.index,
    startOffset: partition.logStartOffset,
    endOffset: partition.highWatermark,
    sizeBytes: partition.sizeBytes,
  };
}

export function settingJson({
  name,
  value,
  origin,
  isReadOnly,
  documentation,
}: SettingDescription): object {
  return { name, value: value ?? null, origin, isReadOnly, documentation };
}

type SettingChange = Parameters<Broker["alterConfigs"]>[0][number]["changes"][number];

export function changesOf(settings: ReadonlyMap<string, string | undefined>): SettingChange[] {
  return [...settings].map(([name, value]) =>
    value === undefined ? { kind: "delete", name } : { kind: "set", name, value },
  );
}

/** @throws LogError */
export function refuseFault(outcome: ItemOutcome | undefined): void {
  if (outcome?.errorCode === undefined) return;
  throw new LogError(outcome.errorCode, outcome.errorMessage ?? outcome.errorCode);
}

function flagOf(request: Request, name: string): boolean {
  const text = request.query(name) ?? "false";
  if (text !== "true" && text !== "false") throw invalid(name, `"${name}" is true or false`);
  return text === "true";
}
