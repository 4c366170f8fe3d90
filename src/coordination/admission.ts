import type { GroupLimits, GroupState, JoinEvent } from "./events.ts";
import type { Fault } from "./faults.ts";
import { bytesOf, type Member, type Members } from "./members.ts";

/** What decides whether somebody may join a group. */
export interface Admission {
  readonly groupId: string;
  readonly limits: GroupLimits;
  readonly state: GroupState;
  readonly members: Members;
  /** How many ids were given out that have not joined yet. */
  readonly pendingCount: number;
  readonly protocolType: string | undefined;
}

/**
 * Whether there is a place for one more, or this one has it. In a rebalance the places go to those
 * who joined it, so a group above its limit shrinks.
 */
export function hasRoom(at: Admission, event: JoinEvent, known: Member | undefined): boolean {
  const { membersPerGroupMax, pendingMembersPerGroupMax } = at.limits;
  if (event.memberId === undefined && at.pendingCount >= pendingMembersPerGroupMax) return false;
  return at.state === "PreparingRebalance"
    ? known?.joinToken !== undefined || at.members.joinedCount() < membersPerGroupMax
    : known !== undefined || at.members.size < membersPerGroupMax;
}

/** Why what somebody says about itself does not fit the group; undefined when it does. */
export function admissionFault(
  at: Admission,
  event: JoinEvent,
  known: Member | undefined,
): Fault | undefined {
  const { groupId, members, protocolType } = at;
  const bytes = members.bytes() - bytesOf(known?.protocols ?? []) + bytesOf(event.protocols);
  if (bytes > at.limits.groupBytesMax) {
    return {
      code: "group_full",
      message: `group "${groupId}": subscriptions of ${bytes} bytes are more than ${at.limits.groupBytesMax}`,
    };
  }
  const canJoin =
    members.size === 0
      ? event.protocolType !== "" && event.protocols.length > 0
      : event.protocolType === protocolType && members.canAll(event.protocols);
  if (canJoin) return undefined;
  const names = event.protocols.map(({ name }) => name).join(", ");
  return {
    code: "group_protocol_mismatch",
    message: `no protocol of group "${groupId}" (type "${protocolType ?? ""}") is among "${names}" (type "${event.protocolType}")`,
  };
}
