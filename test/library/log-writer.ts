// Appends numbered records to a log until it is killed, and says what it was promised. Paced, it goes
// on only when it is told to, so that it is never far ahead of whoever reads beside it.
import { once } from "node:events";

import { type LogDurability, openLog } from "../../src/index.ts";

const [directory = "", durability = "fsync", pace = ""] = process.argv.slice(2);
const isKnown = (name: string): name is LogDurability => ["fsync", "os", "buffered"].includes(name);
if (!isKnown(durability)) throw new Error(durability);

const log = await openLog(directory, {
  durability,
  files: { walFileBytes: 1 << 18, segmentBytes: 1 << 18, checkpointBytes: 1 << 18 },
});
for (;;) {
  let last = 0;
  for (let count = 0; count < 50; count++) {
    const next = log.endOffset;
    last = log.append(Buffer.from(`${next} ${"x".repeat(next % 300)}`));
  }
  if (durability === "fsync") await log.flush();
  if (durability === "buffered") await new Promise((resolve) => setImmediate(resolve));
  process.stdout.write(`${last}\n`);
  if (pace === "paced") await once(process.stdin, "data");
  else await new Promise((resolve) => setImmediate(resolve));
}
