import type {
  ChangedConfig,
  ConfigChange,
  ConfigDescription,
  ConfigQuery,
  ConfigReplacement,
  ConfigResource,
  ItemOutcome,
  SettingChange,
  SettingDescription,
  SettingOrigin,
} from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import { errorCodeOf, repeated, resourceType } from "./wire.ts";

/** Where a setting has its value from, as the wire numbers it. */
export const originNumber = {
  topic: 1,
  broker: 2,
  "broker-default": 3,
  startup: 4,
  default: 5,
} as const satisfies Readonly<Record<SettingOrigin, number>>;

const typeNumber = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
} as const satisfies Readonly<Record<SettingDescription["type"], number>>;

/** Things that other servers keep settings of, and this one does not. */
const foreignTypes: ReadonlyMap<number, string> = new Map([
  [8, "log levels"],
  [16, "client metrics"],
  [32, "groups"],
]);

/** A resource as the wire names it. */
interface WireResource {
  readonly resourceType: number;
  readonly resourceName: string;
}

type Refused = ItemOutcome & { readonly errorCode: "unsupported" | "invalid_argument" };

function resourceOf(wire: WireResource): ConfigResource | Refused {
  const name = wire.resourceName;
  if (wire.resourceType === resourceType.topic) return { kind: "topic", name };
  if (wire.resourceType === resourceType.broker) return { kind: "broker", name };
  const what = foreignTypes.get(wire.resourceType);
  return what === undefined
    ? refuse("invalid_argument", `there is no resource type ${wire.resourceType}`)
    : refuse("unsupported", `settings of ${what} are not supported`);
}

function refuse(errorCode: Refused["errorCode"], errorMessage: string): Refused {
  return { errorCode, errorMessage };
}

type DescribeRequest = RequestOf<"DescribeConfigs">;
type DescribeAnswer = ResponseBody<"DescribeConfigs">["results"][number];

export function describeConfigs(
  { broker }: Served,
  request: DescribeRequest,
): ResponseBody<"DescribeConfigs"> {
  const results = request.resources.map((wire): DescribeAnswer => {
    const resource = resourceOf(wire);
    if ("errorCode" in resource)
      return describeAnswer(wire, { settings: [], ...resource }, request);
    // An empty list asks for all, as an absent one does.
    const names = wire.configurationKeys?.length === 0 ? undefined : wire.configurationKeys;
    const query: ConfigQuery = { ...resource, names };
    const [description] = broker.describeConfigs([query]);
    return describeAnswer(wire, description ?? { settings: [] }, request);
  });
  return { results };
}

function describeAnswer(
  { resourceType: type, resourceName }: WireResource,
  description: ItemOutcome & Pick<ConfigDescription, "settings">,
  request: DescribeRequest,
): DescribeAnswer {
  return {
    errorCode: errorCodeOf(description),
    errorMessage: description.errorMessage,
    resourceType: type,
    resourceName,
    configs: description.settings.map((setting) => settingAnswer(setting, request)),
  };
}

function settingAnswer(
  setting: SettingDescription,
  { includeSynonyms, includeDocumentation }: DescribeRequest,
): DescribeAnswer["configs"][number] {
  const shown = (value: string | undefined): string | undefined =>
    setting.isSensitive ? undefined : value;
  const synonyms = includeSynonyms ? setting.synonyms : [];
  return {
    name: setting.name,
    value: shown(setting.value),
    readOnly: setting.isReadOnly,
    configSource: originNumber[setting.origin],
    isSensitive: setting.isSensitive,
    synonyms: synonyms.map(({ name, value, origin }) => ({
      name,
      value: shown(value),
      source: originNumber[origin],
    })),
    configType: typeNumber[setting.type],
    documentation: includeDocumentation ? setting.documentation : undefined,
  };
}

type ChangeAnswer = ResponseBody<"AlterConfigs">["responses"][number];

/** Replaces all settings of each resource: what is not named falls back to its default. */
export async function alterConfigs(
  { broker }: Served,
  { resources, validateOnly }: RequestOf<"AlterConfigs">,
): Promise<ResponseBody<"AlterConfigs">> {
  const responses = await changeEach(resources, (resource, { configs }) => {
    const replacement = replacementOf(resource, configs);
    if ("errorCode" in replacement) return replacement;
    return broker.replaceConfigs([replacement], { validateOnly });
  });
  return { responses };
}

/** Changes single settings of each resource. */
export async function incrementalAlterConfigs(
  { broker }: Served,
  { resources, validateOnly }: RequestOf<"IncrementalAlterConfigs">,
): Promise<ResponseBody<"IncrementalAlterConfigs">> {
  const responses = await changeEach(resources, (resource, { configs }) => {
    const change = changeOf(resource, configs);
    return "errorCode" in change ? change : broker.alterConfigs([change], { validateOnly });
  });
  return { responses };
}

/** One resource after another, each with its own outcome; one that is named twice is not touched. */
async function changeEach<R extends WireResource>(
  resources: readonly R[],
  change: (resource: ConfigResource, wire: R) => Refused | Promise<ChangedConfig[]>,
): Promise<ChangeAnswer[]> {
  const keyOf = (wire: WireResource): string => `${wire.resourceType} ${wire.resourceName}`;
  const twice = repeated(resources.map(keyOf));
  const answers = new Map<string, ChangeAnswer>();
  for (const wire of resources) {
    const resource = twice.has(keyOf(wire))
      ? refuse("invalid_argument", "the request names this resource more than once")
      : resourceOf(wire);
    const changed = "errorCode" in resource ? resource : await change(resource, wire);
    const outcome: ItemOutcome = "errorCode" in changed ? changed : (changed[0] ?? {});
    answers.set(keyOf(wire), {
      errorCode: errorCodeOf(outcome),
      errorMessage: outcome.errorMessage,
      resourceType: wire.resourceType,
      resourceName: wire.resourceName,
    });
  }
  return [...answers.values()];
}

function replacementOf(
  resource: ConfigResource,
  configs: RequestOf<"AlterConfigs">["resources"][number]["configs"],
): ConfigReplacement | Refused {
  const [again] = repeated(configs.map(({ name }) => name));
  if (again !== undefined) return refuse("invalid_argument", `setting "${again}" is given twice`);
  const settings = new Map<string, string>();
  for (const { name, value } of configs) {
    if (value === undefined) return refuse("invalid_argument", `setting "${name}" has no value`);
    settings.set(name, value);
  }
  return { ...resource, settings };
}

type WireChange = RequestOf<"IncrementalAlterConfigs">["resources"][number]["configs"][number];

function changeOf(
  resource: ConfigResource,
  configs: readonly WireChange[],
): ConfigChange | Refused {
  const [again] = repeated(configs.map(({ name }) => name));
  if (again !== undefined) return refuse("invalid_argument", `setting "${again}" is changed twice`);
  const changes: SettingChange[] = [];
  for (const config of configs) {
    const change = settingChangeOf(config);
    if ("errorCode" in change) return change;
    changes.push(change);
  }
  return { ...resource, changes };
}

const changeKinds = ["set", "delete", "append", "subtract"] as const;

function settingChangeOf({ name, value, configOperation }: WireChange): SettingChange | Refused {
  const kind = changeKinds[configOperation];
  if (kind === undefined) {
    return refuse(
      "invalid_argument",
      `setting "${name}": there is no operation ${configOperation}`,
    );
  }
  if (kind === "delete") return { kind, name };
  if (value === undefined) return refuse("invalid_argument", `setting "${name}" has no value`);
  return { kind, name, value };
}

type ListRequest = RequestOf<"ListConfigResources">;

/** Names what has settings. The first version knows client metrics alone, of which there are none. */
export function listConfigResources(
  { broker }: Served,
  { resourceTypes }: ListRequest,
  { version }: Exchange,
): ResponseBody<"ListConfigResources"> {
  if (version === 0) return { errorCode: 0, configResources: [] };
  const { topic, broker: node } = resourceType;
  const isUnknown = (type: number): boolean =>
    type !== topic && type !== node && !foreignTypes.has(type);
  if (resourceTypes.some(isUnknown)) {
    return { errorCode: errorCodeOf(refuse("unsupported", "")), configResources: [] };
  }
  const isWanted = (type: number): boolean =>
    resourceTypes.length === 0 || resourceTypes.includes(type);
  const topics = isWanted(topic) ? broker.listTopics() : [];
  const nodes = isWanted(node) ? broker.describeCluster().brokers : [];
  return {
    errorCode: 0,
    configResources: [
      ...topics.map(({ name }) => ({ resourceName: name, resourceType: topic })),
      ...nodes.map(({ nodeId }) => ({ resourceName: String(nodeId), resourceType: node })),
    ],
  };
}
