/** What a record looks like to those who follow. */
import type { RecordCursor } from "../records/index.ts";
import type { RecordEncoder } from "./record-encoder.ts";
import { putFrame } from "./websocket.ts";

export interface FollowForm {
  readonly name: "events" | "lines" | "messages";
  /** `id` says where to go on behind the record. */
  // oxlint-disable-next-line max-params -- where to, what, and its place
  record(encoder: RecordEncoder, partition: number, cursor: RecordCursor, id: string): void;
}

/** Server-sent events (HTML, section 9.2). */
export const events: FollowForm = {
  name: "events",
  record(encoder, partition, cursor, id) {
    encoder.ascii(`id: ${id}\ndata: `);
    encoder.record(partition, cursor);
    encoder.ascii("\n\n");
  },
};

export const lines: FollowForm = {
  name: "lines",
  record(encoder, partition, cursor) {
    encoder.record(partition, cursor);
    encoder.ascii("\n");
  },
};

/** Messages of a WebSocket: `{"id":"3,0","record":{...}}`. */
export const messages: FollowForm = {
  name: "messages",
  record(encoder, partition, cursor, id) {
    const start = encoder.size;
    encoder.ascii(`{"id":"${id}","record":`);
    encoder.record(partition, cursor);
    encoder.ascii("}");
    putFrame(encoder, start);
  },
};
