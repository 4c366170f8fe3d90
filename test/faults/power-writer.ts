// The process whose power is cut: writes to a store and says what became durable; or reads all of it.
//
//   node test/faults/power-writer.ts write|read DIRECTORY ROUND
import { nodeEnv } from "../../src/env/node/index.ts";
import { Broker } from "../../src/broker/index.ts";
import { type Partition, settled, whenSettled } from "../../src/partitions/index.ts";
import { RecordCursor } from "../../src/records/index.ts";
import { batchOf } from "../../sim/batches.ts";

const [, , mode, directory = "", round = "0"] = process.argv;
const topic = "power";

const broker = await Broker.open(nodeEnv(), {
  directory,
  advertised: () => ({ host: "localhost", port: 1 }),
  onFatal: (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(3);
  },
});
if (broker.topicNamed(topic) === undefined) {
  await broker.createTopics([{ name: topic, partitionCount: 1 }]);
}
const partition = broker.partition(topic, 0);
if (partition === undefined) throw new Error("the topic is there");
if (mode === "read") {
  await readAll(partition);
  await broker.close();
} else {
  await write(partition);
}

async function readAll(from: Partition): Promise<void> {
  const cursor = new RecordCursor();
  for (let next = from.logStartOffset; next < from.highWatermark;) {
    const fetched = await from.read(next, { bytesMax: 1 << 20, atLeastOneBatch: true });
    if (fetched === undefined) throw new Error(`nothing at ${next}`);
    for (let at = 0; at < fetched.bytes.length; at += cursor.header.sizeBytes) {
      cursor.reset(fetched.bytes, at);
      while (cursor.advance()) {
        const value = Buffer.from(cursor.value() ?? []).toString();
        process.stdout.write(`${cursor.offset} ${value.split(":")[0]}\n`);
      }
    }
    next = cursor.header.nextOffset;
    fetched.release();
  }
}

/** Eight writers, each with one batch under way; a line for each batch once it is durable. */
async function write(to: Partition): Promise<void> {
  let serial = 0;
  const writer = async (): Promise<void> => {
    for (;;) {
      const value = `${round}-${serial++}:${"x".repeat(serial % 900)}`;
      const nowMs = Date.now();
      const outcome = to.append(batchOf([value], nowMs), nowMs);
      await new Promise<void>((resolve) => whenSettled([outcome], resolve));
      const error = settled(outcome);
      if (error !== undefined) throw error;
      if (outcome.kind !== "appended") throw new Error(outcome.kind);
      process.stdout.write(`${outcome.baseOffset} ${value.split(":")[0]}\n`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, writer));
}
