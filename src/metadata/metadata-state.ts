import { createHash } from "node:crypto";

import { type ErrorCode, invariant, InvariantError } from "../errors/index.ts";
import { decodeJson, encodeJson } from "./canonical-json.ts";
import {
  type AllocateProducerIds,
  type Applied,
  type Command,
  type CreateTopic,
  readTopic,
  type Rejected,
  type SetBrokerSettings,
  type SetTopicSettings,
  type Topic,
} from "./commands.ts";
import { brokerSettings, checkTopicSettings } from "./settings.ts";
import { checkTopicName, collisionKey, isTopicId } from "./topic-name.ts";

/** Most partitions that one topic may have. */
export const partitionsPerTopicMax = 10_000;
/** Most topics of one store. */
const topicsMax = 100_000;
/** Most producer ids in one block. */
export const producerIdBlockMax = 1_000_000;

const snapshotVersion = 1;

/**
 * What the metadata log says up to one offset. A pure function of the entries: the same entries in
 * the same order give the same state, the same answers and the same hash, in every process.
 *
 * What a program's settings table accepts changes from version to version, and an entry must mean
 * the same to all of them. So {@link MetadataState.check} judges a command in full before it is
 * written, and {@link MetadataState.apply} refuses only by rules that never change: a name or an id
 * that is taken, a topic that is not there, a partition count that does not grow.
 */
export class MetadataState {
  /** Offset of the first entry that is not applied yet. Only grows. */
  #nextOffset = 0;
  /** First producer id that no block holds. Only grows. */
  #nextProducerId = 0;
  readonly #topicById = new Map<string, Topic>();
  /** By collision key, so at most one of the names that collide is there. */
  readonly #topicByKey = new Map<string, Topic>();
  #brokerSettings: ReadonlyMap<string, string> = new Map();
  /** All topics by name; undefined after a change until somebody asks. */
  #sorted: readonly Topic[] | undefined;

  /** @throws LogError data_corrupt or format_newer when the bytes are no snapshot of this program. */
  static restore(snapshot: Uint8Array): MetadataState {
    const fields = decodeJson(snapshot, "metadata snapshot", snapshotVersion);
    const state = new MetadataState();
    state.#nextOffset = fields.count("offset");
    state.#nextProducerId = fields.count("nextProducerId");
    state.#brokerSettings = fields.stringMap("brokerSettings");
    for (const topicFields of fields.objects("topics")) {
      const topic = readTopic(topicFields);
      topicFields.end();
      if (state.#createFault(topic) !== undefined) {
        throw fields.damaged(`topic "${topic.name}" cannot be among the others`);
      }
      state.#put(topic);
    }
    fields.end();
    return state;
  }

  /** The whole state as canonical JSON. Equal states are equal bytes. */
  snapshot(): Uint8Array {
    return encodeJson({
      v: snapshotVersion,
      offset: this.#nextOffset,
      nextProducerId: this.#nextProducerId,
      brokerSettings: this.#brokerSettings,
      topics: this.topics().map((topic) => ({ ...topic })),
    });
  }

  /** SHA-256 of the snapshot in hexadecimal: brokers at the same offset must agree on it. */
  hash(): string {
    return createHash("sha256").update(this.snapshot()).digest("hex");
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get nextProducerId(): number {
    return this.#nextProducerId;
  }

  /** Settings set for all brokers at run time, by name. */
  get brokerSettings(): ReadonlyMap<string, string> {
    return this.#brokerSettings;
  }

  get topicCount(): number {
    return this.#topicById.size;
  }

  topicById(topicId: string): Topic | undefined {
    return this.#topicById.get(topicId);
  }

  topicByName(name: string): Topic | undefined {
    const topic = this.#topicByKey.get(collisionKey(name));
    return topic?.name === name ? topic : undefined;
  }

  /** All topics in the order of their names; the same array until topics change. */
  topics(): readonly Topic[] {
    this.#sorted ??= [...this.#topicById.values()].toSorted((left, right) =>
      left.name < right.name ? -1 : 1,
    );
    return this.#sorted;
  }

  /**
   * Whether a command may be written to the log now: everything that `apply` would refuse, and what
   * this program's limits and settings table refuse. Undefined when it may.
   */
  check(command: Command): Rejected | undefined {
    switch (command.kind) {
      case "create-topic":
        return this.#checkCreate(command);
      case "delete-topic":
        return this.#topicById.get(command.topicId)?.isInternal
          ? rejected("not_allowed", "a topic that the product keeps for itself cannot be deleted")
          : this.#topicFault(command.topicId);
      case "add-partitions":
        return (
          partitionCountFault(command.partitionCount) ??
          this.#growFault(command.topicId, command.partitionCount)
        );
      case "set-topic-settings":
        return this.#checkTopicSettings(command);
      case "set-broker-settings":
        return checkBrokerSettings(command);
      case "allocate-producer-ids":
        return command.count > producerIdBlockMax
          ? rejected(
              "invalid_argument",
              `a block of ${command.count} producer ids: at most ${producerIdBlockMax}`,
            )
          : this.#blockFault(command.count);
      default:
        return unreachable(command);
    }
  }

  /**
   * Applies the entry at `offset`. Offsets may have gaps, but never go back. Nothing is thrown for
   * a command that cannot be done: it is answered as rejected and changes nothing but the offset.
   */
  apply(command: Command, offset: number): Applied {
    invariant(offset >= this.#nextOffset, "metadata entries are applied once, in their order");
    this.#nextOffset = offset + 1;
    switch (command.kind) {
      case "create-topic":
        return this.#create(command);
      case "delete-topic":
        return this.#delete(command.topicId);
      case "add-partitions":
        return this.#addPartitions(command.topicId, command.partitionCount);
      case "set-topic-settings":
        return this.#setTopicSettings(command);
      case "set-broker-settings":
        this.#brokerSettings = changed(this.#brokerSettings, command);
        return { kind: "broker-settings-set" };
      case "allocate-producer-ids":
        return this.#allocate(command);
      default:
        return unreachable(command);
    }
  }

  #checkCreate(command: CreateTopic): Rejected | undefined {
    if (this.#topicById.size >= topicsMax) {
      return rejected("limit_exceeded", `${topicsMax} topics are there, more are not allowed`);
    }
    return (
      this.#createFault(command) ??
      partitionCountFault(command.partitionCount) ??
      checkTopicSettings(command.settings)
    );
  }

  #checkTopicSettings(command: SetTopicSettings): Rejected | undefined {
    const topic = this.#topicById.get(command.topicId);
    if (topic === undefined) return this.#topicFault(command.topicId);
    return checkTopicSettings(changed(topic.settings, command));
  }

  #create(command: CreateTopic): Applied {
    const fault = this.#createFault(command);
    if (fault !== undefined) return fault;
    const { kind: _, ...members } = command;
    const topic: Topic = { ...members, settings: new Map(command.settings) };
    this.#put(topic);
    return { kind: "topic-created", topic };
  }

  #createFault(topic: Topic): Rejected | undefined {
    const nameFault = checkTopicName(topic.name);
    if (nameFault !== undefined) return nameFault;
    const other = this.#topicByKey.get(collisionKey(topic.name));
    if (other?.name === topic.name) {
      return rejected("topic_exists", `topic "${topic.name}" exists`);
    }
    if (other !== undefined) {
      return rejected(
        "invalid_topic_name",
        `topic name "${topic.name}" collides with topic "${other.name}": "." and "_" count as one character there`,
      );
    }
    if (!isTopicId(topic.topicId) || this.#topicById.has(topic.topicId)) {
      return rejected("invalid_argument", `topic id ${topic.topicId} is taken or reserved`);
    }
    return topic.partitionCount >= 1
      ? undefined
      : rejected("invalid_partitions", `${topic.partitionCount} partitions: at least 1 is needed`);
  }

  #delete(topicId: string): Applied {
    const topic = this.#topicById.get(topicId);
    if (topic === undefined) return noSuchTopic(topicId);
    this.#topicById.delete(topicId);
    this.#topicByKey.delete(collisionKey(topic.name));
    this.#sorted = undefined;
    return { kind: "topic-deleted", topic };
  }

  #addPartitions(topicId: string, partitionCount: number): Applied {
    const before = this.#topicById.get(topicId);
    if (before === undefined) return noSuchTopic(topicId);
    const fault = this.#growFault(topicId, partitionCount);
    if (fault !== undefined) return fault;
    const topic = { ...before, partitionCount };
    this.#put(topic);
    return { kind: "partitions-added", topic, before };
  }

  #growFault(topicId: string, partitionCount: number): Rejected | undefined {
    const topic = this.#topicById.get(topicId);
    if (topic === undefined) return noSuchTopic(topicId);
    return partitionCount > topic.partitionCount
      ? undefined
      : rejected(
          "invalid_partitions",
          `topic "${topic.name}" has ${topic.partitionCount} partitions, which cannot become ${partitionCount}: the count only grows`,
        );
  }

  #setTopicSettings(command: SetTopicSettings): Applied {
    const before = this.#topicById.get(command.topicId);
    if (before === undefined) return noSuchTopic(command.topicId);
    const topic = { ...before, settings: changed(before.settings, command) };
    this.#put(topic);
    return { kind: "topic-settings-set", topic, before };
  }

  #allocate({ count }: AllocateProducerIds): Applied {
    const fault = this.#blockFault(count);
    if (fault !== undefined) return fault;
    const firstProducerId = this.#nextProducerId;
    this.#nextProducerId += count;
    return { kind: "producer-ids-allocated", firstProducerId, count };
  }

  #blockFault(count: number): Rejected | undefined {
    if (count >= 1 && Number.isSafeInteger(this.#nextProducerId + count)) return undefined;
    return rejected("invalid_argument", `a block of ${count} producer ids cannot be given`);
  }

  #topicFault(topicId: string): Rejected | undefined {
    return this.#topicById.has(topicId) ? undefined : noSuchTopic(topicId);
  }

  #put(topic: Topic): void {
    this.#topicById.set(topic.topicId, topic);
    this.#topicByKey.set(collisionKey(topic.name), topic);
    this.#sorted = undefined;
  }
}

function checkBrokerSettings(command: SetBrokerSettings): Rejected | undefined {
  for (const name of command.remove) {
    const fault = brokerSettings.checkChange(name);
    if (fault !== undefined) return fault;
  }
  for (const [name, value] of command.set) {
    const fault = brokerSettings.checkChange(name) ?? brokerSettings.check(name, value);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function partitionCountFault(partitionCount: number): Rejected | undefined {
  if (partitionCount >= 1 && partitionCount <= partitionsPerTopicMax) return undefined;
  return rejected(
    "invalid_partitions",
    `${partitionCount} partitions: a topic has 1 to ${partitionsPerTopicMax}`,
  );
}

function changed(
  settings: ReadonlyMap<string, string>,
  change: { readonly set: ReadonlyMap<string, string>; readonly remove: readonly string[] },
): Map<string, string> {
  const result = new Map(settings);
  for (const name of change.remove) result.delete(name);
  for (const [name, value] of change.set) result.set(name, value);
  return result;
}

function noSuchTopic(topicId: string): Rejected {
  return rejected("topic_not_found", `no topic has the id ${topicId}`);
}

/** The compiler refuses the call where a kind of command has no case of its own. */
function unreachable(command: never): never {
  throw new InvariantError(`no such command: ${JSON.stringify(command)}`);
}

function rejected(code: ErrorCode, message: string): Rejected {
  return { kind: "rejected", code, message };
}
