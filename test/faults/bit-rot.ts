// Damage at rest: flipped bits, cut files, zeroed and exchanged blocks, in every kind of file of a store.
import { Image } from "../../sim/crash/image.ts";
import { type MemoryDisk, SeededRandom } from "../../src/env/index.ts";
import { LogError } from "../../src/errors/index.ts";
import { backupStore, type PartitionLog, restoreStore } from "../../src/storage/index.ts";
import {
  append,
  DIRECTORY,
  openStore,
  type OpenedStore,
  OTHER_TOPIC,
  readAll,
  TOPIC,
} from "../fixtures/store.ts";
import { untilSettled } from "./settle.ts";

const BACKUP = "/backup";
const sizes = { walFileBytes: 1_500, segmentBytes: 2_000 };

/** What a store whose files are damaged did. */
export type Verdict =
  /** An error with a code says which file is damaged. */
  | "named"
  /** All is served as it was written. */
  | "unused"
  /** The end of the log, with every claim that it was synced, is gone: as if it had never been written. */
  | "cut";

export interface Subject {
  readonly image: Image;
  /** Paths of all files, with their bytes. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What must be served, by partition. */
  readonly records: ReadonlyMap<string, readonly [number, string][]>;
  /** The last WAL file with frames, and where its last frame ends. */
  readonly tail: { readonly path: string; readonly end: number };
}

/** What a closed store has: a checkpoint, its segments and a WAL behind it, or a WAL alone. */
export const layouts = ["checkpoint", "WAL files", "one WAL file"] as const;

export async function makeSubject(
  rounds: number,
  recordCount: number,
  layout: (typeof layouts)[number] = "checkpoint",
): Promise<Subject> {
  // Of a single file nothing else says how far it is synced.
  const walFileBytes = layout === "one WAL file" ? 4_000 : sizes.walFileBytes;
  const opened = await openStore(undefined, { ...sizes, walFileBytes });
  opened.store.setAttachment("upper", () => new TextEncoder().encode("state of an upper room"));
  opened.owner.stateOf = (log) => `state at ${log.endOffset}`;
  const logs = [opened.store.openLog(TOPIC, 0), opened.store.openLog(OTHER_TOPIC, 1)];
  const fill = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      for (const log of logs) append(opened.store, log, { recordCount });
      await untilSettled(opened);
    }
  };
  await fill();
  if (layout === "checkpoint") await opened.env.run(opened.store.checkpoint());
  await fill();
  const records = new Map<string, [number, string][]>();
  for (const log of logs) records.set(keyOf(log), await readAll(log));
  await opened.env.run(opened.store.close());
  const files = filesOf(opened);
  return { image: imageOf(files), files, records, tail: tailOf(files) };
}

function keyOf(log: PartitionLog): string {
  return `${log.topicId}/${log.partition}`;
}

function filesOf({
  env,
}: {
  readonly env: { readonly disk: MemoryDisk };
}): Map<string, Uint8Array> {
  return filesIn(
    env.disk,
    ["", "/wal", "/segments", "/checkpoints"].map((directory) => DIRECTORY + directory),
  );
}

/** Files of these directories, by path, with their bytes; the lock has none. */
function filesIn(disk: MemoryDisk, directories: readonly string[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const directory of directories) {
    if (!disk.exists(directory)) continue;
    for (const name of disk.list(directory)) {
      const path = `${directory}/${name}`;
      if (!name.includes(".")) continue;
      const file = disk.open(path, "read");
      const bytes = new Uint8Array(file.size());
      file.read(bytes, 0);
      file.close();
      files.set(path, bytes);
    }
  }
  return files;
}

/** A backup of what {@link makeSubject} makes. */
async function makeBackup(subject: Subject): Promise<ReadonlyMap<string, Uint8Array>> {
  const disk = imageOf(subject.files).toDisk();
  await backupStore(disk, DIRECTORY, BACKUP);
  const generations = `${BACKUP}/generations`;
  const [generation = ""] = disk.list(generations);
  const own = `${generations}/${generation}`;
  return filesIn(disk, [`${BACKUP}/segments`, own, `${own}/wal`]);
}

/** Restores a backup of which one file has other bytes, then opens and reads it. @throws as {@link judge}. */
async function judgeBackup(
  subject: Subject,
  backup: ReadonlyMap<string, Uint8Array>,
  damage: Omit<Parameters<typeof judge>[1], "isToTheEnd">,
): Promise<Verdict> {
  const disk = imageOf(new Map(backup).set(damage.path, damage.bytes)).toDisk();
  try {
    await restoreStore(disk, BACKUP, DIRECTORY);
  } catch (error) {
    mustBeNamed(error, damage.path);
    return "named";
  }
  return judge(
    { ...subject, files: filesOf({ env: { disk } }) },
    { ...damage, path: "", isToTheEnd: false },
  );
}

function imageOf(files: ReadonlyMap<string, Uint8Array>): Image {
  const image = new Image();
  for (const [i, [path, bytes]] of [...files].entries()) {
    const names = path.split("/").slice(1);
    for (const [depth, name] of names.entries()) {
      const parent = depth === 0 ? "" : `/${names.slice(0, depth).join("/")}`;
      image.names(parent).set(name, depth === names.length - 1 ? i : "directory");
    }
    image.files.set(i, bytes);
  }
  return image;
}

function tailOf(files: ReadonlyMap<string, Uint8Array>): Subject["tail"] {
  const path = [...files.keys()].filter((name) => name.endsWith(".wal")).at(-1) ?? "";
  const end = (files.get(path)?.findLastIndex((byte) => byte !== 0) ?? -1) + 1;
  return { path, end };
}

/** The kind of a file, as it is reported. */
function kindOf(path: string): string {
  return path.endsWith("complete.json") ? "complete" : path.slice(path.lastIndexOf(".") + 1);
}

/**
 * Opens and reads a store of which one file has other bytes.
 * @throws Error where that serves something wrong, loses something, or fails without a name.
 */
export async function judge(
  subject: Subject,
  damage: { readonly path: string; readonly bytes: Uint8Array; readonly isToTheEnd: boolean },
): Promise<Verdict> {
  const files = new Map(subject.files);
  if (damage.path !== "") files.set(damage.path, damage.bytes);
  const disk = imageOf(files).toDisk();
  let opened: OpenedStore;
  try {
    opened = await openStore(disk, sizes);
  } catch (error) {
    mustBeNamed(error, damage.path);
    mustBeUntouched(files, filesOf({ env: { disk: disk.kill() } }));
    return "named";
  }
  let isCut = false;
  for (const [key, expected] of subject.records) {
    const [topicId = "", partition = "0"] = key.split("/");
    let found: [number, string][];
    try {
      found = await readAll(opened.store.openLog(topicId, Number(partition)));
    } catch (error) {
      mustBeNamed(error, damage.path);
      return "named";
    }
    const isPrefix = found.every(
      ([offset, value], i) => offset === expected[i]?.[0] && value === expected[i]?.[1],
    );
    if (!isPrefix) throw new Error(`${key} serves something else`);
    if (found.length < expected.length) isCut = true;
  }
  if (isCut && !damage.isToTheEnd) throw new Error("acknowledged records are cut");
  return isCut ? "cut" : "unused";
}

function mustBeNamed(error: unknown, path: string): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!(error instanceof LogError)) throw new Error("an error without a code", { cause: error });
  const codes = ["data_corrupt", "format_newer", "format_unknown"];
  if (!codes.includes(error.code)) throw new Error(`the code is ${error.code}`, { cause: error });
  // A store without its identity is named by its directory.
  if (
    !error.message.includes(name) &&
    !error.message.includes("/wal") &&
    !error.message.includes("/generations/") &&
    name !== "cordwood.json"
  ) {
    throw new Error(`${name} is not named`, { cause: error });
  }
}

/** A refusal to open changes nothing. */
function mustBeUntouched(
  before: ReadonlyMap<string, Uint8Array>,
  after: ReadonlyMap<string, Uint8Array>,
): void {
  for (const [path, bytes] of before) {
    const now = after.get(path);
    if (now === undefined || Buffer.compare(now, bytes) !== 0) {
      throw new Error(`${path} was changed by a start that was refused`);
    }
  }
}

/** Every bit of one file of each kind; only each `step`-th for a short run. Calls back for each. */
export async function flipEveryBit(subject: Subject, step: number, told: Told): Promise<void> {
  await flipEach(subject.files, step, told, (path, bytes) =>
    judge(subject, { path, bytes, isToTheEnd: false }),
  );
}

/** The same for a backup of it. */
export async function flipEveryBitOfBackup(
  subject: Subject,
  step: number,
  told: Told,
): Promise<void> {
  const backup = await makeBackup(subject);
  await flipEach(backup, step, told, (path, bytes) =>
    judgeBackup(subject, backup, { path, bytes }),
  );
}

type Told = (kind: string, verdict: Verdict | Error, what: string) => void;

// oxlint-disable-next-line max-params -- what is flipped, and who judges it
async function flipEach(
  files: ReadonlyMap<string, Uint8Array>,
  step: number,
  told: Told,
  verdict: (path: string, bytes: Uint8Array) => Promise<Verdict>,
): Promise<void> {
  const seen = new Set<string>();
  for (const [path, whole] of [...files].toReversed()) {
    const kind = kindOf(path);
    if (seen.has(kind)) continue;
    seen.add(kind);
    for (let bit = 0; bit < whole.length * 8; bit += step) {
      const bytes = whole.slice();
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      told(kind, await verdictOf(() => verdict(path, bytes)), `bit ${bit} of ${path}`);
    }
  }
}

/** Random damage: flips of several bits, cut files, zeroed blocks, blocks that changed places. */
export async function damageAtRandom(
  subject: Subject,
  seed: number,
  told: (kind: string, verdict: Verdict | Error, what: string) => void,
): Promise<void> {
  const random = new SeededRandom(seed);
  const paths = [...subject.files.keys()];
  const path = paths[random.below(paths.length)] ?? "";
  const whole = subject.files.get(path) ?? new Uint8Array(0);
  const bytes = whole.slice();
  const at = random.below(bytes.length);
  const size = 1 + random.below(Math.min(512, bytes.length - at));
  let [start, end] = [at, at + size];
  let damaged = bytes;
  const way = ["flip", "cut", "zero", "swap"][random.below(4)] ?? "flip";
  if (way === "flip") {
    bytes[at] = (bytes[at] ?? 0) ^ (1 + random.below(255));
    end = at + 1;
  } else if (way === "cut") {
    damaged = bytes.slice(0, at);
    end = bytes.length;
  } else if (way === "zero") {
    bytes.fill(0, at, end);
  } else {
    const other = random.below(bytes.length - size + 1);
    bytes.set(whole.subarray(other, other + size), at);
    bytes.set(whole.subarray(at, at + size), other);
    [start, end] = [Math.min(at, other), Math.max(at, other) + size];
  }
  const isToTheEnd =
    path === subject.tail.path && start < subject.tail.end && end >= lastFrame(subject);
  const verdict = await verdictOf(() => judge(subject, { path, bytes: damaged, isToTheEnd }));
  told(kindOf(path), verdict, `${way} of ${size} bytes at ${at} of ${path}, seed ${seed}`);
}

/** Where the last frame of the log begins: a mark, which alone says that the data before it was synced. */
function lastFrame({ tail }: Subject): number {
  return tail.end - 64;
}

async function verdictOf(judged: () => Promise<Verdict>): Promise<Verdict | Error> {
  try {
    return await judged();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
