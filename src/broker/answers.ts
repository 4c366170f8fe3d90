import type { ErrorCode } from "../errors/index.ts";

/** How one item of a call went, where others of the same call may go otherwise. Without a code it went well. */
export interface ItemOutcome {
  readonly errorCode?: ErrorCode;
  readonly errorMessage?: string;
}

/** A topic, by name or by id (a canonical UUID). */
export type TopicRef =
  | { readonly name: string; readonly topicId?: undefined }
  | { readonly topicId: string; readonly name?: undefined };
