// A server by HTTP. Groups store positions there and have no members of their own: whoever consumes
// in one reads all partitions.

import { compactTopic, Server, TopicStream } from "../client/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import type { GroupDetails, OffsetPlace, PartitionRange } from "../kafka/index.ts";
import {
  GroupService,
  LogService,
  type Record as WireRecord,
  TopicService,
} from "../proto/index.ts";
import { HttpProducer } from "./http-producer.ts";
import type {
  DescribedTopic,
  MemberOptions,
  Place,
  PlaceClient,
  PlaceMember,
  PlaceOptions,
  PlaceTopics,
  RecordRun,
  ShownRecord,
} from "./place.ts";

/** @throws LogError unreachable, invalid_argument, protocol_violation */
export async function openHttp(url: string, { events }: PlaceOptions): Promise<Place> {
  const ending = new AbortController();
  const server = await Server.open(url, { ending: ending.signal });
  return {
    env: nodeEnv({ events }),
    client: placeClient(server),
    name: url,
    async [Symbol.asyncDispose]() {
      ending.abort(new LogError("closed", `${url} is closed`));
    },
  };
}

function placeClient(server: Server): PlaceClient {
  const topics = topicsOf(server);
  const offsets = offsetsOf(server);
  const groups = groupsOf(server);
  return {
    topics,
    offsets,
    groups,
    produce: (topic, options) => HttpProducer.open(server, topics, { topic, ...options }),
    read: (ranges, { signal }) => readRanges(server, ranges, signal),
    member: (options) => soleMember({ topics, groups }, options),
  };
}

function topicsOf(server: Server): PlaceTopics {
  const { method } = TopicService;
  const described = (topic: string) => server.asked(method.describeTopic, { topic });
  return {
    async list() {
      const { topics } = await server.asked(method.listTopics, {});
      return topics;
    },
    async describe(name): Promise<DescribedTopic> {
      const { topic, partitions } = await described(name);
      const { topicId = "", isInternal = false } = topic ?? {};
      const parts = partitions.map(({ partition, leader, leaderEpoch }) => ({
        index: partition,
        leader,
        leaderEpoch,
      }));
      return { name, topicId, isInternal, partitions: parts };
    },
    async create({ name, partitionCount, settings = new Map() }, { validateOnly = false } = {}) {
      await server.unary(method.createTopic, {
        topic: name,
        ...(partitionCount === undefined ? {} : { partitionCount }),
        settings: Object.fromEntries(settings),
        validateOnly,
      });
    },
    async delete(topic) {
      await server.unary(method.deleteTopic, { topic });
    },
    async grow(topic, partitionCount) {
      await server.unary(method.addPartitions, { topic, partitionCount });
    },
    async settings(name) {
      const { settings } = await described(name);
      return settings.map((setting) => ({
        name: setting.name,
        value: setting.value,
        isOwn: setting.origin === "topic",
      }));
    },
    async alter(topic, { set = new Map(), remove = [] }) {
      const changes = [
        ...Array.from(set, ([name, value]) => ({ name, change: setTo(value) })),
        ...remove.map((name) => ({ name, change: unset })),
      ];
      await server.unary(method.alterTopic, { topic, changes });
    },
    compact: (topic, signal) => compactTopic(server, { topic }, signal),
    async sizes(names) {
      const sizes = new Map<string, ReadonlyMap<number, number>>();
      for (const name of names) {
        const { partitions } = await described(name);
        sizes.set(
          name,
          new Map(partitions.map(({ partition, sizeBytes }) => [partition, Number(sizeBytes)])),
        );
      }
      return sizes;
    },
  };
}

function setTo(value: string): { readonly case: "set"; readonly value: string } {
  return { case: "set", value };
}

const unset = { case: "unset", value: {} } as const;

function offsetsOf(server: Server): PlaceClient["offsets"] {
  return {
    async find(topic, place, partitions = []) {
      const asked = await server.asked(LogService.method.listOffsets, {
        topic,
        partitions: [...partitions],
        ...timeOf(place),
      });
      return new Map(
        asked.partitions.map((range) => [
          range.partition,
          { offset: offsetAt(range, place), timestampMs: undefined },
        ]),
      );
    },
    async deleteBefore(topic, before) {
      const starts = new Map<number, number>();
      for (const [partition, offset] of before) {
        const { startOffset } = await server.asked(TopicService.method.deleteRecords, {
          topic,
          partition,
          ...(offset === undefined ? {} : { before: BigInt(offset) }),
        });
        starts.set(partition, Number(startOffset));
      }
      return starts;
    },
  };
}

function timeOf(place: OffsetPlace): { readonly timeMs?: bigint } {
  return typeof place === "object" ? { timeMs: BigInt(Math.ceil(place.timeMs)) } : {};
}

function offsetAt(
  range: {
    readonly startOffset: bigint;
    readonly endOffset: bigint;
    readonly timeOffset?: bigint | undefined;
  },
  place: OffsetPlace,
): number | undefined {
  if (place === "earliest") return Number(range.startOffset);
  if (place === "latest") return Number(range.endOffset);
  return range.timeOffset === undefined ? undefined : Number(range.timeOffset);
}

function groupsOf(server: Server): PlaceClient["groups"] {
  const { method } = GroupService;
  return {
    async list() {
      const { groups } = await server.asked(method.listGroups, {});
      return groups.map(({ group, state, protocolType }) => ({
        groupId: group,
        state,
        protocolType,
      }));
    },
    async describe(groupId): Promise<GroupDetails> {
      const { group, protocol, members } = await server.asked(method.describeGroup, {
        group: groupId,
      });
      const { state = "", protocolType = "" } = group ?? {};
      // What consumers have to read is written in Kafka's protocol, which is loaded when there is some.
      const kafka = members.length === 0 ? undefined : await import("../kafka/index.ts");
      const isOfConsumers = protocolType === "consumer";
      return {
        groupId,
        state,
        protocolType,
        protocolName: protocol,
        members: members.map((member) => ({
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          assignment: (isOfConsumers && kafka?.decodeAssignment(member.assignment)) || [],
        })),
      };
    },
    async positions(group) {
      const { offsets } = await server.asked(method.fetchOffsets, { group });
      return offsets.flatMap(({ committed }) =>
        committed === undefined ? [] : [{ ...committed, offset: Number(committed.offset) }],
      );
    },
    async commit(group, positions) {
      const offsets = positions.map(({ topic, partition, offset }) => ({
        topic,
        partition,
        offset: BigInt(offset),
      }));
      await server.asked(method.commitOffsets, { group, offsets });
    },
    async delete(group) {
      await server.unary(method.deleteGroup, { group });
    },
  };
}

/** Who consumes in a group by HTTP: all of it, from where it was, for as long as nobody is in it by Kafka. */
function soleMember(
  { topics, groups }: Pick<PlaceClient, "topics" | "groups">,
  options: MemberOptions,
): PlaceMember {
  const { groupId } = options;
  return {
    async join() {
      await refuseMembers(groups, groupId);
      const assignment = [];
      for (const topic of options.topics) {
        const { partitions } = await topics.describe(topic);
        assignment.push(...partitions.map(({ index }) => ({ topic, partition: index })));
      }
      return { generationId: 0, assignment, ended: new AbortController().signal };
    },
    async commit(positions) {
      if (positions.length > 0) await groups.commit(groupId, positions);
    },
    async leave() {},
  };
}

async function refuseMembers(groups: PlaceClient["groups"], groupId: string): Promise<void> {
  const described = await groups.describe(groupId).catch((thrown: unknown) => {
    if (thrown instanceof LogError && thrown.code === "group_not_found") return undefined;
    throw thrown;
  });
  if (described === undefined || described.members.length === 0) return;
  throw new LogError(
    "group_not_empty",
    `group ${groupId} has members by Kafka's protocol, which share its partitions: join them with --at kafka://HOST:PORT, or stop them first`,
  );
}

async function* readRanges(
  server: Server,
  ranges: readonly PartitionRange[],
  signal: AbortSignal,
): AsyncGenerator<RecordRun, void, undefined> {
  const wanted = ranges.filter(({ start, end }) => end === undefined || start < end);
  const byTopic = Map.groupBy(wanted, ({ topic }) => topic);
  const streams: TopicStream[] = [];
  try {
    for (const [topic, ofTopic] of byTopic) {
      streams.push(new TopicStream(server, topic, await streamRange(server, ofTopic), signal));
    }
    for (;;) {
      const open = streams.filter((stream) => !stream.isDone);
      if (open.length === 0) return;
      await Promise.race(open.map((stream) => stream.filled()));
      for (const stream of open) yield* runsAt(stream);
    }
  } finally {
    for (const stream of streams) stream.close();
  }
}

async function streamRange(
  server: Server,
  ranges: readonly PartitionRange[],
): Promise<ConstructorParameters<typeof TopicStream>[2]> {
  const partitions = ranges.map(({ partition }) => partition);
  const ends = new Map(ranges.map(({ partition, end = Infinity }) => [partition, end]));
  const topic = ranges[0]?.topic ?? "";
  const now = await server.asked(LogService.method.listOffsets, { topic, partitions });
  // An end that is still to come is waited for.
  const isAhead = now.partitions.some(
    ({ partition, endOffset }) => (ends.get(partition) ?? 0) > endOffset,
  );
  return {
    partitions,
    from: { at: { case: "start", value: {} } },
    offsets: new Map(ranges.map(({ partition, start }) => [partition, start])),
    ends,
    follow: isAhead,
    limit: Infinity,
    deletions: true,
    skipsMissing: true,
  };
}

function* runsAt(stream: TopicStream): Generator<RecordRun, void, undefined> {
  for (let run = runAt(stream); run !== undefined; run = runAt(stream)) yield run;
}

/** The records at hand that follow one another in one partition; taken when the next ones are asked for. */
function runAt(stream: TopicStream): RecordRun | undefined {
  const first = stream.head;
  if (first === undefined) return undefined;
  const { partition } = first;
  const records: WireRecord[] = [];
  for (let head = stream.head; head?.partition === partition; head = stream.head) {
    records.push(head);
    stream.take();
  }
  const next = Number(records.at(-1)?.offset ?? first.offset) + 1;
  return {
    topic: stream.topic,
    partition,
    start: Number(first.offset),
    next,
    each: (visit) => records.every((record) => visit(shown(record))),
  };
}

function shown(record: WireRecord): ShownRecord {
  return {
    offset: Number(record.offset),
    timestamp: Number(record.timestampMs),
    key: () => record.key,
    value: () => record.value,
    headers: () => record.headers.map(({ name, value }) => ({ key: name, value })),
  };
}
