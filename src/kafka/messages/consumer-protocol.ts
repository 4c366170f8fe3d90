// What consumers put into the opaque bytes of JoinGroup and SyncGroup: an int16 version, then one
// of these. A reader that meets a newer version reads it as its own newest and ignores the rest.

import { array, bytes, embedded, int32, string } from "../codec/schema.ts";

const topicPartitions = array({ topic: string, partitions: array(int32) });

/** A member's wish: what it subscribes to, and what it owns as of which generation. */
export const consumerSubscription = embedded(
  "Consumer subscription",
  { min: 0, max: 3 },
  {
    topics: array(string),
    userData: bytes.nullable(),
    ownedPartitions: topicPartitions.since(1).default([]),
    generationId: int32.since(2).default(-1),
    rackId: string.since(3).nullable(),
  },
);

/** The leader's answer for one member. */
export const consumerAssignment = embedded(
  "Consumer assignment",
  { min: 0, max: 3 },
  { assignedPartitions: topicPartitions, userData: bytes.nullable() },
);
