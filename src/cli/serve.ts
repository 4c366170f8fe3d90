import { resolve } from "node:path";

import { type Command, InvalidArgumentError, Option } from "commander";

import type { Address } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { LogLevel, RunningServer } from "../server/index.ts";
import { addressText, isLoopback, parseAddress } from "./address.ts";
import { version } from "./version.ts";

interface ServeOptions {
  readonly dir: string;
  readonly kafka: Address;
  readonly http: Address;
  readonly advertised: Address | undefined;
  readonly durability: "fsync" | "os";
  readonly nodeId: number;
  readonly set: ReadonlyMap<string, string>;
  readonly logLevel: LogLevel;
  readonly insecureListen: boolean;
  readonly "http.proglog"?: string;
  readonly "http.corsOrigin": readonly string[];
  readonly "http.allowedHost": readonly string[];
}

const examples = `
Examples:
  cordwood serve                                          ./data on 127.0.0.1:9092 and :8080
  cordwood serve --dir /var/lib/cordwood --kafka 127.0.0.1:19092
  cordwood serve --durability os --set log.retention.hours=24 --set num.partitions=3`;

export function registerServe(program: Command): void {
  program
    .command("serve")
    .description("serve a directory to clients of Kafka and HTTP until a signal ends it")
    .option("-d, --dir <directory>", "where everything is kept; made if need be", "./data")
    .addOption(addressOption("--kafka <host:port>", "the Kafka port", "127.0.0.1:9092"))
    .addOption(addressOption("--http <host:port>", "the HTTP port", "127.0.0.1:8080"))
    .addOption(
      new Option(
        "--advertised <host:port>",
        "where clients reach the Kafka port, if elsewhere",
      ).argParser(parseAddress),
    )
    .addOption(
      new Option("--durability <how>", "acknowledge when it is on the disk, or with the system")
        .choices(["fsync", "os"])
        .default("fsync"),
    )
    .option("--node-id <n>", "number of this broker", parseNodeId, 1)
    .option("--set <name=value>", "a setting by Kafka's name; repeatable", addSetting, new Map())
    .addOption(
      new Option("--log-level <level>", "least level of events on stderr")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .option("--http.proglog <topic>", "serve the REST contract of proglog at / over a topic")
    .option(
      "--http.cors-origin <origin>",
      "let pages of an origin use the HTTP port; * for all; repeatable",
      addName,
      [],
    )
    .option(
      "--http.allowed-host <name>",
      "a further name of an HTTP port on loopback; repeatable",
      addName,
      [],
    )
    .option("--insecure-listen", "let other machines connect, without authentication", false)
    .addHelpText("after", examples)
    .action((options: ServeOptions) => serve(options));
}

function addressOption(flags: string, description: string, standard: string): Option {
  return new Option(flags, description)
    .argParser(parseAddress)
    .default(parseAddress(standard), standard);
}

function parseNodeId(text: string): number {
  const nodeId = Number(text);
  if (/^\d{1,10}$/.test(text) && nodeId <= 0x7fff_ffff) return nodeId;
  throw new InvalidArgumentError("Expected a number from 0 to 2147483647.");
}

function addSetting(
  text: string,
  settings: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const split = text.indexOf("=");
  if (split < 1) throw new InvalidArgumentError("Expected NAME=VALUE.");
  return new Map([...settings, [text.slice(0, split), text.slice(split + 1)]]);
}

function addName(name: string, names: readonly string[]): readonly string[] {
  return [...names, name];
}

async function serve(options: ServeOptions): Promise<void> {
  for (const at of [options.kafka, options.http]) refuseStrangers(at, options.insecureListen);
  const { jsonEvents, startServer } = await import("../server/index.ts");
  const events = jsonEvents(options.logLevel);
  process.on("uncaughtException", (error: Error) => {
    events.error("uncaught error", { reason: error.message, stack: error.stack });
    process.exit(1);
  });
  const starting = startServer({
    directory: options.dir,
    kafka: options.kafka,
    http: options.http,
    httpOptions: {
      proglogTopic: options["http.proglog"],
      corsOrigins: options["http.corsOrigin"],
      allowedHosts: options["http.allowedHost"],
      version,
    },
    advertised: options.advertised,
    durability: options.durability,
    nodeId: options.nodeId,
    settings: options.set,
    events,
    // The server has logged why.
    onFatal: () => process.exit(1),
  });
  const ended = endBySignal(starting);
  const server = await starting;
  process.stdout.write(banner(options, server));
  await keepCompiled();
  await ended;
}

function refuseStrangers(at: Address, isInsecure: boolean): void {
  if (isInsecure || isLoopback(at.host)) return;
  throw new LogError(
    "not_allowed",
    `${addressText(at)} is open to other machines, and this server cannot authenticate anybody yet: listen on 127.0.0.1, or add --insecure-listen if everybody who reaches the port may read and write everything`,
  );
}

/** Resolves when a signal ended the server in order; a second signal does not wait for that. */
async function endBySignal(starting: Promise<RunningServer>): Promise<void> {
  const { promise: signalled, resolve: signal } = Promise.withResolvers<void>();
  for (const [name, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const) {
    process.once(name, () => {
      signal();
      process.once("SIGINT", () => process.exit(128 + number));
      process.once("SIGTERM", () => process.exit(128 + number));
    });
  }
  await signalled;
  const server = await starting;
  await server.close();
}

/** A server that ends by a signal or a crash would not write the compile cache; the next start is faster with it. */
async function keepCompiled(): Promise<void> {
  const { flushCompileCache } = await import("node:module");
  flushCompileCache();
}

function banner(options: ServeOptions, { kafkaPort, httpPort }: RunningServer): string {
  const kafka = addressText({ host: options.kafka.host, port: kafkaPort });
  const http = `http://${addressText({ host: options.http.host, port: httpPort })}`;
  const durability =
    options.durability === "fsync"
      ? "fsync (acknowledged = on the disk)"
      : "os (acknowledged = with the operating system)";
  return `cordwood ${version} is ready

  Kafka       ${kafka}
  HTTP        ${http}
  directory   ${resolve(options.dir)}
  durability  ${durability}

Try:
  echo hello | kcat -P -b ${kafka} -t greetings
  kcat -C -b ${kafka} -t greetings -o beginning -e
  curl -d '{"value":"hello"}' ${http}/topics/greetings/records
  curl ${http}/topics/greetings/partitions/0/records

`;
}
