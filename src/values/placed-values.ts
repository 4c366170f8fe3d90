/** Sorts the values of one call by the partitions they go to. */
import type { Appended } from "./store.ts";
import type { TypedValues } from "./typed-values.ts";

/** What one call appends to one partition. */
export interface PlacedRecords<R> {
  readonly partition: number;
  readonly records: R[];
  /** Of each record, its place among the values. */
  readonly places: number[];
  readonly make: MakeRecord<R>;
}

export type MakeRecord<R> = (key: Uint8Array | undefined, value: Uint8Array) => R;

export interface Placing<R> {
  /** In place of what the keys say. */
  readonly partition: number | undefined;
  partitionFor(key: Uint8Array | undefined): number;
  /** Called once for each partition. @throws LogError partition_not_found. */
  recordsOf(partition: number): MakeRecord<R>;
}

/** Values that have passed the schema, encoded; those without a key stay together. */
export function placeValues<R>(
  values: readonly unknown[],
  typed: Pick<TypedValues<never>, "keyOf" | "encode">,
  placing: Placing<R>,
): PlacedRecords<R>[] {
  const unkeyed = placing.partition ?? placing.partitionFor(undefined);
  const groups = new Map<number, PlacedRecords<R>>();
  let group: PlacedRecords<R> | undefined;
  for (let place = 0; place < values.length; place++) {
    const value = values[place];
    const key = typed.keyOf(value, undefined);
    const partition =
      placing.partition ?? (key === undefined ? unkeyed : placing.partitionFor(key));
    if (group?.partition !== partition) {
      group = groups.get(partition) ?? {
        partition,
        records: [],
        places: [],
        make: placing.recordsOf(partition),
      };
      groups.set(partition, group);
    }
    group.records.push(group.make(key, typed.encode(value)));
    group.places.push(place);
  }
  return [...groups.values()];
}

/** Appends each group; where the records are, in the order of the values. */
export async function appendPlaced<R>(
  groups: readonly PlacedRecords<R>[],
  append: (partition: number, records: readonly R[]) => Promise<number>,
): Promise<Appended[]> {
  const appended: Appended[] = [];
  await Promise.all(
    groups.map(async ({ partition, records, places }) => {
      const base = await append(partition, records);
      for (let index = 0; index < places.length; index++) {
        appended[places[index] ?? 0] = { partition, offset: base + index };
      }
    }),
  );
  return appended;
}
