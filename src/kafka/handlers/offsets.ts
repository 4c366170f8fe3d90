import type { ListedOffset, OffsetQuery, OffsetSpec } from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import { errorCodeOf, invalidRequest, known, numberOf, repeated } from "./wire.ts";

type ListRequest = RequestOf<"ListOffsets">;
type WantedOffset = ListRequest["topics"][number]["partitions"][number];
type OffsetAnswer = ResponseBody<"ListOffsets">["topics"][number]["partitions"][number];

/** Negative timestamps ask for a place and not for a time; each came with a version. */
const places: ReadonlyMap<number, { since: number; spec: OffsetSpec | undefined }> = new Map([
  [-1, { since: 1, spec: { kind: "latest" } }],
  [-2, { since: 1, spec: { kind: "earliest" } }],
  [-3, { since: 7, spec: { kind: "max-timestamp" } }],
  [-4, { since: 8, spec: { kind: "earliest-local" } }],
  // The end of what lies elsewhere, and the start of what will: nothing does.
  [-5, { since: 9, spec: undefined }],
  [-6, { since: 11, spec: undefined }],
]);

export async function listOffsets(
  { broker }: Served,
  request: ListRequest,
  { version }: Exchange,
): Promise<ResponseBody<"ListOffsets">> {
  const { topics } = request;
  const twice = repeated(
    topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex }) => keyOf(name, partitionIndex)),
    ),
  );
  const queries: OffsetQuery[] = [];
  const plans = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((wanted) => {
      const { partitionIndex, timestamp, currentLeaderEpoch } = wanted;
      const isTwice = twice.has(keyOf(name, partitionIndex));
      const spec = isTwice ? invalidRequest : specOf(request, timestamp, version);
      if (typeof spec !== "object") return { wanted, answer: unlisted(wanted, spec ?? 0) };
      const query: OffsetQuery = {
        topic: { name },
        partition: partitionIndex,
        spec,
        currentLeaderEpoch: known(currentLeaderEpoch),
      };
      return { wanted, query: queries.push(query) - 1 };
    }),
  }));
  const listed = await broker.listOffsets(queries);
  return {
    topics: plans.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ wanted, answer, query }) =>
        query === undefined ? answer : offsetAnswer(wanted, listed[query]),
      ),
    })),
  };
}

function keyOf(name: string, index: number): string {
  return `${index} ${name}`;
}

/** What is asked for; an error number where it cannot be, undefined where there is nothing of that kind. */
function specOf(
  { replicaId }: ListRequest,
  timestamp: number,
  version: number,
): OffsetSpec | number | undefined {
  // Replicas of other brokers: there are none.
  if (replicaId >= 0) return numberOf("not_allowed");
  if (timestamp >= 0) return { kind: "time", timestampMs: timestamp };
  const place = places.get(timestamp);
  return place === undefined || version < place.since ? numberOf("unsupported") : place.spec;
}

function unlisted({ partitionIndex }: WantedOffset, errorCode: number): OffsetAnswer {
  return { partitionIndex, errorCode };
}

function offsetAnswer(wanted: WantedOffset, listed: ListedOffset | undefined): OffsetAnswer {
  if (listed === undefined) return unlisted(wanted, numberOf("internal"));
  return {
    partitionIndex: wanted.partitionIndex,
    errorCode: errorCodeOf(listed),
    timestamp: listed.timestampMs ?? -1,
    offset: listed.offset ?? -1,
    leaderEpoch: listed.leaderEpoch ?? -1,
  };
}

export function offsetForLeaderEpoch(
  { broker }: Served,
  { topics }: RequestOf<"OffsetForLeaderEpoch">,
): ResponseBody<"OffsetForLeaderEpoch"> {
  return {
    topics: topics.map(({ topic, partitions }) => {
      const answers = broker.offsetsForLeaderEpochs(
        partitions.map(({ partition, leaderEpoch, currentLeaderEpoch }) => ({
          topic: { name: topic },
          partition,
          leaderEpoch,
          currentLeaderEpoch: known(currentLeaderEpoch),
        })),
      );
      return {
        topic,
        partitions: partitions.map(({ partition }, index) => {
          const answer = answers[index];
          return {
            errorCode: answer === undefined ? numberOf("internal") : errorCodeOf(answer),
            partition,
            leaderEpoch: answer?.leaderEpoch ?? -1,
            endOffset: answer?.endOffset ?? -1,
          };
        }),
      };
    }),
  };
}

export async function deleteRecords(
  { broker }: Served,
  { topics }: RequestOf<"DeleteRecords">,
): Promise<ResponseBody<"DeleteRecords">> {
  const items = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, offset }) => ({
      topic: { name },
      partition: partitionIndex,
      // -1 is the high watermark; what is below it has no meaning and is out of range.
      before: offset === -1 ? undefined : offset,
    })),
  );
  const deleted = await broker.deleteRecords(items);
  let next = 0;
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const outcome = deleted[next++];
        return {
          partitionIndex,
          lowWatermark: outcome?.logStartOffset ?? -1,
          errorCode: outcome === undefined ? numberOf("internal") : errorCodeOf(outcome),
        };
      }),
    })),
  };
}
