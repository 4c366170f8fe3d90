import type { CoordinatorAnswer, ItemOutcome } from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import { type RequestOf, type ResponseBody, offeredVersions } from "../registry.ts";
import type { Served } from "./served.ts";
import {
  clusterOperations,
  errorCodeOf,
  invalidRequest,
  numberOf,
  operationsNotAsked,
  runs,
} from "./wire.ts";

/** What a client may call itself and its version. */
const softwareWord = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;
const versionOfSoftwareNames = 3;

/**
 * Tells which versions of which APIs are here. No feature levels are offered: clients then take
 * their older ways, which need none.
 */
export function apiVersions(
  _served: Served,
  { clientSoftwareName, clientSoftwareVersion }: RequestOf<"ApiVersions">,
  { version }: Exchange,
): ResponseBody<"ApiVersions"> {
  const isNamed =
    version < versionOfSoftwareNames ||
    (softwareWord.test(clientSoftwareName) && softwareWord.test(clientSoftwareVersion));
  return isNamed
    ? { errorCode: 0, apiKeys: offeredVersions }
    : { errorCode: invalidRequest, apiKeys: [] };
}

/** Of the two kinds of endpoints, brokers and controllers, a client of this port can ask for the first. */
const brokerEndpoints = 1;

export function describeCluster(
  { broker }: Served,
  request: RequestOf<"DescribeCluster">,
): ResponseBody<"DescribeCluster"> {
  const { clusterId, controllerId, brokers } = broker.describeCluster();
  const { endpointType } = request;
  if (endpointType !== brokerEndpoints) {
    const errorMessage = `endpoint type ${endpointType}: only brokers (${brokerEndpoints}) are listed here`;
    return { errorCode: invalidRequest, errorMessage, endpointType, clusterId, brokers: [] };
  }
  return {
    errorCode: 0,
    endpointType,
    clusterId,
    controllerId,
    brokers: brokers.map(({ nodeId, host, port, rack }) => ({
      brokerId: nodeId,
      host,
      port,
      rack,
      isFenced: false,
    })),
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? clusterOperations
      : operationsNotAsked,
  };
}

export function describeLogDirs(
  { broker }: Served,
  { topics }: RequestOf<"DescribeLogDirs">,
): ResponseBody<"DescribeLogDirs"> {
  const directories = broker.describeLogDirs(topics);
  return {
    results: directories.map((directory) => ({
      errorCode: errorCodeOf(directory),
      logDir: directory.path,
      topics: runs(directory.partitions, (left, right) => left.topic === right.topic).map(
        (sizes) => ({
          name: sizes[0]?.topic ?? "",
          partitions: sizes.map(({ partition, sizeBytes }) => ({
            partitionIndex: partition,
            partitionSize: sizeBytes,
            offsetLag: 0,
            isFutureKey: false,
          })),
        }),
      ),
      usableBytes: directory.freeBytes ?? -1,
    })),
  };
}

/** Versions up to here ask for one key and are answered in the body itself. */
const versionOfOneKey = 3;
/** What is coordinated, as the wire numbers it. */
const groupKeys = 0;
const otherKeys: ReadonlyMap<number, string> = new Map([
  [1, "transactions"],
  [2, "share groups"],
]);

export function findCoordinator(
  { broker }: Served,
  { key, keyType, coordinatorKeys }: RequestOf<"FindCoordinator">,
  { version }: Exchange,
): ResponseBody<"FindCoordinator"> {
  const keys = version <= versionOfOneKey ? [key] : coordinatorKeys;
  const found =
    keyType === groupKeys
      ? broker.findCoordinators(keys)
      : keys.map((one) => noCoordinator(one, keyType));
  const answers = found.map((coordinator) => coordinatorAnswer(coordinator));
  if (version > versionOfOneKey) return { coordinators: answers };
  return answers[0] ?? { errorCode: numberOf("internal") };
}

function noCoordinator(key: string, keyType: number): CoordinatorAnswer {
  const what = otherKeys.get(keyType);
  const fault: ItemOutcome =
    what === undefined
      ? { errorCode: "invalid_argument", errorMessage: `there is no key type ${keyType}` }
      : { errorCode: "unsupported", errorMessage: `${what} are not supported yet` };
  return { key, nodeId: -1, host: "", port: -1, ...fault };
}

function coordinatorAnswer(
  coordinator: CoordinatorAnswer,
): NonNullable<ResponseBody<"FindCoordinator">["coordinators"]>[number] {
  const { key, nodeId, host, port, errorMessage } = coordinator;
  return { key, nodeId, host, port, errorCode: errorCodeOf(coordinator), errorMessage };
}
