import type { ErrorCode } from "../errors/index.ts";

/** Why somebody is refused. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
}

export const rebalancing: Fault = {
  code: "rebalance_in_progress",
  message: "the group rebalances; join it again",
};

export const superseded: Fault = {
  code: "rebalance_in_progress",
  message: "the member asked again, and the later request is answered",
};

export const undone: Fault = {
  code: "coordinator_unavailable",
  message: "the change could not be stored; try again",
};

export function unknownMember(memberId: string): Fault {
  return { code: "member_unknown", message: `"${memberId}" is no member of the group` };
}

export function fencedBy(memberId: string): Fault {
  return {
    code: "member_fenced",
    message: `the instance is member "${memberId}" now, another process took its place`,
  };
}
