import type { GroupDescription, LeftGroup } from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import { type Served, clientOf } from "./served.ts";
import { errorCodeOf, given, groupOperations, operationsNotAsked } from "./wire.ts";

/** From this version on, a member without an id gets one first and comes back with it. */
const versionOfKnownMemberIds = 4;
/** From this version on, an answer may have no protocol; before it, an empty name stands for none. */
const versionOfNoProtocol = 7;
/** From this version on, a static leader that came back may be told to keep its assignment. */
const versionOfSkippedAssignments = 9;

export async function joinGroup(
  { broker }: Served,
  request: RequestOf<"JoinGroup">,
  exchange: Exchange,
): Promise<ResponseBody<"JoinGroup">> {
  const { version } = exchange;
  const { sessionTimeoutMs, rebalanceTimeoutMs, memberId, groupInstanceId } = request;
  const joined = await broker.joinGroup({
    groupId: request.groupId,
    memberId: given(memberId),
    groupInstanceId,
    protocolType: request.protocolType,
    protocols: request.protocols,
    sessionTimeoutMs,
    // The oldest version has one timeout for both.
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    requiresKnownMemberId: version >= versionOfKnownMemberIds,
    supportsSkippingAssignment: version >= versionOfSkippedAssignments,
    client: clientOf(exchange),
    reason: request.reason,
  });
  const { protocolType, protocolName } = joined;
  return {
    errorCode: errorCodeOf(joined),
    generationId: joined.generationId,
    protocolType,
    protocolName: version < versionOfNoProtocol ? (protocolName ?? "") : protocolName,
    leader: joined.leaderId,
    skipAssignment: joined.skipsAssignment,
    memberId: joined.memberId,
    members: joined.members,
  };
}

export async function syncGroup(
  { broker }: Served,
  request: RequestOf<"SyncGroup">,
): Promise<ResponseBody<"SyncGroup">> {
  const { groupId, generationId, memberId, groupInstanceId } = request;
  const synced = await broker.syncGroup({
    groupId,
    generationId,
    memberId,
    groupInstanceId,
    protocolType: request.protocolType,
    protocolName: request.protocolName,
    assignments: request.assignments,
  });
  const { protocolType, protocolName, assignment } = synced;
  return { errorCode: errorCodeOf(synced), protocolType, protocolName, assignment };
}

export async function heartbeat(
  { broker }: Served,
  { groupId, generationId, memberId, groupInstanceId }: RequestOf<"Heartbeat">,
): Promise<ResponseBody<"Heartbeat">> {
  const beat = { groupId, generationId, memberId, groupInstanceId };
  return { errorCode: errorCodeOf(await broker.heartbeat(beat)) };
}

/** From this version on, several members leave with one request. */
const versionOfManyLeaving = 3;

export async function leaveGroup(
  { broker }: Served,
  { groupId, memberId, members }: RequestOf<"LeaveGroup">,
  { version }: Exchange,
): Promise<ResponseBody<"LeaveGroup">> {
  if (version < versionOfManyLeaving) {
    const only = { memberId, groupInstanceId: undefined };
    return { errorCode: codeOfOnly(await broker.leaveGroup({ groupId, members: [only] })) };
  }
  const left = await broker.leaveGroup({
    groupId,
    members: members.map((member) => ({ ...member, memberId: given(member.memberId) })),
  });
  return {
    errorCode: errorCodeOf(left),
    members: left.members.map((member) => ({
      memberId: member.memberId ?? "",
      groupInstanceId: member.groupInstanceId,
      errorCode: errorCodeOf(member),
    })),
  };
}

function codeOfOnly(left: LeftGroup): number {
  return errorCodeOf(left) || errorCodeOf(left.members[0] ?? {});
}

/** From this version on, a group that does not exist is an error and not a dead group. */
const versionOfMissingGroups = 6;

export async function describeGroups(
  { broker }: Served,
  { groups, includeAuthorizedOperations }: RequestOf<"DescribeGroups">,
  { version }: Exchange,
): Promise<ResponseBody<"DescribeGroups">> {
  const descriptions = await broker.describeGroups(groups);
  const operations = includeAuthorizedOperations ? groupOperations : operationsNotAsked;
  return {
    groups: descriptions.map((group) => {
      const isMissing = group.errorCode === "group_not_found";
      const isHidden = isMissing && version < versionOfMissingGroups;
      return {
        errorCode: isHidden ? 0 : errorCodeOf(group),
        errorMessage: group.errorMessage,
        groupId: group.groupId,
        groupState: group.state,
        protocolType: group.protocolType,
        protocolData: group.protocolName,
        members: group.members.map(memberAnswer),
        authorizedOperations: operations,
      };
    }),
  };
}

function memberAnswer(
  member: GroupDescription["members"][number],
): ResponseBody<"DescribeGroups">["groups"][number]["members"][number] {
  return {
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.client.clientId,
    clientHost: member.client.clientHost,
    memberMetadata: member.metadata,
    memberAssignment: member.assignment,
  };
}

export function listGroups(
  { broker }: Served,
  { statesFilter, typesFilter }: RequestOf<"ListGroups">,
): ResponseBody<"ListGroups"> {
  const groups = broker.listGroups({ states: statesFilter, types: typesFilter });
  return {
    errorCode: 0,
    groups: groups.map(({ groupId, protocolType, state, groupType }) => ({
      groupId,
      protocolType,
      groupState: state,
      groupType,
    })),
  };
}

export async function deleteGroups(
  { broker }: Served,
  { groupsNames }: RequestOf<"DeleteGroups">,
): Promise<ResponseBody<"DeleteGroups">> {
  const deleted = await broker.deleteGroups([...new Set(groupsNames)]);
  return {
    results: deleted.map((group) => ({
      groupId: group.groupId,
      errorCode: errorCodeOf(group),
      errorMessage: group.errorMessage,
    })),
  };
}
