import type { Disk } from "../env/index.ts";
import { faultOf } from "./answers.ts";
import { LogError } from "../errors/index.ts";
import type { OpenTopics } from "./open-topics.ts";
import type { LogDirDescription, LogDirQuery, LogSize, OpenTopic } from "./topic-verbs.ts";

export interface LogDirParts {
  readonly disk: Disk;
  readonly directory: string;
  readonly topics: OpenTopics;
}

/** What lies in the one directory that there is; undefined asks for everything. Unknown partitions are left out. */
export function describeLogDirs(
  { disk, directory, topics }: LogDirParts,
  queries: readonly LogDirQuery[] | undefined,
): LogDirDescription[] {
  const partitions =
    queries === undefined
      ? topics.all().flatMap((topic) => sizesOf(topic))
      : queries.flatMap(({ topic, partitions: indexes }) =>
          sizesOf(topics.named(topic)).filter(({ partition }) => indexes.includes(partition)),
        );
  try {
    return [{ path: directory, freeBytes: disk.freeBytes(directory), partitions }];
  } catch (thrown) {
    const cause = LogError.from(thrown);
    const error = new LogError("storage_failed", `${directory}: ${cause.message}`, { cause });
    return [{ path: directory, freeBytes: undefined, partitions, ...faultOf(error) }];
  }
}

function sizesOf(topic: OpenTopic | undefined): LogSize[] {
  return (topic?.partitions ?? []).map(({ index, sizeBytes }) => ({
    topic: topic?.name ?? "",
    partition: index,
    sizeBytes,
  }));
}
