// Bounds of a server, seen from outside.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { type Broker, freshDirectory, removeDirectory, startCordwood } from "../server/brokers.ts";
import { memoryOf } from "../server/machine.ts";
import { runLoad } from "../server/programs.ts";
import type { Bound } from "./bound.ts";
import { at, startStrain, wellBehavedP99 } from "./strain.ts";

/** Nothing may keep the event loop longer. */
const stallMsMax = 100;
/** A client beside a strain is held to the goal of a client at 10,000 messages a second, ten times over. */
const besideP99MsMax = 40;
const partitionCount = 10_000;
const partitionBytesMax = 4_096;
/** 512 segments, and room for the log, the ports and the connections of a bench. */
const descriptorsMax = 640;
const connectionCount = 1_000;
const connectionBytesMax = 32 * 1_024;
/** What the server may have unsent for one connection, and what it reads ahead. */
const stalledBytesMax = 8 * 2 ** 20 + 2 * 2 ** 20;
const stalledCount = 8;
/** Garbage that was not collected yet is no growth. */
const garbageMb = 48;
const settleMs = 2_000;

/** 10,000 partitions: how long making them stalls the others, what they take, what they hold open. */
export async function manyPartitions(load: string): Promise<Bound[]> {
  const directory = freshDirectory("partitions");
  const serve = (): Promise<Broker> => startCordwood({ durability: "os", directory });
  const topic = ["-topic", "many", "-partitions", String(partitionCount)];
  const empty = await serve();
  const emptyMb = await settledMb(empty);
  const ping = await startStrain(load, ["ping", ...at(empty)]);
  await runLoad(load, ["create", ...at(empty), ...topic]);
  const { max: stallMs = Infinity } = await ping.end();
  const createdMb = await settledMb(empty);
  await empty.stop("SIGTERM");

  const full = await serve();
  const restartedMb = await settledMb(full);
  await runLoad(load, ["touch", ...at(full), ...topic, "-per-request", "500"]);
  const descriptors = openFiles(full);
  await full.stop("SIGTERM");
  removeDirectory(directory);
  const each = (mb: number): number => (mb * 1e6) / partitionCount;
  const one = `one of ${partitionCount} idle partitions`;
  return [
    bound(`creating ${partitionCount} partitions, longest stall`, stallMs, stallMsMax, "ms"),
    bound(`${one}, memory after creation`, each(createdMb - emptyMb), partitionBytesMax, "B"),
    bound(`${one}, memory after restart`, each(restartedMb - emptyMb), partitionBytesMax, "B"),
    bound(
      `${partitionCount} partitions written and read, descriptors`,
      descriptors,
      descriptorsMax,
      "",
    ),
  ];
}

/** 1,000 connections: what each takes, and a client beside them. */
export async function manyConnections(load: string): Promise<Bound[]> {
  const server = await startCordwood({ durability: "os" });
  // What the server allocates once, it has then.
  await wellBehavedP99(load, server);
  const beforeMb = await settledMb(server);
  const count = ["-connections", String(connectionCount)];
  const held = await startStrain(load, ["hold", ...at(server), ...count]);
  const each = (((await settledMb(server)) - beforeMb) * 1e6) / connectionCount;
  const p99 = await wellBehavedP99(load, server);
  await held.end();
  await server.stop();
  return [
    bound(`one of ${connectionCount} idle connections, memory`, each, connectionBytesMax, "B"),
    bound(`${connectionCount} idle connections, another client's p99`, p99, besideP99MsMax, "ms"),
  ];
}

/** Consumers that ask for much and read nothing: bounded memory, others unharmed. */
export async function stalledConsumers(load: string): Promise<Bound[]> {
  const server = await startCordwood({ durability: "os" });
  const many = ["-connections", String(stalledCount), "-in-flight", "400"];
  const fill = ["-fill", String(64 * 2 ** 20)];
  // What filling the topic takes is not the consumers' doing.
  await runLoad(load, ["write", ...at(server), ...fill]);
  await wellBehavedP99(load, server);
  const beforeMb = await settledMb(server);
  const stalled = await startStrain(load, ["stall", ...at(server), ...many, ...fill]);
  const grownMb = (await settledMb(server)) - beforeMb;
  const p99 = await wellBehavedP99(load, server);
  await stalled.end();
  await server.stop();
  const limitMb = (stalledCount * stalledBytesMax) / 1e6 + garbageMb;
  return [
    bound(`${stalledCount} consumers that stopped reading, memory`, grownMb, limitMb, "MB"),
    bound(
      `${stalledCount} consumers that stopped reading, another's p99`,
      p99,
      besideP99MsMax,
      "ms",
    ),
  ];
}

/** Producers of 1 MiB batches, as fast as they can, and a client with small records beside them. */
export async function largeBesideSmall(load: string): Promise<Bound[]> {
  const server = await startCordwood({ durability: "os" });
  const batches = ["-value", "1024", "-batch", "1048576", "-bytes", "3000000000"];
  const four = ["-connections", "4", "-partitions", "4", "-warm", "1s", "-length", "10s"];
  const large = runLoad(load, ["produce", ...at(server), ...four, ...batches]);
  let isOver = false;
  const ended = large.finally(() => (isOver = true));
  await delay(500);
  const p99 = await wellBehavedP99(load, server);
  if (isOver) throw new Error("the producers of large batches ended too early to be felt");
  // The rest of what they would write is of no interest.
  await server.stop();
  await ended.catch(() => undefined);
  return [bound("4 producers of 1 MiB batches, a small client's p99", p99, stallMsMax, "ms")];
}

// oxlint-disable-next-line max-params -- a row
function bound(what: string, figure: number, limit: number, unit: string): Bound {
  return { what, figure, limit, unit };
}

async function settledMb(broker: Broker): Promise<number> {
  await delay(settleMs);
  return memoryOf(pidOf(broker)).rssMb;
}

function openFiles(broker: Broker): number {
  return readdirSync(join("/proc", String(pidOf(broker)), "fd")).length;
}

function pidOf({ pid, name }: Broker): number {
  if (pid === undefined) throw new Error(`the process of ${name} is not known`);
  return pid;
}
