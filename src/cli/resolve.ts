import { LogError } from "../errors/index.ts";
import type { OffsetPlace, PartitionRange } from "../kafka/index.ts";
import type { Point, Range } from "../values/index.ts";
import type { Session } from "./session.ts";

/** First offset and end of a partition. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

export interface ReadPlan {
  readonly topic: string;
  readonly range: Range;
  /** Undefined is all. */
  readonly partitions: readonly number[] | undefined;
  /** Whether a range without an end goes on and on. */
  readonly follows: boolean;
}

type Client = Pick<Session, "client" | "env">;

/** Where every partition begins and ends now. @throws LogError topic_not_found, partition_not_found */
export async function extentsOf(
  { client }: Pick<Session, "client">,
  topic: string,
  partitions?: readonly number[],
): Promise<Map<number, Extent>> {
  const [starts, ends] = await Promise.all([
    client.offsets.find(topic, "earliest", partitions),
    client.offsets.find(topic, "latest", partitions),
  ]);
  const extents = new Map<number, Extent>();
  for (const [partition, { offset: end = 0 }] of ends) {
    extents.set(partition, { start: starts.get(partition)?.offset ?? 0, end });
  }
  return extents;
}

/** The range as offsets of each partition, in their order. */
export async function planRead(session: Client, plan: ReadPlan): Promise<PartitionRange[]> {
  const { topic, range } = plan;
  const extents = await extentsOf(session, topic, plan.partitions);
  const starts = await offsetsAt(session, topic, range.start, extents);
  const ends =
    range.end === undefined ? undefined : await offsetsAt(session, topic, range.end, extents);
  return [...extents].map(([partition, { end }]) => {
    const start = starts.get(partition) ?? end;
    if (ends === undefined) return { topic, partition, start, end: plan.follows ? undefined : end };
    const wanted = ends.get(partition) ?? end;
    // Offsets that are still to come are waited for only by those who follow.
    const isAhead = plan.follows && range.end?.kind === "offset" && range.end.offset > end;
    return { topic, partition, start, end: isAhead ? range.end.offset : wanted };
  });
}

/** The offset of a point in each partition, never outside of what the log holds. */
export async function offsetsAt(
  { client, env }: Client,
  topic: string,
  point: Point,
  extents: ReadonlyMap<number, Extent>,
): Promise<Map<number, number>> {
  const partitions = [...extents.keys()];
  if (point.kind === "time" || point.kind === "ago") {
    const timeMs = point.kind === "time" ? point.timeMs : env.clock.wallMs() - point.ms;
    const place: OffsetPlace = { timeMs: Math.max(timeMs, 0) };
    const found = await client.offsets.find(topic, place, partitions);
    return mapExtents(extents, ({ end }, partition) => found.get(partition)?.offset ?? end);
  }
  return mapExtents(extents, (extent) => offsetIn(extent, point));
}

function offsetIn(
  { start, end }: Extent,
  point: Exclude<Point, { readonly kind: "time" | "ago" }>,
): number {
  if (point.kind === "start") return start;
  if (point.kind === "end") return end;
  if (point.kind === "last") return Math.max(start, end - point.count);
  return Math.min(Math.max(point.offset, start), end);
}

function mapExtents(
  extents: ReadonlyMap<number, Extent>,
  offsetOf: (extent: Extent, partition: number) => number,
): Map<number, number> {
  return new Map(
    [...extents].map(([partition, extent]) => [partition, offsetOf(extent, partition)]),
  );
}

/** @throws LogError offset_out_of_range, which names what there is */
export function mustHold(what: string, extent: Extent | undefined, offset: number): void {
  if (extent !== undefined && offset >= extent.start && offset < extent.end) return;
  const { start, end } = extent ?? { start: 0, end: 0 };
  const there = start === end ? "the log is empty" : `the log holds ${start} up to ${end - 1}`;
  throw new LogError("offset_out_of_range", `${what}: there is no offset ${offset}, ${there}`);
}
