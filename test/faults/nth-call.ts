// The n-th call of the disk fails, for every n: an error or a retry, never a false acknowledgement.
import type { Broker } from "../../src/broker/index.ts";
import {
  type Disk,
  type DiskCall,
  diskError,
  type DiskFile,
  type MemoryDisk,
  MemoryDisk as Disks,
} from "../../src/env/index.ts";
import type { LogError } from "../../src/errors/index.ts";
import { type AppendOutcome, settled, whenSettled } from "../../src/partitions/index.ts";
import { batchOf } from "../../sim/batches.ts";
import { Ledger, type Send, Violation } from "../../sim/ledger.ts";
import { envOn, openBroker, type StageEnv } from "../../sim/crash/stage.ts";
import { openedStore } from "../../sim/small-store.ts";

export interface Fault {
  readonly name: string;
  readonly kinds: readonly DiskCall["kind"][];
  readonly code: string;
  /** Of a failing write, what arrives nevertheless. */
  readonly writtenBytes: number;
}

const writes = ["write"] as const;
export const faults: readonly Fault[] = [
  {
    name: "EIO",
    kinds: [
      "open",
      "list",
      "read",
      "write",
      "truncate",
      "rename",
      "remove",
      "makeDirectory",
      "freeBytes",
      "lock",
    ],
    code: "EIO",
    writtenBytes: 0,
  },
  {
    name: "ENOSPC",
    kinds: ["open", "write", "rename", "makeDirectory"],
    code: "ENOSPC",
    writtenBytes: 0,
  },
  {
    name: "EDQUOT",
    kinds: ["open", "write", "rename", "makeDirectory"],
    code: "EDQUOT",
    writtenBytes: 0,
  },
  { name: "EINTR", kinds: ["open", "read", "write"], code: "EINTR", writtenBytes: 0 },
  { name: "EMFILE", kinds: ["open", "list", "syncDirectory"], code: "EMFILE", writtenBytes: 0 },
  { name: "short write", kinds: writes, code: "ENOSPC", writtenBytes: 150 },
  { name: "fsync EIO", kinds: ["sync"], code: "EIO", writtenBytes: 0 },
  { name: "fsync EIO of a directory", kinds: ["syncDirectory"], code: "EIO", writtenBytes: 0 },
];

/** Whether the workload made an n-th call that `fault` is about. @throws Violation */
export async function failCall(fault: Fault, n: number): Promise<boolean> {
  let count = 0;
  let isHit = false;
  let mustEnd = false;
  const disk = new Disks({
    onCall: ({ kind, path }) => {
      if (!fault.kinds.includes(kind) || ++count !== n) return;
      isHit = true;
      mustEnd = kind === "sync" && path.endsWith(".wal") && script.isServing;
      throw diskError(fault.code, path, fault.writtenBytes);
    },
  });
  const script = new Script(disk);
  await script.play();
  if (mustEnd && !script.hasEnded) throw new Violation("it went on after a failed sync of its log");
  await script.check(disk);
  return isHit;
}

/** The n-th read gives half of what there is. The disk's contract forbids it; even so nothing may get lost. */
export async function shortenRead(n: number): Promise<boolean> {
  const disk = new Disks();
  const shortened = new ShortReads(disk, n);
  const script = new Script(shortened);
  await script.play();
  await script.check(disk);
  return shortened.isHit;
}

/** A fixed life of a broker: everything that touches the disk, twice over a restart. */
class Script {
  readonly #ledger = new Ledger();
  readonly #disk: Disk;
  #env: StageEnv;
  #broker: Broker | undefined;
  readonly #fatal: LogError[] = [];
  #isServing = false;
  #serial = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
    this.#env = envOn(disk, 1);
  }

  /** Whether a broker is open, and not about to close. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** Whether the process was told to end. */
  get hasEnded(): boolean {
    return this.#fatal.length > 0;
  }

  async play(): Promise<void> {
    if (!(await this.#open())) return;
    await this.#createTopic("a");
    await this.#createTopic("b");
    for (let i = 0; i < 3; i++) await this.#append("a");
    await this.#append("b");
    await this.#commit("a", 1);
    await this.#checkpoint();
    await this.#append("a");
    await this.#deleteRecords();
    await this.#checkpoint();
    await this.#append("a");
    await this.#commit("a", 2);
    await this.#commit("b", 1);
    if (this.#fatal.length > 0) return;
    this.#isServing = false;
    await this.#env.run(this.#broker?.close() ?? Promise.resolve()).catch(() => undefined);
    this.#env = envOn(this.#disk, 2);
    if (!(await this.#open())) return;
    await this.#append("a");
    await this.#deleteTopic("b");
    await this.#createTopic("b");
    await this.#beginsWithoutOffset("b");
    await this.#checkpoint();
    await this.#append("a");
  }

  /** What a kill leaves, then what a power cut right after the next start leaves. */
  async check(disk: MemoryDisk): Promise<void> {
    const killed = disk.kill({});
    const first = envOn(killed, 3);
    const broker = await openBroker(first, []);
    await first.run(this.#ledger.check(broker));
    const last = envOn(
      killed.crash(() => "lost", {}),
      4,
    );
    await last.run(this.#ledger.check(await openBroker(last, [])));
  }

  async #open(): Promise<boolean> {
    for (let tries = 0; tries < 3; tries++) {
      try {
        this.#broker = await openBroker(this.#env, this.#fatal);
        this.#isServing = true;
        return true;
      } catch {
        // It is started again, as a supervisor would.
        if (this.#fatal.length > 0) return false;
      }
    }
    throw new Violation("three starts failed for one fault");
  }

  async #do(work: (broker: Broker) => Promise<void>): Promise<void> {
    const broker = this.#broker;
    if (broker === undefined || this.#fatal.length > 0) return;
    await this.#env.run(work(broker));
  }

  #createTopic(name: string): Promise<void> {
    return this.#do(async (broker) => {
      for (let tries = 0; tries < 2 && this.#fatal.length === 0; tries++) {
        const facts = this.#ledger.topicSent(name, 1);
        const [created] = await broker.createTopics([{ name, partitionCount: 1 }]);
        if (created?.topicId === undefined) continue;
        this.#ledger.topicAcked(facts, created.topicId);
        return;
      }
    });
  }

  #place(broker: Broker, topic: string): string | undefined {
    const open = broker.topicNamed(topic);
    return open === undefined ? undefined : `${open.topicId}/0`;
  }

  #append(topic: string): Promise<void> {
    return this.#do(async (broker) => {
      const place = this.#place(broker, topic);
      const partition = broker.partition(topic, 0);
      if (place === undefined || partition === undefined) return;
      const values = [`${topic}-${this.#serial++}:${"z".repeat(300)}`];
      const send = this.#ledger.sent(place, { producer: "p", isIdempotent: false, values });
      const nowMs = this.#env.clock.wallMs();
      await this.#note(partition.append(batchOf(values, nowMs), nowMs), send);
    });
  }

  async #note(outcome: AppendOutcome, send: Send): Promise<void> {
    await new Promise<void>((resolve) => whenSettled([outcome], resolve));
    const error = settled(outcome);
    if (error === undefined && outcome.kind === "appended") {
      this.#ledger.ackedSend(send, outcome.baseOffset);
    } else if (this.#fatal.length === 0) {
      send.refusedAt = 0;
    }
  }

  #commit(topic: string, offset: number): Promise<void> {
    return this.#do(async (broker) => {
      const place = this.#place(broker, topic);
      if (place === undefined) return;
      const facts = this.#ledger.commitSent(`group|${topic}|${place}`, offset);
      const item = {
        topic: { name: topic },
        partition: 0,
        offset,
        leaderEpoch: undefined,
        metadata: "",
      };
      const [answer] = await broker.commitOffsets({
        groupId: "group",
        generationId: undefined,
        memberId: undefined,
        groupInstanceId: undefined,
        offsets: [item],
      });
      if (answer?.errorCode === undefined) facts.ackedAt = 0;
    });
  }

  /** A topic that was made anew has nothing to do with the one that had its name. */
  #beginsWithoutOffset(name: string): Promise<void> {
    return this.#do(async (broker) => {
      const facts = this.#ledger.topics.filter(
        (one) => one.name === name && one.topicId !== undefined,
      );
      if (facts.length < 2 || facts[0]?.deleteAckedAt !== 0) return;
      const partitions = [{ topic: { name }, partition: 0 }];
      const { offsets } = await broker.fetchOffsets({ groupId: "group", partitions });
      if (offsets[0]?.offset === undefined) return;
      throw new Violation(`a new topic begins with the offset ${offsets[0].offset}`);
    });
  }

  #checkpoint(): Promise<void> {
    return this.#do(async () => {
      await openedStore(this.#env)
        .checkpoint()
        .catch(() => undefined);
    });
  }

  #deleteRecords(): Promise<void> {
    return this.#do(async (broker) => {
      const place = this.#place(broker, "a");
      if (place === undefined) return;
      const deletion = this.#ledger.deletionSent(place, 1);
      const item = { topic: { name: "a" }, partition: 0, before: 1 };
      const [deleted] = await broker.deleteRecords([item]);
      if (deleted?.errorCode === undefined) deletion.ackedAt = 0;
    });
  }

  #deleteTopic(name: string): Promise<void> {
    return this.#do(async (broker) => {
      const facts = this.#ledger.topics.find(
        (one) => one.name === name && one.topicId !== undefined,
      );
      if (facts === undefined) return;
      facts.deleteSentAt = 0;
      const [deleted] = await broker.deleteTopics([{ name }]);
      if (deleted?.errorCode === undefined) facts.deleteAckedAt = 0;
    });
  }
}

/** A disk of which one read gives less than there is. */
class ShortReads implements Disk {
  isHit = false;
  readonly #disk: MemoryDisk;
  readonly #n: number;
  #count = 0;

  constructor(disk: MemoryDisk, n: number) {
    this.#disk = disk;
    this.#n = n;
  }

  open(path: string, mode: "read" | "write" | "create"): DiskFile {
    const file = this.#disk.open(path, mode);
    const half = (target: Uint8Array): Uint8Array => {
      if (++this.#count !== this.#n) return target;
      this.isHit = true;
      return target.subarray(0, target.length >> 1);
    };
    return {
      path,
      size: () => file.size(),
      read: (target, position) => file.read(half(target), position),
      readAsync: (target, position) => file.readAsync(half(target), position),
      write: (parts, position) => file.write(parts, position),
      writeAsync: (parts, position) => file.writeAsync(parts, position),
      sync: () => file.sync(),
      syncNow: () => file.syncNow(),
      truncate: (size) => file.truncate(size),
      close: () => file.close(),
    };
  }

  exists = (path: string): boolean => this.#disk.exists(path);
  list = (directory: string): string[] => this.#disk.list(directory);
  makeDirectory = (path: string): void => this.#disk.makeDirectory(path);
  rename = (from: string, to: string): void => this.#disk.rename(from, to);
  remove = (path: string): void => this.#disk.remove(path);
  removeDirectory = (path: string): void => this.#disk.removeDirectory(path);
  syncDirectory = (path: string): Promise<void> => this.#disk.syncDirectory(path);
  syncDirectoryNow = (path: string): void => this.#disk.syncDirectoryNow(path);
  freeBytes = (path: string): number => this.#disk.freeBytes(path);
  lock = (path: string): ReturnType<Disk["lock"]> => this.#disk.lock(path);
}
