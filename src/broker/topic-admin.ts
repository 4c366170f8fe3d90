import { uuidToString } from "../bytes/index.ts";
import type { Env } from "../env/index.ts";
import type { Applied, Command } from "../metadata/index.ts";
import type { OpenTopics } from "./open-topics.ts";
import { fault, faultOf, type ItemFault, type ItemOutcome, type TopicRef } from "./answers.ts";
import type { BrokerConfig } from "./broker-config.ts";
import { describeTopicSettings } from "./config-admin.ts";
import { groupsTopicName, groupsTopicSettings } from "./group-admin.ts";
import type { MetadataLog } from "./metadata-log.ts";
import { noTopic } from "./partition-finder.ts";
import type {
  CreatedTopic,
  CreateOptions,
  DeletedTopic,
  GrownTopic,
  MorePartitions,
  NewTopic,
  OpenTopic,
  TopicDescription,
} from "./topic-verbs.ts";

/** Most partitions of one broker. */
const partitionsMax = 200_000;

/** Names that only the broker itself may create. */
const reservedNames = new Set([groupsTopicName, "__transaction_state", "__share_group_state"]);

type CreateTopic = Extract<Command, { readonly kind: "create-topic" }>;

/** What the verbs about topics need. */
export interface TopicAdminParts {
  readonly env: Env;
  readonly nodeId: number;
  readonly metadata: MetadataLog;
  readonly topics: OpenTopics;
  readonly config: BrokerConfig;
  readonly partitionCount: () => number;
}

/** Makes, grows, deletes and describes topics. */
export class TopicAdmin {
  readonly #parts: TopicAdminParts;

  constructor(parts: TopicAdminParts) {
    this.#parts = parts;
  }

  describe(refs: readonly TopicRef[]): TopicDescription[] {
    return refs.map((ref) => {
      const topic = this.#find(ref);
      if (topic !== undefined) return this.#description(topic);
      const { name, topicId } = ref;
      return { name, topicId, isInternal: false, partitions: [], ...faultOf(noTopic(ref)) };
    });
  }

  async create(
    topics: readonly NewTopic[],
    { validateOnly }: CreateOptions = {},
  ): Promise<CreatedTopic[]> {
    const plans = topics.map((topic) => this.#plan(topic, topics));
    const commands = plans.filter((plan) => isCommand(plan));
    const applied = validateOnly === true ? undefined : await this.#propose(commands);
    return topics.map(({ name }, index) => {
      const plan = plans[index];
      if (!isCommand(plan)) return notCreated(name, plan);
      const answer = applied === undefined ? this.#parts.metadata.check(plan) : applied.get(plan);
      return this.#created(plan, answer);
    });
  }

  /** Makes a topic that a client asked for without making it first; one that exists is a success. */
  async createOnDemand(name: string): Promise<ItemOutcome> {
    if (this.#parts.topics.named(name) !== undefined) return {};
    if (name === groupsTopicName) return this.createGroupsTopic();
    if (!this.#parts.config.boolean("auto.create.topics.enable")) {
      return fault("topic_not_found", `there is no topic "${name}", and none is made on demand`);
    }
    const [created] = await this.create([{ name }]);
    return created === undefined || created.errorCode === "topic_exists" ? {} : outcomeOf(created);
  }

  /** Makes the topic in which groups are kept, where it is not there. */
  async createGroupsTopic(): Promise<ItemOutcome> {
    const command = this.#command({
      name: groupsTopicName,
      partitionCount: this.#parts.config.number("offsets.topic.num.partitions"),
      settings: groupsTopicSettings,
      isInternal: true,
    });
    const applied = (await this.#propose([command])).get(command);
    const exists = applied?.kind === "rejected" && applied.code === "topic_exists";
    return exists ? {} : outcomeOfApplied(applied);
  }

  async delete(refs: readonly TopicRef[]): Promise<DeletedTopic[]> {
    const isAllowed = this.#parts.config.boolean("delete.topic.enable");
    const plans = refs.map((ref) => {
      const topic = this.#find(ref);
      return topic === undefined || !isAllowed
        ? undefined
        : { topic, command: { kind: "delete-topic", topicId: topic.topicId } as const };
    });
    const applied = await this.#propose(
      plans.filter((plan) => plan !== undefined).map(({ command }) => command),
    );
    return refs.map((ref, index) => {
      const plan = plans[index];
      if (plan !== undefined) {
        const { name, topicId } = plan.topic;
        return { name, topicId, ...outcomeOfApplied(applied.get(plan.command)) };
      }
      const { name, topicId } = ref;
      const why = this.#find(ref) === undefined ? faultOf(noTopic(ref)) : deletionIsOff;
      return { name, topicId, ...why };
    });
  }

  async grow(
    topics: readonly MorePartitions[],
    { validateOnly }: CreateOptions = {},
  ): Promise<GrownTopic[]> {
    const plans = topics.map((more) => this.#planGrowth(more, topics));
    const commands = plans.filter((plan) => isCommand(plan));
    const applied = validateOnly === true ? undefined : await this.#propose(commands);
    return topics.map(({ name }, index) => {
      const plan = plans[index];
      if (!isCommand(plan)) return { name, ...plan };
      const answer = applied === undefined ? this.#parts.metadata.check(plan) : applied.get(plan);
      return { name, ...outcomeOfApplied(answer) };
    });
  }

  #find(ref: TopicRef): OpenTopic | undefined {
    const { topics } = this.#parts;
    return ref.name === undefined ? topics.byId(ref.topicId) : topics.named(ref.name);
  }

  #description(topic: OpenTopic): TopicDescription {
    // One broker leads everything and keeps the only copy; a cluster would ask its metadata.
    const nodes = [this.#parts.nodeId];
    return {
      name: topic.name,
      topicId: topic.topicId,
      isInternal: topic.isInternal,
      partitions: topic.partitions.map((partition) => ({
        index: partition.index,
        leader: this.#parts.nodeId,
        leaderEpoch: partition.leaderEpoch,
        replicas: nodes,
        inSyncReplicas: nodes,
        offlineReplicas: [],
      })),
    };
  }

  #plan(topic: NewTopic, all: readonly NewTopic[]): CreateTopic | ItemFault {
    const { name, partitionCount, replicationFactor, assignments } = topic;
    if (all.filter((other) => other.name === name).length > 1) {
      return fault("invalid_argument", `topic "${name}" is named twice in one call`);
    }
    if (reservedNames.has(name)) {
      return fault("invalid_topic_name", `topic "${name}" is made by the broker itself`);
    }
    if (replicationFactor !== undefined && replicationFactor < 1) {
      return fault(
        "invalid_replication_factor",
        `replication factor ${replicationFactor}: at least 1 is needed`,
      );
    }
    const hasAssignments = assignments !== undefined && assignments.length > 0;
    if (hasAssignments && (partitionCount !== undefined || replicationFactor !== undefined)) {
      return fault(
        "invalid_argument",
        "either assignments are given, or a partition count and a replication factor",
      );
    }
    const wrong = hasAssignments ? this.#assignmentFault(assignments) : undefined;
    if (wrong !== undefined) return wrong;
    const assigned = hasAssignments ? assignments.length : undefined;
    const count = assigned ?? partitionCount ?? this.#parts.config.number("num.partitions");
    const settings = topic.settings ?? new Map();
    return (
      this.#roomFault(count) ??
      this.#command({ name, partitionCount: count, settings, isInternal: false })
    );
  }

  #command(
    topic: Pick<CreateTopic, "name" | "partitionCount" | "settings" | "isInternal">,
  ): CreateTopic {
    const { env } = this.#parts;
    return {
      kind: "create-topic",
      topicId: uuidToString(env.random.uuid()),
      createdMs: env.clock.wallMs(),
      ...topic,
    };
  }

  #assignmentFault(
    assignments: readonly { readonly index: number; readonly replicas: readonly number[] }[],
  ): ItemFault | undefined {
    const indexes = new Set(assignments.map(({ index }) => index));
    const isGapless = assignments.every((_, index) => indexes.has(index));
    if (indexes.size !== assignments.length || !isGapless) {
      return fault("invalid_argument", "assignments are for partitions 0, 1, 2, ... once each");
    }
    return this.#replicasFault(assignments.map(({ replicas }) => replicas));
  }

  #replicasFault(assignments: readonly (readonly number[])[]): ItemFault | undefined {
    const { nodeId } = this.#parts;
    for (const replicas of assignments) {
      if (replicas.length === 1 && replicas[0] === nodeId) continue;
      return fault(
        "invalid_argument",
        `a partition is assigned to brokers ${replicas.join(", ")}; the only broker is ${nodeId}`,
      );
    }
    return undefined;
  }

  #planGrowth(more: MorePartitions, all: readonly MorePartitions[]): Command | ItemFault {
    const { name, partitionCount, assignments } = more;
    if (all.filter((other) => other.name === name).length > 1) {
      return fault("invalid_argument", `topic "${name}" is named twice in one call`);
    }
    const topic = this.#parts.topics.named(name);
    if (topic === undefined) return faultOf(noTopic({ name }));
    if (topic.isInternal) {
      return fault("invalid_topic_name", `topic "${name}" is the broker's own and does not grow`);
    }
    const added = partitionCount - topic.partitions.length;
    if (assignments !== undefined && assignments.length !== added) {
      return fault(
        "invalid_argument",
        `${assignments.length} assignments for ${added} new partitions`,
      );
    }
    return (
      this.#replicasFault(assignments ?? []) ??
      this.#roomFault(added) ?? { kind: "add-partitions", topicId: topic.topicId, partitionCount }
    );
  }

  #roomFault(added: number): ItemFault | undefined {
    const count = this.#parts.partitionCount();
    if (count + added <= partitionsMax) return undefined;
    return fault(
      "limit_exceeded",
      `${count} partitions are there and ${added} more are asked for; a broker has ${partitionsMax} at most`,
    );
  }

  async #propose(commands: readonly Command[]): Promise<Map<Command, Applied>> {
    if (commands.length === 0) return new Map();
    const applied = await this.#parts.metadata.propose(commands);
    const answers = new Map<Command, Applied>();
    for (const [index, command] of commands.entries()) {
      const answer = applied[index];
      if (answer !== undefined) answers.set(command, answer);
    }
    return answers;
  }

  /** `applied` is undefined where the call was only judged, and nothing spoke against it. */
  #created(command: CreateTopic, applied: Applied | undefined): CreatedTopic {
    if (applied?.kind === "rejected") {
      return notCreated(command.name, fault(applied.code, applied.message));
    }
    return {
      name: command.name,
      topicId: applied === undefined ? undefined : command.topicId,
      partitionCount: command.partitionCount,
      replicationFactor: 1,
      settings: describeTopicSettings(this.#parts.config.layers(command.settings)),
    };
  }
}

const deletionIsOff = fault("not_allowed", "delete.topic.enable is false");

function isCommand<T extends Command>(plan: T | ItemFault | undefined): plan is T {
  return plan !== undefined && "kind" in plan;
}

function notCreated(name: string, why: ItemFault | undefined): CreatedTopic {
  return {
    name,
    topicId: undefined,
    partitionCount: 0,
    replicationFactor: 0,
    settings: [],
    ...why,
  };
}

function outcomeOf({ errorCode, errorMessage }: ItemOutcome): ItemOutcome {
  return errorCode === undefined ? {} : fault(errorCode, errorMessage ?? errorCode);
}

function outcomeOfApplied(applied: Applied | undefined): ItemOutcome {
  return applied?.kind === "rejected" ? fault(applied.code, applied.message) : {};
}
