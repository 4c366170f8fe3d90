// The clients of bench/http, in a process of their own: raw sockets, so that they cost less than the server.
import { once } from "node:events";
import { connect, type Socket } from "node:net";

import type { LoadCase, LoadResult } from "./workloads.ts";

const [, , text = "{}"] = process.argv;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by run.ts of the same revision
const load = JSON.parse(text) as LoadCase;

/** Connections that are opened together. */
const idleAtOnce = 100;

interface Counts {
  operations: number;
  bytes: number;
}

const counts: Counts = { operations: 0, bytes: 0 };

async function open(): Promise<Socket> {
  const socket = connect({ host: load.host, port: load.port, noDelay: true });
  await new Promise<void>((resolve, reject) =>
    socket.once("connect", resolve).once("error", reject),
  );
  return socket;
}

/** One request after another on each connection. */
async function unary(): Promise<void> {
  const { body, path } = load;
  const request = Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  for (let count = 0; count < load.connections; count++) {
    const socket = await open();
    socket.on("data", (chunk: Buffer) => {
      if (chunk.toString("latin1", 9, 12) !== "200") throw new Error(chunk.toString());
      // The answers of these requests are small, and come in one piece.
      if (chunk.at(-1) !== 0x0a) return;
      counts.operations += load.recordsPerRequest;
      counts.bytes += body.length;
      socket.write(request);
    });
    socket.write(request);
  }
}

/** One body without end on each connection; acknowledgements come back meanwhile. */
async function stream(): Promise<void> {
  const chunk = Buffer.from(load.body);
  const head = `POST ${load.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\naccept: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n`;
  const piece = Buffer.concat([
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from("\r\n"),
  ]);
  const perRecord = chunk.length / load.recordsPerRequest;
  for (let count = 0; count < load.connections; count++) {
    const socket = await open();
    socket.write(head);
    const fill = (): void => {
      while (socket.write(piece));
    };
    socket.on("drain", fill);
    socket.on("data", (heard: Buffer) => {
      for (const [, acknowledged = "0"] of heard.toString("latin1").matchAll(/"count":(\d+)/g)) {
        counts.operations += Number(acknowledged);
        counts.bytes += Number(acknowledged) * perRecord;
      }
    });
    fill();
  }
}

/** The same answer again and again. */
async function read(): Promise<void> {
  const request = `GET ${load.path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n`;
  for (let count = 0; count < load.connections; count++) {
    const socket = await open();
    let last = "";
    socket.on("data", (chunk: Buffer) => {
      counts.bytes += chunk.length;
      last = (last + chunk.toString("latin1", Math.max(chunk.length - 5, 0))).slice(-5);
      if (last !== "0\r\n\r\n") return;
      counts.operations += load.recordsPerRequest;
      last = "";
      socket.write(request);
    });
    socket.write(request);
  }
}

/** Followers, each of which counts the events it hears. */
async function follow(): Promise<void> {
  const request = `GET ${load.path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`;
  for (let count = 0; count < load.connections; count++) {
    const socket = await open();
    const begun = new Promise<void>((resolve) => {
      socket.once("data", () => resolve());
    });
    socket.on("data", (chunk: Buffer) => {
      counts.bytes += chunk.length;
      for (let at = chunk.indexOf("\n\n"); at >= 0; at = chunk.indexOf("\n\n", at + 2))
        counts.operations++;
    });
    socket.write(request);
    await begun;
  }
}

/** Connections that ask once, and then nothing. */
async function idle(): Promise<void> {
  const request = `GET ${load.path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
  const ask = async (): Promise<void> => {
    const socket = await open();
    const answered = once(socket, "data");
    socket.write(request);
    await answered;
  };
  for (let count = 0; count < load.connections; count += idleAtOnce) {
    await Promise.all(Array.from({ length: idleAtOnce }, ask));
  }
}

const kinds = { unary, stream, read, follow, idle } as const;
await kinds[load.kind]();
process.send?.("ready");
await sleep(load.warmSecs);
const before = { ...counts };
const startMs = performance.now();
await sleep(load.secs);
const tookSecs = (performance.now() - startMs) / 1_000;
const result: LoadResult = {
  operationsPerSec: (counts.operations - before.operations) / tookSecs,
  megabytesPerSec: (counts.bytes - before.bytes) / tookSecs / 1e6,
};
process.stdout.write(JSON.stringify(result));
process.exit(0);

async function sleep(secs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, secs * 1_000));
}
