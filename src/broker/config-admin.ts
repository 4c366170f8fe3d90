import {
  type Applied,
  brokerSettings,
  type Command,
  type Effective,
  effectiveBrokerSetting,
  effectiveTopicSetting,
  type Setting,
  type SettingLayers,
  type SettingSource,
  type SettingsTable,
  topicSettings,
} from "../metadata/index.ts";
import { fault, faultOf, type ItemFault } from "./answers.ts";
import type { BrokerConfig } from "./broker-config.ts";
import type { MetadataLog } from "./metadata-log.ts";
import { noTopic } from "./partition-finder.ts";
import type {
  ChangedConfig,
  ConfigChange,
  ConfigDescription,
  ConfigQuery,
  ConfigReplacement,
  ConfigResource,
  CreateOptions,
  SettingChange,
  SettingDescription,
  SettingOrigin,
} from "./topic-verbs.ts";

export interface ConfigAdminParts {
  readonly nodeId: number;
  readonly metadata: MetadataLog;
  readonly config: BrokerConfig;
}

/** A thing that has settings, as it is now. */
interface Target {
  readonly table: SettingsTable;
  /** What was set on it. */
  readonly own: ReadonlyMap<string, string>;
  effective(setting: Setting): Effective;
  command(set: ReadonlyMap<string, string>, remove: readonly string[]): Command;
}

/** Describes and changes the settings of topics and of the broker. */
export class ConfigAdmin {
  readonly #parts: ConfigAdminParts;

  constructor(parts: ConfigAdminParts) {
    this.#parts = parts;
  }

  describe(queries: readonly ConfigQuery[]): ConfigDescription[] {
    return queries.map(({ kind, name, names }) => {
      const target = this.#target({ kind, name });
      if ("errorCode" in target) return { kind, name, settings: [], ...target };
      const rows = target.table.rows.filter((row) => names?.includes(row.name) ?? true);
      const settings = rows.map((row) => describeSetting(row, target.effective(row)));
      return { kind, name, settings };
    });
  }

  /** Changes single settings; what is not named stays. */
  alter(changes: readonly ConfigChange[], options: CreateOptions = {}): Promise<ChangedConfig[]> {
    return this.#change(
      changes.map(({ kind, name, changes: wanted }) => ({
        resource: { kind, name },
        plan: (target) => planChanges(target, wanted),
      })),
      options,
    );
  }

  /** Sets exactly what is named; the rest falls back to its defaults. */
  replace(
    replacements: readonly ConfigReplacement[],
    options: CreateOptions = {},
  ): Promise<ChangedConfig[]> {
    return this.#change(
      replacements.map(({ kind, name, settings }) => ({
        resource: { kind, name },
        plan: (target) => {
          const gone = [...target.own.keys()].filter((own) => !settings.has(own));
          return target.command(settings, gone);
        },
      })),
      options,
    );
  }

  async #change(
    wanted: readonly {
      readonly resource: ConfigResource;
      readonly plan: (target: Target) => Command | ItemFault;
    }[],
    { validateOnly }: CreateOptions,
  ): Promise<ChangedConfig[]> {
    const answers: ChangedConfig[] = [];
    for (const { resource, plan } of wanted) {
      const target = this.#target(resource);
      const command = "errorCode" in target ? target : plan(target);
      if ("errorCode" in command) {
        answers.push({ ...resource, ...command });
        continue;
      }
      const { metadata } = this.#parts;
      const applied: Applied | undefined =
        validateOnly === true ? metadata.check(command) : await metadata.proposeOne(command);
      answers.push({
        ...resource,
        ...(applied?.kind === "rejected" ? fault(applied.code, applied.message) : {}),
      });
    }
    return answers;
  }

  #target(resource: ConfigResource): Target | ItemFault {
    return resource.kind === "topic" ? this.#topic(resource.name) : this.#broker(resource.name);
  }

  #topic(name: string): Target | ItemFault {
    const { metadata, config } = this.#parts;
    const topic = metadata.state.topicByName(name);
    if (topic === undefined) return faultOf(noTopic({ name }));
    const layers = config.layers(topic.settings);
    return {
      table: topicSettings,
      own: topic.settings,
      effective: (setting) => effectiveTopicSetting(setting, layers),
      command: (set, remove) => ({
        kind: "set-topic-settings",
        topicId: topic.topicId,
        set,
        remove,
      }),
    };
  }

  #broker(name: string): Target | ItemFault {
    const { nodeId, metadata, config } = this.#parts;
    if (name !== "" && name !== String(nodeId)) {
      return fault("invalid_argument", `there is no broker ${name}; this one is ${nodeId}`);
    }
    const layers = config.layers();
    return {
      table: brokerSettings,
      own: metadata.state.brokerSettings,
      effective: (setting) => effectiveBrokerSetting(setting, layers),
      command: (set, remove) => ({ kind: "set-broker-settings", set, remove }),
    };
  }
}

/** Every setting of a topic as it holds in effect. */
export function describeTopicSettings(layers: SettingLayers): SettingDescription[] {
  return topicSettings.rows.map((row) => describeSetting(row, effectiveTopicSetting(row, layers)));
}

function describeSetting(setting: Setting, effective: Effective): SettingDescription {
  return {
    name: setting.name,
    value: effective.value,
    origin: originOf(effective.source),
    isReadOnly: setting.isReadOnly,
    isSensitive: false,
    type: setting.type,
    documentation: setting.doc,
    synonyms: effective.synonyms.map(({ name, value, source }) => ({
      name,
      value,
      origin: originOf(source),
    })),
  };
}

/** At run time the settings of a broker are set for all brokers together. */
function originOf(source: SettingSource): SettingOrigin {
  return source === "broker" ? "broker-default" : source;
}

function planChanges(target: Target, changes: readonly SettingChange[]): Command | ItemFault {
  const set = new Map<string, string>();
  const remove: string[] = [];
  for (const change of changes) {
    const { kind, name } = change;
    const setting = target.table.get(name);
    if (set.has(name) || remove.includes(name)) {
      return fault("invalid_argument", `setting "${name}" is changed twice in one call`);
    }
    if (setting === undefined) {
      // The metadata's own check names the nearest setting that there is.
      if (kind === "delete") remove.push(name);
      else set.set(name, change.value);
    } else if (kind === "delete") {
      remove.push(name);
    } else if (kind === "set") {
      set.set(name, change.value);
    } else if (setting.type === "list") {
      set.set(name, listChanged(target.effective(setting).value ?? "", kind, change.value));
    } else {
      return fault("invalid_config", `setting "${name}" is no list to ${kind} to or from`);
    }
  }
  return target.command(set, remove);
}

function listChanged(list: string, kind: "append" | "subtract", value: string): string {
  const given = membersOf(value);
  const members = membersOf(list);
  return kind === "subtract"
    ? members.filter((member) => !given.includes(member)).join(",")
    : [...members, ...given.filter((member) => !members.includes(member))].join(",");
}

function membersOf(list: string): string[] {
  return list
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}
