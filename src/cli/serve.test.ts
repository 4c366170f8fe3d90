import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import { parseAddress } from "./address.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

class Run {
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  out = "";
  err = "";

  /** A process that a failed test leaves behind is killed with it. */
  constructor(context: TestContext, args: readonly string[]) {
    this.child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.out += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.err += text));
    this.#ended = once(this.child, "close");
    context.after(() => this.child.kill("SIGKILL"));
  }

  /** Waits for the exit code. */
  async ended(): Promise<unknown> {
    const [code] = await this.#ended;
    return code;
  }

  /** Waits until it is ready; fails with what it said where it ends instead. */
  async ready(): Promise<void> {
    const isEnded = this.#ended.then(() => assert.fail(`it ended: ${this.err}`));
    const isReady = (async () => {
      while (!this.out.includes("curl")) await once(this.child.stdout ?? assert.fail(), "data");
    })();
    await Promise.race([isReady, isEnded]);
  }
}

async function directoryOf(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "cordwood-serve-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const free = ["--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"] as const;

test("serve says where it is and what to try, and ends in order on a signal", async (context) => {
  const directory = await directoryOf(context);
  const run = new Run(context, ["serve", "--dir", directory, ...free]);
  await run.ready();
  assert.match(run.out, /Kafka +127\.0\.0\.1:[1-9]\d+/);
  assert.match(run.out, /fsync \(acknowledged = on the disk\)/);
  assert.ok(run.out.includes(directory));
  assert.match(run.out, /kcat -C -b 127\.0\.0\.1:\d+ -t greetings/);
  // A second one on the same directory is refused in one sentence, as a conflict.
  const second = new Run(context, ["serve", "--dir", directory, ...free]);
  assert.equal(await second.ended(), 4, second.err);
  assert.match(second.err, /^cordwood: .*\n$/);
  run.child.kill("SIGTERM");
  assert.equal(await run.ended(), 0);
  const events = run.err.trim().split("\n");
  for (const event of events) assert.doesNotThrow(() => JSON.parse(event), event);
});

test("serve takes what HTTP is to serve and to whom, and ends those who follow", async (context) => {
  const directory = await directoryOf(context);
  const origin = "https://console.example";
  const http = ["--http.proglog", "book", "--http.cors-origin", origin];
  const run = new Run(context, ["serve", "--dir", directory, ...free, ...http]);
  await run.ready();
  const [url = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(run.out) ?? [];
  const body = JSON.stringify({ record: { value: "aGk=" } });
  const produced = await fetch(url, { method: "POST", body, headers: { origin } });
  assert.equal(await produced.text(), '{"offset":0}\n');
  assert.equal(produced.headers.get("access-control-allow-origin"), origin);
  const following = await fetch(`${url}/topics/book/events?range=start`);
  const heard = following.text();
  run.child.kill("SIGTERM");
  assert.match(await heard, /^retry: 1000\n\nid: 1\ndata: .*"text":"hi"/);
  assert.equal(await run.ended(), 0);
});

test("serve refuses addresses that other machines reach, unless told that it may", async (context) => {
  const directory = await directoryOf(context);
  const run = new Run(context, ["serve", "--dir", directory, "--kafka", "0.0.0.0:0"]);
  assert.equal(await run.ended(), 5);
  assert.match(run.err, /^cordwood: 0\.0\.0\.0:0 is open to other machines.*--insecure-listen/);
  const allowed = new Run(context, [
    "serve",
    "-d",
    directory,
    ...free,
    "--kafka",
    "0.0.0.0:0",
    "--insecure-listen",
  ]);
  await allowed.ready();
  allowed.child.kill("SIGINT");
  assert.equal(await allowed.ended(), 0);
});

test("serve says in one sentence why it cannot start", async (context) => {
  const directory = await directoryOf(context);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", () => resolve()));
  context.after(() => taken.close());
  const address = taken.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  const rows = [
    { args: [...free, "--kafka", `127.0.0.1:${port}`], exit: 4, says: /port is in use/ },
    {
      args: [...free, "--set", "num.partitons=2"],
      exit: 2,
      says: /did you mean "num\.partitions"/,
    },
    {
      args: ["--dir", join(main, "below"), ...free],
      exit: 5,
      says: /main\.ts\/below cannot be written/,
    },
  ];
  for (const { args, exit, says } of rows) {
    const run = new Run(context, ["serve", "--dir", directory, "--log-level", "silent", ...args]);
    assert.equal(await run.ended(), exit, run.err);
    assert.match(run.err, says);
    assert.match(run.err, /^cordwood: [^\n]*\n$/);
  }
});

test("an option that is none is answered with the nearest, and a bad value with what was expected", async (context) => {
  const rows = [
    { args: ["--durabilty", "os"], says: /Did you mean --durability\?/ },
    { args: ["--durability", "maybe"], says: /Allowed choices are fsync, os/ },
    { args: ["--kafka", "nowhere"], says: /Expected HOST:PORT/ },
    { args: ["--node-id", "-1"], says: /Expected a number from 0/ },
    { args: ["--set", "=x"], says: /Expected NAME=VALUE/ },
  ];
  for (const { args, says } of rows) {
    const run = new Run(context, ["serve", ...args]);
    assert.equal(await run.ended(), 2, args.join(" "));
    assert.match(run.err, says);
  }
});

test("an address is a host and a port, or a port of this machine", () => {
  assert.deepEqual(parseAddress("localhost:9092"), { host: "localhost", port: 9092 });
  assert.deepEqual(parseAddress("[::1]:0"), { host: "::1", port: 0 });
  assert.deepEqual(parseAddress("19092"), { host: "127.0.0.1", port: 19_092 });
  for (const text of ["", "host", "host:", "host:70000", "a b:1", "::1:9092", ":x"]) {
    assert.throws(() => parseAddress(text), /Expected HOST:PORT/, text);
  }
});
