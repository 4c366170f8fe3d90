// One library of the matrix against a server: node test/clients/matrix.ts LIBRARY HOST:PORT
//
// The journey runs against the server at the address; for the kill -9 a server of its own is started.
import { quickGroups, startServer } from "../servers.ts";
import { CrashJudge, JourneyJudge } from "./judge.ts";
import { libraries } from "./libraries.ts";
import { Program } from "./program.ts";
import { bootstrapArgument, step } from "./steps.ts";
import { codecs } from "./wire.ts";

const bootstrap = bootstrapArgument();
const name = process.argv[2] ?? "";
const library = libraries[name];
if (!library) throw new Error(`no library is named ${name}`);
const lacks = new Set(library.lacks);
const isIdempotent = !lacks.has("idempotence");
/** Whole seconds, some while ago: neither expired nor in the future. */
const t0 = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000;

await journey();
await crash();

async function journey(): Promise<void> {
  const prefix = `${name}-${process.pid}`;
  await using program = start("journey", bootstrap, prefix);
  const judge = new JourneyJudge({ bootstrap, name: prefix, t0 });
  await step("create topics; a name is taken once", async () => {
    judge.created(await program.next("created"));
  });
  for (const codec of codecs) {
    const how = isIdempotent ? " idempotently" : "";
    await step(`write 10,000 records${how} with codec ${codec}, read them back`, async () => {
      const [produced, read] = [await program.next("produced"), await program.next("read")];
      await judge.produced(produced, codec);
      judge.read(read, codec);
    });
  }
  await step("a group of two through rebalances: each record once", async () => {
    const first = await program.next("group-first");
    const shared = await program.next("group-shared");
    const left = await program.next("group-left");
    judge.groupFirst(first);
    judge.groupShared(shared);
    judge.groupLeft(left);
  });
  await step("commit, and start again from the commit", async () => {
    const committed = await program.next("group-committed");
    const restarted = await program.next("group-restarted");
    judge.groupCommitted(committed);
    judge.groupRestarted(restarted);
  });
  await step("list offsets by time", async () => judge.offsets(await program.next("offsets")));
  await step("describe and alter a topic's settings", async () => {
    judge.config(await program.next("config"));
  });
  if (!lacks.has("deleting records")) {
    await step("delete records", async () => {
      judge.recordsDeleted(await program.next("records-deleted"));
    });
  }
  await step("delete topics", async () => {
    judge.topicsDeleted(await program.next("topics-deleted"));
    await program.end();
  });
}

async function crash(): Promise<void> {
  const once = isIdempotent ? "none twice" : "nothing lost";
  await step(`kill -9 twice while writing 10,000 records and reading: ${once}`, async () => {
    await using server = await startServer({ args: quickGroups });
    await using program = start("crash", server.bootstrap, name);
    const judge = new CrashJudge({ t0, isIdempotent });
    await program.next("created");
    for (let kill = 0; kill < 2; kill += 1) {
      await program.next("producing");
      await server.kill("SIGKILL");
      await server.restart();
    }
    judge.produced(await program.next("produced"));
    judge.consumed(await program.next("consumed"));
    judge.committed(await program.next("committed"));
    judge.read(await program.next("read"));
    await program.end();
  });
}

function start(scenario: "journey" | "crash", address: string, prefix: string): Program {
  return new Program([...(library?.command ?? []), address, scenario, prefix, String(t0)]);
}
