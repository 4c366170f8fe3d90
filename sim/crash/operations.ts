/** What workloads are made of. A new operation of the product joins by one line in the table. */
import type { Stage } from "./stage.ts";

export interface Operation {
  readonly name: string;
  /** Starts it; what it does not wait for is under way while the next operation begins. */
  readonly run: (stage: Stage) => Promise<void> | void;
}

export const operations: readonly Operation[] = [
  { name: "append", run: (stage) => alone(stage, () => stage.append("a", 1)) },
  { name: "append-idempotent", run: (stage) => alone(stage, () => stage.appendIdempotent("a")) },
  { name: "resend", run: (stage) => alone(stage, () => stage.resend()) },
  { name: "append-two", run: (stage) => alone(stage, () => appendTwo(stage)) },
  { name: "roll", run: (stage) => alone(stage, () => stage.append("a", 5)) },
  { name: "flush", run: (stage) => stage.settle() },
  { name: "sync-now", run: (stage) => syncNow(stage) },
  { name: "idle", run: (stage) => idle(stage) },
  { name: "checkpoint", run: (stage) => stage.checkpoint() },
  { name: "checkpoint-named", run: (stage) => stage.beginCheckpoint() },
  { name: "trim", run: (stage) => trim(stage) },
  { name: "compact", run: (stage) => stage.compact() },
  { name: "retain", run: (stage) => retain(stage) },
  { name: "commit", run: (stage) => commit(stage) },
  { name: "create-topic", run: (stage) => createTopic(stage) },
  { name: "delete-topic", run: (stage) => deleteTopic(stage) },
  { name: "kill", run: (stage) => stage.reopen() },
  { name: "close", run: (stage) => close(stage) },
  { name: "power-lost", run: (stage) => stage.cutPower(() => false) },
  { name: "power-kept", run: (stage) => stage.cutPower(() => true) },
  { name: "power-mixed", run: (stage) => stage.cutPower((index) => index % 2 === 1) },
];

/** What every workload finds: three topics with records, a group with an offset, a checkpoint. */
export async function prepare(stage: Stage): Promise<void> {
  await stage.createTopic("a");
  await stage.createTopic("b");
  await stage.createTopic("old", { "retention.ms": "1" });
  await stage.takeProducerId();
  await stage.checkpoint();
  stage.append("old", 1);
  await stage.settle();
  // A segment that holds nothing else, so that it can go.
  await stage.checkpoint();
  stage.append("a", 1);
  stage.append("b", 1);
  stage.appendIdempotent("a");
  await stage.settle();
  commit(stage);
  await stage.settle();
  await stage.checkpoint();
}

function alone(stage: Stage, append: () => void): void {
  append();
  stage.turn();
}

function appendTwo(stage: Stage): void {
  stage.append("old", 1);
  if (stage.topic("b") !== undefined) stage.append("b", 1);
  stage.append("a", 1);
}

/** What a log of bytes does for a program that waits: the device, whatever is under way in the background. */
function syncNow(stage: Stage): void {
  stage.append("a", 1);
  const partition = stage.broker.partition("a", 0)?.owned();
  partition?.write();
  partition?.syncNow();
}

/** So long that a quiet log says how far it is synced. */
async function idle(stage: Stage): Promise<void> {
  await stage.settle();
  await stage.env.run(
    new Promise<void>((resolve) => {
      stage.env.timers.after(150, resolve);
    }),
  );
}

function trim(stage: Stage): void {
  const partition = stage.broker.partition("a", 0);
  if (partition === undefined) throw new Error("a is there");
  const deletion = stage.ledger.deletionSent(stage.placeOf("a"), partition.highWatermark);
  const deleting = async (): Promise<void> => {
    await partition.deleteRecords(deletion.before);
    deletion.ackedAt = stage.ledger.now();
  };
  stage.start(deleting());
  stage.turn();
}

function retain(stage: Stage): void {
  stage.ledger.retained(stage.placeOf("old"));
  stage.broker.partition("old", 0)?.retain(stage.env.clock.wallMs() + 1_000);
  stage.turn();
}

function commit(stage: Stage): void {
  const offset = stage.nextCommit();
  const facts = stage.ledger.commitSent(`group|a|${stage.placeOf("a")}`, offset);
  const committing = async (): Promise<void> => {
    const [answer] = await stage.broker.commitOffsets({
      groupId: "group",
      generationId: undefined,
      memberId: undefined,
      groupInstanceId: undefined,
      offsets: [
        { topic: { name: "a" }, partition: 0, offset, leaderEpoch: undefined, metadata: "" },
      ],
    });
    if (answer?.errorCode === undefined) facts.ackedAt = stage.ledger.now();
  };
  stage.start(committing());
  stage.turn();
}

function createTopic(stage: Stage): Promise<void> | void {
  if (stage.broker.topicNamed("new") !== undefined) return;
  return stage.createTopic("new");
}

async function deleteTopic(stage: Stage): Promise<void> {
  const facts = stage.topic("b");
  if (facts === undefined) return;
  facts.deleteSentAt = stage.ledger.now();
  const [deleted] = await stage.env.run(stage.broker.deleteTopics([{ name: "b" }]));
  if (deleted?.errorCode === undefined) facts.deleteAckedAt = stage.ledger.now();
}

async function close(stage: Stage): Promise<void> {
  await stage.close();
  await stage.reopen();
}
