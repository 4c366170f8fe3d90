// Kill -9 under load, again and again: what was acknowledged must be there, once, in order. Some of the
// servers stand still for a while (SIGSTOP) before they die.
//
//   npm run test:kill -- --rounds 50 --seed 7 --durability os
//
// Five batches of a producer may be on the way when the server dies, and all five are recognized when they
// come again. (Apache Kafka 4.3 knows the last one only after a restart: --in-flight 1 is what it passes.)
//
// The seed chooses moments and sizes; the machine's timing does the rest, so a seed repeats the plan of a
// run, not each byte of it.
import { parseArgs } from "node:util";

import { startServer, type TestServer } from "../servers.ts";
import { Random } from "./random.ts";
import { killUnderLoad } from "./scenario.ts";

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string" },
    durability: { type: "string", default: "os,fsync" },
    "in-flight": { type: "string", default: "5" },
  },
});
const rounds = Number(given.rounds);
const seed = Number(given.seed ?? Math.floor(Math.random() * 2 ** 31));
const inFlightMax = Number(given["in-flight"]);
if (
  !(inFlightMax >= 1 && inFlightMax <= 5) ||
  !(rounds >= 1) ||
  !Number.isInteger(rounds) ||
  !Number.isInteger(seed)
) {
  throw new Error("usage: --rounds N --seed N --durability os,fsync --in-flight 1..5");
}

let passed = 0;
let failed = 0;
say(`seed ${seed}; again: --rounds ${rounds} --seed ${seed} --durability ${given.durability}`);
for (const durability of given.durability.split(",")) await run(durability);
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** All rounds on one directory; each round counts as one, and so does the reading at the end. */
async function run(durability: string): Promise<void> {
  say(`durability ${durability}`);
  let server: TestServer | undefined;
  const report = (line: string): void => {
    passed += 1;
    say(`  ${line}`);
  };
  try {
    server = await startServer({ args: ["--durability", durability] });
    await killUnderLoad(server, { rounds, inFlightMax, random: new Random(seed), report });
    await server.stop();
  } catch (error) {
    failed += 1;
    await server?.kill("SIGKILL");
    say(`  FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    say(`  seed ${seed}, directory ${server?.dir} is kept; the server's last words:`);
    say(server?.output ?? "");
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
