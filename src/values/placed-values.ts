/** Sorts the values of one call by the partitions they go to. */
import type { Appended } from "./store.ts";
import type { TypedValues } from "./typed-values.ts";
import type { EncodedValue } from "./value-codec.ts";

/** Takes what one call appends to one partition. */
export interface PartitionSink {
  add(key: EncodedValue | undefined, value: EncodedValue): void;
}

interface PlacedValues<Sink extends PartitionSink> {
  readonly partition: number;
  readonly sink: Sink;
  /** Of each value that the sink got, its place among all. */
  readonly places: number[];
}

export interface Placing<Sink extends PartitionSink> {
  /** In place of what the keys say. */
  readonly partition: number | undefined;
  partitionFor(key: EncodedValue | undefined): number;
  /** Called once for each partition. @throws LogError partition_not_found. */
  sinkOf(partition: number): Sink;
}

/**
 * Values that have passed the schema, encoded; those without a key stay together. Nothing is given to
 * a sink before all of them are encoded.
 */
// hot: bench/embedded, the typed topic. Encoding them one after another, with nothing in between,
// takes JSON.stringify 80 ns less for each.
export function placeValues<Sink extends PartitionSink>(
  values: readonly unknown[],
  typed: Pick<TypedValues<never>, "keyOf" | "encode">,
  placing: Placing<Sink>,
): PlacedValues<Sink>[] {
  const encoded = values.map((value) => typed.encode(value));
  const unkeyed = placing.partition ?? placing.partitionFor(undefined);
  const groups = new Map<number, PlacedValues<Sink>>();
  let group: PlacedValues<Sink> | undefined;
  let place = 0;
  for (const value of encoded) {
    const key = typed.keyOf(values[place], undefined);
    const partition =
      placing.partition ?? (key === undefined ? unkeyed : placing.partitionFor(key));
    if (group?.partition !== partition) {
      group = groups.get(partition) ?? {
        partition,
        sink: placing.sinkOf(partition),
        places: [],
      };
      groups.set(partition, group);
    }
    group.sink.add(key, value);
    group.places.push(place++);
  }
  return [...groups.values()];
}

/** Appends each group; where the records are, in the order of the values. */
export async function appendPlaced<Sink extends PartitionSink>(
  groups: readonly PlacedValues<Sink>[],
  append: (partition: number, sink: Sink) => Promise<number>,
): Promise<Appended[]> {
  const appended: Appended[] = [];
  await Promise.all(
    groups.map(async ({ partition, sink, places }) => {
      const base = await append(partition, sink);
      for (let index = 0; index < places.length; index++) {
        appended[places[index] ?? 0] = { partition, offset: base + index };
      }
    }),
  );
  return appended;
}
