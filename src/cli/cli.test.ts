// The command line from outside: child processes, against a server by HTTP and by Kafka, and against a directory.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";

import { cordwoodMain, startServer, type TestServer, until } from "../../test/servers.ts";

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  readonly input?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

async function run(at: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [cordwoodMain, ...args], {
    env: { ...process.env, CORDWOOD_URL: at, ...options.env },
  });
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => out.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => err.push(text));
  await once(child, "close");
  return { code: child.exitCode, out: out.join(""), err: err.join("") };
}

/** Runs what must go well, and gives its output. */
async function ok(at: string, args: readonly string[], input?: string): Promise<string> {
  const { code, out, err } = await run(at, args, { input });
  assert.equal(code, 0, `cordwood ${args.join(" ")}: ${err}`);
  return out;
}

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the output holds
function rows(out: string): any[] {
  return out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** A command that runs on until it is told to end, or the test is over. */
function start(context: TestContext, args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [cordwoodMain, ...args]);
  context.after(() => child.kill("SIGKILL"));
  return child;
}

function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `line ${index}\n`).join("");
}

const protocols = ["http", "kafka"] as const;

function urlOf(server: TestServer, protocol: (typeof protocols)[number]): string {
  return protocol === "http" ? server.httpUrl : `kafka://${server.bootstrap}`;
}

for (const protocol of protocols) {
  describe(`on a server, by ${protocol}`, () => onServer(protocol));
}

function onServer(protocol: (typeof protocols)[number]): void {
  const isKafka = protocol === "kafka";
  let server: TestServer;
  let at = "";
  before(async () => {
    server = await startServer({ args: ["--set", "group.initial.rebalance.delay.ms=0"] });
    at = urlOf(server, protocol);
  });
  after(async () => server.stop());

  test("what is produced is consumed, in every shape", async () => {
    await ok(at, ["topic", "create", "shapes", "-p", "2", "--set", "retention.ms=100000"]);
    const [receipt] = rows(await ok(at, ["produce", "shapes", "-k", "k", "-H", "a=b"], "one\ntwo"));
    assert.equal(receipt.records, 2);
    const [first, second, ...rest] = rows(await ok(at, ["consume", "shapes"]));
    assert.deepEqual(rest, []);
    assert.equal(second.value, "two");
    const { timestamp, ...fixed } = first;
    assert.deepEqual(fixed, {
      topic: "shapes",
      partition: receipt.partition,
      offset: 0,
      key: "k",
      headers: { a: "b" },
      value: "one",
    });
    assert.ok(Math.abs(Date.now() - timestamp) < 60_000);
    assert.equal(await ok(at, ["consume", "shapes", "--output", "raw"]), "one\ntwo\n");
    const format = await ok(at, ["consume", "shapes", "-o", "-1", "-f", "%t %o %k %s %h\\n"]);
    assert.equal(format, "shapes 1 k two a=b\n");
    assert.equal(await ok(at, ["consume", "shapes", "-n", "1", "--output", "raw"]), "one\n");
    assert.equal(await ok(at, ["tail", "shapes", "-n", "1", "-o", "raw"]), "two\n");
    assert.deepEqual(rows(await ok(at, ["tail", "shapes", "-n", "0"])), []);
    const partition = String(receipt.partition);
    assert.equal(await ok(at, ["get", "shapes", partition, "1", "-o", "raw"]), "two\n");
    assert.equal(await ok(at, ["count", "shapes", "--output", "raw"]), "2\n");
    assert.deepEqual(rows(await ok(at, ["count", "shapes", "-o", "1..", "--exact"])), [
      { topic: "shapes", count: 1 },
    ]);
    const [described] = rows(await ok(at, ["topic", "describe", "shapes"]));
    assert.deepEqual(described.settings, { "retention.ms": "100000" });
    assert.equal(described.partitions[receipt.partition].endOffset, 2);
    assert.match(await ok(at, ["topic", "list", "-o", "table"]), /^TOPIC +PARTITIONS +BYTES\n/);
  });

  test("a group goes on where it was, can be moved, and is forgotten when told", async () => {
    await ok(at, ["topic", "create", "grouped", "-p", "3"]);
    await ok(at, ["produce", "grouped", "-p", "1"], lines(5));
    const consume = ["consume", "grouped", "-g", "g", "--output", "raw"];
    assert.equal(await ok(at, [...consume, "-n", "2"]), "line 0\nline 1\n");
    assert.equal(await ok(at, consume), "line 2\nline 3\nline 4\n");
    assert.equal(await ok(at, consume), "");
    const lag = rows(await ok(at, ["group", "lag", "g"]));
    assert.deepEqual(
      lag
        .filter(({ partition }) => partition === 1)
        .map((row) => [row.offset, row.endOffset, row.lag]),
      [[5, 5, 0]],
    );
    const dry = rows(await ok(at, ["group", "seek", "g", "grouped", "--to", "-1", "--dry-run"]));
    assert.deepEqual(
      dry.map(({ offset }) => offset),
      [0, 4, 0],
    );
    assert.equal(await ok(at, consume), "");
    await ok(at, ["group", "seek", "g", "grouped", "--to", "-1", "--yes"]);
    assert.equal(await ok(at, consume), "line 4\n");
    const listed = rows(await ok(at, ["group", "list"])).map(({ group, state }) => [group, state]);
    assert.deepEqual(listed, [["g", "Empty"]]);
    await ok(at, ["group", "delete", "g", "--yes"]);
    assert.equal((await run(at, ["group", "describe", "g"])).code, 3);
  });

  test("keys come from a field of the line, and a line without it is named", async () => {
    await ok(at, ["topic", "create", "keyed", "-p", "1"]);
    await ok(
      at,
      ["produce", "keyed", "--key-from", "user.id"],
      '{"user":{"id":7}}\n{"user.id":"x"}\n',
    );
    const keys = rows(await ok(at, ["consume", "keyed", "--json"])).map(({ key }) => key);
    assert.deepEqual(keys, ["7", "x"]);
    const wrong = await run(at, ["produce", "keyed", "--key-from", "id"], {
      input: '{"id":1}\n{}\n',
    });
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /line 2: there is no field id/);
    assert.equal(rows(wrong.out)[0].records, 1, "what came before is written");
  });

  test("what cannot be undone is not done without --yes, and told before", async () => {
    await ok(at, ["topic", "create", "precious"]);
    await ok(at, ["produce", "precious", "-p", "0"], lines(10));
    for (const verb of ["delete", "truncate"]) {
      const refused = await run(at, ["topic", verb, "precious"]);
      assert.equal(refused.code, 2);
      assert.match(refused.err, /10 records[^]*add --yes/);
      const dry = await run(at, ["topic", verb, "precious", "--dry-run"]);
      assert.equal(dry.code, 0);
      assert.equal(rows(dry.out)[0].records, 10);
    }
    assert.equal(await ok(at, ["count", "precious", "--output", "raw"]), "10\n");
    await ok(at, ["topic", "truncate", "precious", "--before", "-3", "--yes"]);
    assert.equal(await ok(at, ["count", "precious", "--output", "raw"]), "3\n");
    const gone = await run(at, ["get", "precious", "0", "0"]);
    assert.equal(gone.code, 3);
    assert.match(gone.err, /no offset 0, the log holds 7 up to 9/);
    await ok(at, ["topic", "delete", "precious", "--yes"]);
    assert.equal((await run(at, ["count", "precious"])).code, 3);
  });

  test("a topic is compacted on request over HTTP; Kafka's protocol has no word for it", async () => {
    await ok(at, ["topic", "create", "states", "-p", "1"]);
    const states = '{"id":"a","n":1}\n{"id":"b","n":1}\n{"id":"a","n":2}\n';
    await ok(at, ["produce", "states", "--key-from", "id"], states);
    const compact = ["topic", "compact", "states"];
    const isHttp = at.startsWith("http");
    const refused = await run(at, compact);
    assert.equal(refused.code, 2);
    assert.match(refused.err, /a newer one has the same key[^]*add --yes/);
    if (!isHttp) {
      const unspoken = await run(at, [...compact, "--yes"]);
      assert.notEqual(unspoken.code, 0);
      assert.match(unspoken.err, /Kafka's protocol has no call[^]*--at http/);
      return;
    }
    const [report] = rows(await ok(at, [...compact, "--yes"]));
    assert.equal(report.recordsRemoved, 1);
    const left = rows(await ok(at, ["consume", "states", "--json"]));
    assert.deepEqual(
      left.map(({ offset, key }) => [offset, key]),
      [
        [1, "b"],
        [2, "a"],
      ],
    );
    // Where the settings say so nobody is asked.
    await ok(at, ["topic", "alter", "states", "--set", "cleanup.policy=compact"]);
    assert.equal(rows(await ok(at, compact))[0].recordsRemoved, 0);
  });

  test("topics grow and take settings; what is wrong ends with its exit code", async () => {
    await ok(at, ["topic", "create", "growing", "-p", "1"]);
    const alter = ["topic", "alter", "growing"];
    const [altered] = rows(await ok(at, [...alter, "-p", "3", "--set", "retention.ms=5"]));
    assert.deepEqual(altered, {
      topic: "growing",
      partitions: 3,
      settings: { "retention.ms": "5" },
    });
    const codes: readonly (readonly [args: readonly string[], code: number])[] = [
      [["topic", "create", "growing"], 4],
      [["topic", "create", "growing", "--if-not-exists"], 0],
      [["topic", "create", "no good"], 2],
      [[...alter, "--set", "no.such=1"], 2],
      [[...alter, "-p", "2"], 2],
      [alter, 2],
      [["consume", "nope"], 3],
      [["consume", "growing", "-o", "x"], 2],
      [["consume", "growing", "-f", "%?"], 2],
      [["consume", "growing", "-g", "g", "-p", "0"], 2],
      [["consume", "growing", "-p", "3"], 3],
      [["produce", "growing", "-p", "3"], 3],
      [["produce", "growing", "/no/such/file"], 2],
      [["produce", "growing", "--acks", "2"], 2],
      ...(isKafka ? [] : ([[["produce", "growing", "--acks", "0"], 2]] as const)),
      [["group", "lag", "nope"], 3],
    ];
    const check = async ([args, code]: (typeof codes)[number]): Promise<void> => {
      const ended = await run(at, args, { input: "x\n" });
      assert.equal(ended.code, code, `cordwood ${args.join(" ")}: ${ended.err}`);
      assert.equal(ended.err === "", code === 0, ended.err);
      assert.doesNotMatch(ended.err, /internal/);
    };
    await Promise.all(codes.map(check));
  });

  test("a hundred thousand lines of a file go in and come out in order", async () => {
    const directory = await mkdtemp(join(tmpdir(), "cordwood-cli-"));
    const file = join(directory, "lines");
    await writeFile(file, lines(100_000));
    await ok(at, ["topic", "create", "many", "-p", "1"]);
    const produce = ["produce", "many", file, ...(isKafka ? ["--codec", "zstd"] : [])];
    const { out, err, code } = await run(at, produce);
    assert.equal(code, 0, err);
    assert.match(err, /^100000 records.* kB, in .* s \(\d+\/s\)\n$/);
    assert.equal(rows(out)[0].lastOffset, 99_999);
    assert.equal(
      await ok(at, ["consume", "many", "--output", "raw"]),
      await readFile(file, "utf8"),
    );
    await rm(directory, { recursive: true });
  });

  test("a reader that goes away ends the command without complaint", async (context) => {
    await ok(at, ["topic", "create", "piped", "-p", "1"]);
    await ok(at, ["produce", "piped"], lines(50_000));
    const child = start(context, ["consume", "piped", "--at", at]);
    const err: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => err.push(text));
    await once(child.stdout, "data");
    child.stdout.destroy();
    await once(child, "close");
    assert.equal(child.exitCode, 0);
    assert.equal(err.join(""), "");
  });

  test("whoever follows prints what comes, ends by a signal, and leaves its group", async (context) => {
    await ok(at, ["topic", "create", "followed", "-p", "1"]);
    const args = ["consume", "followed", "--follow", "-g", "followers", "--output", "raw"];
    const child = start(context, [...args, "--at", at]);
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    await ok(at, ["produce", "followed"], "one\n");
    await until("the first record is printed", () => out === "one\n");
    await ok(at, ["produce", "followed"], "two\n");
    await until("the second record is printed", () => out === "one\ntwo\n");
    const closed = once(child, "close");
    child.kill("SIGINT");
    await closed;
    assert.equal(child.exitCode, 130);
    const [group] = rows(await ok(at, ["group", "describe", "followers"]));
    assert.deepEqual([group.state, group.members], ["Empty", []]);
    assert.equal(rows(await ok(at, ["group", "lag", "followers"]))[0].offset, 2);
  });

  test("a group with members is not moved and not deleted", async (context) => {
    await ok(at, ["topic", "create", "busy", "-p", "1"]);
    // Members come by Kafka's protocol alone; what they keep others from is the same by both.
    const kafka = urlOf(server, "kafka");
    const args = ["consume", "busy", "--follow", "-g", "workers", "--at", kafka];
    const child = start(context, args);
    await until("the group has a member", async () => {
      const { out, code } = await run(at, ["group", "describe", "workers"]);
      return code === 0 && rows(out)[0].state === "Stable";
    });
    const seek = ["group", "seek", "workers", "busy", "--to", "start", "--yes"];
    assert.equal((await run(at, seek)).code, 4);
    assert.equal((await run(at, ["group", "delete", "workers", "--yes"])).code, 4);
    if (!isKafka) assert.equal((await run(at, ["consume", "busy", "-g", "workers"])).code, 4);
    const [{ members }] = rows(await ok(at, ["group", "describe", "workers"]));
    assert.deepEqual(
      members.map((member: { readonly assignment: unknown }) => member.assignment),
      [[{ topic: "busy", partition: 0 }]],
    );
    const closed = once(child, "close");
    child.kill("SIGTERM");
    await closed;
    assert.equal(child.exitCode, 143);
  });

  test("a directory that a server holds is refused", async () => {
    const ended = await run(server.dir, ["topic", "list"]);
    assert.equal(ended.code, 4);
    assert.match(ended.err, /in use by another process/);
  });
}

describe("on a directory", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "cordwood-cli-"));
  });
  after(async () => rm(directory, { recursive: true }));

  test("commands do there what they do on a server", async () => {
    const at = `file:${directory}/store`;
    await ok(at, ["topic", "create", "t", "-p", "2"]);
    await ok(at, ["produce", "t", "-p", "1"], "one\ntwo\nthree\n");
    assert.equal(await ok(at, ["tail", "t", "-n", "2", "-o", "raw"]), "two\nthree\n");
    const consume = ["consume", "t", "-g", "g", "--output", "raw"];
    assert.equal(await ok(at, [...consume, "-n", "2"]), "one\ntwo\n");
    assert.equal(await ok(at, consume), "three\n");
    assert.equal(rows(await ok(at, ["group", "lag", "g"])).length, 1);
    await ok(at, ["topic", "delete", "t", "--yes"]);
    assert.equal((await run(at, ["consume", "t"])).code, 3);
  });

  test("a directory that is not there is made by writing alone", async () => {
    const at = `file:${directory}/other`;
    const missing = await run(at, ["topic", "list"]);
    assert.equal(missing.code, 3);
    assert.match(missing.err, /no such directory/);
    await ok(at, ["produce", "t"], "x\n");
    assert.equal(await ok(at, ["consume", "t", "--output", "raw"]), "x\n");
  });

  test("its files are listed, dumped and verified, and damage is found", async () => {
    const store = join(directory, "inspected");
    await ok(store, ["produce", "t", "-p", "0"], lines(100));
    const listed = rows(await ok("", ["storage", "list", store]));
    assert.deepEqual([...new Set(listed.map(({ row }) => row))], ["store", "file", "partition"]);
    assert.match(await ok("", ["storage", "list", store, "-o", "table"]), /TOPIC ID +PARTITION/);
    const batches = rows(await ok("", ["storage", "dump", store]));
    const ours = batches.find(({ recordCount }) => recordCount === 100);
    assert.equal(ours.lastOffset, 99);
    const only = ["--topic-id", ours.topicId, "-p", "0"];
    assert.equal(rows(await ok("", ["storage", "dump", store, ...only])).length, 1);
    assert.equal(rows(await ok("", ["storage", "verify", store]))[0].problems, 0);

    const path = ours.path.startsWith("/") ? ours.path : join(store, ours.path);
    const bytes = await readFile(path);
    const at = ours.position + 80;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const damaged = await run("", ["storage", "verify", store]);
    assert.equal(damaged.code, 1);
    assert.match(damaged.err, /1 problem/);
    assert.equal((await run("", ["storage", "verify", `${store}/none`])).code, 3);
  });
});

function exported(fields: Readonly<Record<string, unknown>>): string {
  const whole = { partition: 0, timestamp: 1_700_000_000_000, key: null, headers: [], ...fields };
  return `${JSON.stringify(whole)}\n`;
}

function withoutOffsets(out: string): unknown[] {
  return rows(out)
    .map((record) => ({ ...record, offset: undefined }))
    .toSorted((left, right) => left.partition - right.partition);
}

describe("export and import", () => {
  let server: TestServer;
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "cordwood-cli-"));
    server = await startServer();
  });
  after(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test("records go from a directory to a server and back, and nothing of them changes", async () => {
    const at = `file:${directory}/one`;
    const sent = [
      exported({
        key: "k",
        value: "ü\n\u0000",
        headers: [
          ["h", "1"],
          ["a", null],
          ["h", { base64: "/w==" }],
        ],
      }),
      exported({ key: { base64: "/v8=" }, value: { base64: "AAH/" }, timestamp: 5 }),
      exported({ partition: 1, key: "", value: "" }),
      exported({ partition: 1, key: "k", value: null, timestamp: 1_700_000_000_001 }),
    ].join("");
    await ok(at, ["topic", "import", "t", "--partitions", "2"], sent);
    const first = await ok(at, ["topic", "export", "t"]);
    assert.deepEqual(withoutOffsets(first), withoutOffsets(sent));
    await writeFile(join(directory, "export.ndjson"), first);
    const file = join(directory, "export.ndjson");
    for (const protocol of protocols) {
      const there = urlOf(server, protocol);
      const codec = protocol === "kafka" ? ["--codec", "zstd"] : [];
      const name = `by-${protocol}`;
      await ok(there, ["topic", "import", name, file, "--partitions", "2", ...codec]);
      const second = await ok(there, ["topic", "export", name]);
      assert.deepEqual(withoutOffsets(second), withoutOffsets(sent));
      const last = await ok(there, ["topic", "export", name, "-p", "1", "-o", "-1"]);
      assert.equal(rows(last).length, 1);
      const single = `${name}-single`;
      await ok(there, ["topic", "import", single, file, "--partitions", "1", "--replace"]);
      assert.equal(rows(await ok(there, ["topic", "export", single])).length, 4);
    }
  });

  test("a line that is wrong is named, and those before it are written", async () => {
    const at = `file:${directory}/two`;
    const input = `${exported({ value: "a" })}${exported({ value: "b" })}{"value":7}\n${exported({ value: "c" })}`;
    const wrong = await run(at, ["topic", "import", "t", "--partitions", "1"], { input });
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /line 3: the value is 7; expected a text/);
    assert.equal(rows(await ok(at, ["topic", "export", "t"])).length, 2);
    const far = await run(at, ["topic", "import", "t"], {
      input: exported({ partition: 1, value: "d" }),
    });
    assert.equal(far.code, 3);
    assert.match(far.err, /line 1: t has 1 partition, and no 1/);
    const missing = await run(at, ["topic", "import", "none"], { input });
    assert.equal(missing.code, 3);
    const file = join(directory, "bad.ndjson");
    await writeFile(file, "{}\n");
    assert.match(
      (await run(at, ["topic", "import", "t", file])).err,
      /bad\.ndjson:1: there is no value/,
    );
  });
});

test("a server is at the standard address where nothing else is said", async () => {
  const help = await ok("", ["topic", "list", "--help"]);
  assert.match(help.replaceAll(/\s+/g, " "), /default: "http:\/\/127\.0\.0\.1:8080"/);
});

test("nobody at the address is unreachable, a wrong address is usage", async () => {
  assert.equal((await run("kafka://127.0.0.1:1", ["topic", "list"])).code, 6);
  assert.equal((await run("http://127.0.0.1:1", ["topic", "list"])).code, 6);
  assert.equal((await run("ftp://127.0.0.1:1", ["topic", "list"])).code, 2);
  assert.equal((await run("", ["topic", "list", "--at", "127.0.0.1:1"])).code, 6);
});

test("each command has help with three examples", async () => {
  const commands = [
    ...["produce", "consume", "tail", "get", "count", "version"].map((name) => [name]),
    ...["list", "create", "describe", "alter", "delete", "truncate", "compact", "export"].map(
      (name) => ["topic", name],
    ),
    ["topic", "import"],
    ...["list", "describe", "lag", "seek", "delete"].map((name) => ["group", name]),
    ...["list", "dump", "verify", "compact"].map((name) => ["storage", name]),
  ];
  await Promise.all(commands.map(hasExamples));
});

async function hasExamples(command: readonly string[]): Promise<void> {
  const help = await ok("", [...command, "--help"]);
  const [, examples = ""] = help.split("Examples:\n");
  assert.equal(examples.split("\n").filter((line) => line.includes("cordwood")).length, 3, help);
}

test("a start takes no more than a blink", async () => {
  let fastestMs = Infinity;
  for (let attempt = 0; attempt < 3; attempt++) {
    const startedMs = performance.now();
    assert.match(await ok("", ["version", "-o", "raw"]), /^\d+\.\d+\.\d+\tv/);
    fastestMs = Math.min(fastestMs, performance.now() - startedMs);
  }
  assert.ok(fastestMs < 500, `${fastestMs} ms, on whatever machine this is`);
});
