import type { ErrorCode } from "../errors/index.ts";
import { decodeJson, encodeJson, type Fields } from "./canonical-json.ts";
import { isTopicId } from "./topic-name.ts";

/**
 * A change of the metadata, as one record of the metadata log. The union grows by new kinds under
 * a new version; what a kind does once written never changes. Format: docs/formats/metadata-log.md.
 */
export type Command =
  | CreateTopic
  | DeleteTopic
  | AddPartitions
  | SetTopicSettings
  | SetBrokerSettings
  | AllocateProducerIds;

export interface CreateTopic {
  readonly kind: "create-topic";
  readonly name: string;
  /** Chosen at random by who asks, so that a name used again is another topic. */
  readonly topicId: string;
  readonly partitionCount: number;
  readonly settings: ReadonlyMap<string, string>;
  /** Made by the product for itself, such as the one of committed offsets. */
  readonly isInternal: boolean;
  readonly createdMs: number;
}

interface DeleteTopic {
  readonly kind: "delete-topic";
  readonly topicId: string;
}

interface AddPartitions {
  readonly kind: "add-partitions";
  readonly topicId: string;
  /** How many the topic has afterwards. */
  readonly partitionCount: number;
}

export interface SetTopicSettings {
  readonly kind: "set-topic-settings";
  readonly topicId: string;
  readonly set: ReadonlyMap<string, string>;
  /** Names that fall back to their default. Removed before `set` is applied. */
  readonly remove: readonly string[];
}

export interface SetBrokerSettings {
  readonly kind: "set-broker-settings";
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
}

export interface AllocateProducerIds {
  readonly kind: "allocate-producer-ids";
  readonly count: number;
}

/** What became of a command. */
export type Applied =
  | { readonly kind: "topic-created"; readonly topic: Topic }
  | { readonly kind: "topic-deleted"; readonly topic: Topic }
  | { readonly kind: "partitions-added"; readonly topic: Topic; readonly before: Topic }
  | { readonly kind: "topic-settings-set"; readonly topic: Topic; readonly before: Topic }
  | { readonly kind: "broker-settings-set" }
  | {
      readonly kind: "producer-ids-allocated";
      /** First of the block; the block ends before `firstProducerId + count`. */
      readonly firstProducerId: number;
      readonly count: number;
    }
  | Rejected;

export interface Rejected {
  readonly kind: "rejected";
  readonly code: ErrorCode;
  readonly message: string;
}

/** A topic as of one point of the metadata log. Never changed: a change makes a new one. */
export interface Topic {
  readonly name: string;
  readonly topicId: string;
  readonly partitionCount: number;
  /** Only what was set on the topic itself; see `TopicSettings` for what holds in effect. */
  readonly settings: ReadonlyMap<string, string>;
  readonly isInternal: boolean;
  readonly createdMs: number;
}

/** The version of an entry that this program writes, and the newest that it reads. */
const commandVersion = 1;

/** A command as the value of a record of the metadata log. */
export function encodeCommand(command: Command): Uint8Array {
  return encodeJson({ v: commandVersion, ...command });
}

/**
 * @throws LogError data_corrupt when the bytes are no command, format_newer when a newer program
 * wrote them.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  const fields = decodeJson(bytes, "metadata entry", commandVersion);
  const command = readCommand(fields);
  fields.end();
  return command;
}

function readCommand(fields: Fields): Command {
  const kind = fields.string("kind");
  switch (kind) {
    case "create-topic":
      return { kind, ...readTopic(fields) };
    case "delete-topic":
      return { kind, topicId: readTopicId(fields) };
    case "add-partitions":
      return {
        kind,
        topicId: readTopicId(fields),
        partitionCount: fields.integer("partitionCount"),
      };
    case "set-topic-settings":
      return {
        kind,
        topicId: readTopicId(fields),
        set: fields.stringMap("set"),
        remove: fields.strings("remove"),
      };
    case "set-broker-settings":
      return { kind, set: fields.stringMap("set"), remove: fields.strings("remove") };
    case "allocate-producer-ids":
      return { kind, count: fields.integer("count") };
    default:
      throw fields.damaged(`"${kind}" is no kind of entry`);
  }
}

/** Reads the members of a topic; the snapshot of the state has the same. */
export function readTopic(fields: Fields): Topic {
  return {
    name: fields.string("name"),
    topicId: readTopicId(fields),
    partitionCount: fields.integer("partitionCount"),
    settings: fields.stringMap("settings"),
    isInternal: fields.boolean("isInternal"),
    createdMs: fields.integer("createdMs"),
  };
}

function readTopicId(fields: Fields): string {
  const topicId = fields.string("topicId");
  if (!isTopicId(topicId)) throw fields.damaged(`"${topicId}" is no topic id`);
  return topicId;
}
