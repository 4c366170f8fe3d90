import { type ErrorCode, LogError } from "../errors/index.ts";

/** How one item of a call went, where others of the same call may go otherwise. Without a code it went well. */
export interface ItemOutcome {
  readonly errorCode?: ErrorCode;
  readonly errorMessage?: string;
}

/** An outcome that went wrong. */
export interface ItemFault {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string;
}

/** A topic, by name or by id (a canonical UUID). */
export type TopicRef =
  | { readonly name: string; readonly topicId?: undefined }
  | { readonly topicId: string; readonly name?: undefined };

/** What an operational error says of one item; anything else goes on up. */
export function faultOf(thrown: unknown): ItemFault {
  if (!(thrown instanceof LogError)) throw thrown;
  return { errorCode: thrown.code, errorMessage: thrown.message };
}

export function fault(errorCode: ErrorCode, errorMessage: string): ItemFault {
  return { errorCode, errorMessage };
}
