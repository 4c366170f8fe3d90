import type { Rejected } from "./commands.ts";

/** The topic whose partition 0 holds the metadata log. It is never listed and cannot be created. */
const metadataTopicName = "__cordwood_metadata";
export const metadataTopicId = "00000000-0000-0000-0000-000000000001";

const nilTopicId = "00000000-0000-0000-0000-000000000000";
const topicNameLengthMax = 249;

/** Whether a topic may have this name; undefined when it may. */
export function checkTopicName(name: string): Rejected | undefined {
  const fault = nameFault(name);
  if (fault === undefined) return undefined;
  return { kind: "rejected", code: "invalid_topic_name", message: `topic name "${name}" ${fault}` };
}

function nameFault(name: string): string | undefined {
  if (name === "") return "is empty";
  if (name === "." || name === "..") return `may not be "." or ".."`;
  if (name.length > topicNameLengthMax) {
    return `has ${name.length} characters, ${topicNameLengthMax} are allowed`;
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `may hold only letters and digits of ASCII, ".", "_" and "-"`;
  }
  if (name === metadataTopicName) return "is reserved for the metadata log";
  return undefined;
}

/**
 * Two names with one key collide: tools put "_" for "." in the names of metrics, where two such
 * topics would count as one.
 */
export function collisionKey(name: string): string {
  return name.replaceAll(".", "_");
}

/** Whether text is a topic id as used everywhere inside: a lower-case UUID with dashes, not a reserved one. */
export function isTopicId(text: string): boolean {
  if (text === nilTopicId || text === metadataTopicId) return false;
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
