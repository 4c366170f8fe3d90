/** Ways to break a promise. The suite must catch each: a test that no mutant needs proves nothing. */

export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const mutants: readonly Mutant[] = [
  {
    name: "acknowledge before durable",
    file: "src/storage/store.ts",
    from: "else this.#syncing ??= this.#sync();",
    to: "else { this.#becomeDurable(sequence); this.#syncing ??= this.#sync(); }",
  },
  {
    name: "a sync settles before it is done",
    file: "src/storage/file-wal.ts",
    from: "if (this.#files.has(file.fileNumber)) await file.file.sync();",
    to: "file.file.sync().catch(() => undefined);",
  },
  {
    name: "forget to sync the WAL's directory",
    file: "src/storage/file-wal.ts",
    from: "await this.#disk.syncDirectory(this.#identity.directory);",
    to: "",
  },
  {
    name: "forget to sync where the log goes on behind a checkpoint",
    file: "src/storage/file-wal.ts",
    from: "await this.file(fileNumber).file.sync();",
    to: "",
  },
  {
    name: "forget names that a killed process left unsynced",
    file: "src/storage/file-wal.ts",
    from: "#namesMade = 1;",
    to: "#namesMade = 0;",
  },
  {
    name: "a sync at once passes over what is under way",
    file: "src/storage/file-wal.ts",
    from: "new Set([...this.#underWay, ...this.#unsynced])",
    to: "new Set(this.#unsynced)",
  },
  {
    name: "a sync at once does not hear of the failure of one under way",
    file: "src/storage/file-wal.ts",
    from: "twinOf(file).syncNow()",
    to: "file.file.syncNow()",
  },
  {
    name: "forget the sync of a checkpoint's name",
    file: "src/storage/checkpoint.ts",
    from: "await disk.syncDirectory(directory);",
    to: "",
  },
  {
    name: "forget the sync of a checkpoint",
    file: "src/storage/checkpoint.ts",
    from: "await file.sync();",
    to: "",
  },
  {
    name: "forget the sync of a segment's name",
    file: "src/storage/segment-build.ts",
    from: "if (this.#finished.size > 0) await disk.syncDirectory(directory);",
    to: "",
  },
  {
    name: "forget the sync of a segment",
    file: "src/storage/segment.ts",
    from: "await this.#file.sync();",
    to: "",
  },
  {
    name: "trust a checkpoint whose name is not synced",
    file: "src/storage/directory.ts",
    from: "await disk.syncDirectory(paths.checkpoints);",
    to: "",
  },
  {
    name: "trim before the checkpoint is durable",
    file: "src/storage/checkpointer.ts",
    from: "await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);",
    to: "wal.trim(cut.fileNumber);\n      await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);",
  },
  {
    name: "remove segments before the checkpoint is durable",
    file: "src/storage/checkpointer.ts",
    from: "await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);",
    to: "this.#bury(dead);\n      await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);",
  },
  {
    name: "trust the page cache after a failed sync",
    file: "src/storage/store.ts",
    from: "rewrite(env.disk, scan.unsynced);",
    to: "",
  },
  {
    name: "go on after a failed sync",
    file: "src/storage/store.ts",
    from: "return sequence;\n    } catch (error) {\n      throw this.#failForEver(error);",
    to: "return sequence;\n    } catch (error) {\n      void error;\n      return this.#wal.nextSequence - 1;",
  },
  {
    name: "take up cut frames again",
    file: "src/storage/wal-recovery.ts",
    from: "if (next !== undefined && end.isFollowedBy(next)) return;",
    to: "void next;",
  },
  {
    name: "cut a bad frame in the middle",
    file: "src/storage/wal-recovery.ts",
    from: "if (end.nextSequence <= syncedThrough) {",
    to: "if (end.nextSequence < 0) {",
  },
  {
    name: "skip the CRC of a frame",
    file: "src/storage/wal-recovery.ts",
    from: "const isWhole = frameCrc(this.#bytes, position - this.#start, header) === header.crc;",
    to: "const isWhole = frameCrc.length > 0;",
  },
  {
    name: "skip the bodies of the tail",
    file: "src/storage/wal-recovery.ts",
    from: "const needsBody = header.sequence > trustedThrough;",
    to: "const needsBody = header.sequence < 0;",
  },
  {
    name: "do not look at the CRC of a batch",
    file: "src/records/batch-check.ts",
    from: "if (stored !== computed) {",
    to: "if (stored !== computed && stored < 0) {",
  },
  {
    name: "serve from a segment without the CRC",
    file: "src/storage/segment-table.ts",
    from: "if (fault !== undefined) throw damagedBatch(",
    to: "if (fault !== undefined && start < 0) throw damagedBatch(",
  },
  {
    name: "do not look whose WAL it is",
    file: "src/storage/wal-recovery.ts",
    from: "if (!isOurs) {",
    to: "if (!isOurs && header.version > 1) {",
  },
  {
    name: "use merged segments before a checkpoint names them",
    file: "src/storage/checkpointer.ts",
    from: "await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);\n      this.#adopt(logs, merges, made);",
    to: "this.#adopt(logs, merges, made);\n      await saveCheckpoint(env.disk, held.paths.checkpoints, checkpoint);",
  },
  {
    name: "let compaction remove the newest record of a key",
    file: "src/storage/compaction.ts",
    from: "keys.find(cursor.bytes, keyStart, cursor.keyEnd) > offset",
    to: "keys.find(cursor.bytes, keyStart, cursor.keyEnd) >= offset",
  },
  {
    name: "forget where a log ends when its records are gone",
    file: "src/storage/checkpointer.ts",
    from: "startOffset: cut.startOffset,\n    endOffset,\n",
    to: "startOffset: cut.startOffset,\n    endOffset: [...runs, ...cut.made].at(-1)?.endOffset ?? 0,\n",
  },
  {
    name: "give an offset twice",
    file: "src/storage/partition-log.ts",
    from: "this.#endOffset = nextOffset;",
    to: "this.#endOffset = nextOffset - 1;",
  },
  {
    name: "keep the offsets of a frame that was not written",
    file: "src/storage/partition-log.ts",
    from: "    this.#endOffset = baseOffset;\n",
    to: "",
  },
  {
    name: "acknowledge out of order",
    file: "src/partitions/partitions.ts",
    from: "(frames[count]?.sequence ?? Infinity) <= frameSeq) count++;",
    to: "(frames[count]?.sequence ?? Infinity) <= frameSeq + 1) count++;",
  },
  {
    name: "show records before they are durable",
    file: "src/partitions/partition.ts",
    from: "this.#writtenEnd = endOffset;",
    to: "this.#writtenEnd = endOffset;\n    this.#highWatermark = endOffset;",
  },
  {
    name: "forget producers in snapshots",
    file: "src/partitions/partition-state.ts",
    from: "(this.producers ?? new ProducerTable()).encode(writer);",
    to: "new ProducerTable().encode(writer);",
  },
  {
    name: "forget producers at recovery",
    file: "src/partitions/partition-state.ts",
    from: "this.producers.recover(batch, nowMs);",
    to: "void nowMs;",
  },
  {
    name: "do not undo a frame that was not written",
    file: "src/partitions/partitions.ts",
    from: "frame.undo();",
    to: "",
  },
  {
    name: "acknowledge a deletion of records that is not durable",
    file: "src/partitions/partition.ts",
    from: "const frame = this.#startFrame;\n",
    to: "const frame = target > this.#highWatermark ? this.#startFrame : undefined;\n",
  },
  {
    name: "answer a group before its records are durable",
    file: "src/broker/group-coordinator.ts",
    from: "frame.whenSettled(() => this.#wasSettled(step, frame.error));",
    to: "this.#wasSettled(step, undefined);",
  },
  {
    name: "apply metadata before it is durable",
    file: "src/broker/metadata-log.ts",
    from: "await allSettled(writes.map(({ outcome }) => outcome));",
    to: "await Promise.resolve();",
  },
  {
    name: "forget the offsets of a deleted topic only once",
    file: "src/broker/group-coordinator.ts",
    from: "if (!isLeft) return;",
    to: "if (!isLeft || !this.#isClosed) return;",
  },
];
