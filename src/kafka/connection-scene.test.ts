// What the tests of the connection layer stand on: clients, time and turns by hand, and requests.

import assert from "node:assert/strict";

import type { Connection, ConnectionHandler, Env } from "../env/index.ts";
import { MessageWriter } from "./codec/writer.ts";
import type { Exchange, Handlers } from "./exchange.ts";
import { encodeRequest } from "./header.ts";
import type { KafkaLimits } from "./limits.ts";
import { KafkaListener } from "./listener.ts";
import { type ApiName, type RequestBody, apiNames } from "./registry.ts";

/** The client's end of a connection, and the small machine it runs on: time and turns by hand. */
export class Client implements Connection {
  readonly remote: string;
  unsentBytes = 0;
  handler: ConnectionHandler | undefined;
  isPaused = false;
  isClosed = false;
  isEnded = false;
  /** Whether what is written is taken at once. */
  isReading = true;
  readonly writes: Buffer[] = [];
  readonly #machine: Machine;
  #waiting: (() => void)[] = [];

  constructor(machine: Machine, remote: string) {
    this.#machine = machine;
    this.remote = remote;
  }

  start(handler: ConnectionHandler): void {
    this.handler = handler;
  }

  write(parts: readonly Uint8Array[], sent: () => void = () => {}): void {
    this.writes.push(Buffer.concat(parts));
    this.#waiting.push(sent);
    this.unsentBytes += this.writes.at(-1)?.length ?? 0;
    if (this.isReading) this.#machine.soon(() => this.read());
  }

  /** Takes what was written, as a client that reads. */
  read(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.unsentBytes === 0) return;
    this.unsentBytes = 0;
    for (const sent of waiting) sent();
    if (!this.isClosed) this.handler?.drained();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#machine.soon(() => {
      this.read();
      this.handler?.closed();
    });
  }

  /** Sends bytes in pieces as large as the other side offers memory for. */
  send(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length && !this.isClosed;) {
      const target = this.handler?.target() ?? new Uint8Array(0);
      assert.ok(target.length > 0, "memory is offered for every read");
      const count = Math.min(target.length, bytes.length - done);
      target.set(bytes.subarray(done, done + count));
      done += count;
      this.handler?.received(count);
    }
  }

  /** Correlation ids of all answers, in the order they came. */
  get answered(): number[] {
    return framesOf(Buffer.concat(this.writes)).map((frame) => frame.readInt32BE(0));
  }
}

export function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = bytes.readInt32BE(at);
    frames.push(bytes.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return frames;
}

const unused = (): never => assert.fail("the connection layer has no use for this");

export class Machine {
  nowMs = 0;
  readonly events: string[] = [];
  #soon: (() => void)[] = [];
  readonly #later: { atMs: number; task: () => void; isCancelled: boolean }[] = [];
  accept: (connection: Connection) => void = () => {};
  #clients = 0;

  soon(task: () => void): void {
    this.#soon.push(task);
  }

  /** One turn of the event loop, or several while there is something to do. */
  turn(count = 1): void {
    for (let left = count; left > 0 && this.#soon.length > 0; left--) {
      const tasks = this.#soon;
      this.#soon = [];
      for (const task of tasks) task();
    }
  }

  settle(): void {
    this.turn(1_000);
  }

  pass(ms: number): void {
    const end = this.nowMs + ms;
    for (;;) {
      const due = this.#later.filter((timer) => !timer.isCancelled && timer.atMs <= end);
      const next = due.toSorted((left, right) => left.atMs - right.atMs)[0];
      if (next === undefined) break;
      next.isCancelled = true;
      this.nowMs = next.atMs;
      next.task();
      this.settle();
    }
    this.nowMs = end;
  }

  connect(remote?: string): Client {
    this.#clients += 1;
    const client = new Client(this, remote ?? `10.0.0.1:${this.#clients}`);
    this.accept(client);
    return client;
  }

  get env(): Env {
    const note = (level: string) => (message: string, fields?: object) => {
      this.events.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
    return {
      clock: { wallMs: unused, monotonicMs: () => this.nowMs },
      timers: {
        soon: (task) => this.soon(task),
        after: (ms, task) => {
          const timer = { atMs: this.nowMs + ms, task, isCancelled: false };
          this.#later.push(timer);
          return { cancel: () => void (timer.isCancelled = true) };
        },
      },
      random: { fill: unused, uuid: unused },
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- never touched
      disk: new Proxy({}, { get: unused }) as Env["disk"],
      network: {
        connect: unused,
        serveHttp: unused,
        listen: async (at, accept) => {
          this.accept = accept;
          return { port: at.port, close: async () => {} };
        },
      },
      events: {
        debug: note("debug"),
        info: note("info"),
        warn: note("warn"),
        error: note("error"),
      },
    };
  }
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one for each name
const unexpected = Object.fromEntries(
  apiNames.map((name) => [name, () => assert.fail(`no ${name} was expected`)]),
) as unknown as Handlers;

export interface Scene {
  readonly machine: Machine;
  readonly listener: KafkaListener;
}

export async function listening(
  handlers: Partial<Handlers>,
  limits: Partial<KafkaLimits> = {},
): Promise<Scene> {
  const machine = new Machine();
  const listener = await KafkaListener.listen(machine.env, {
    at: { host: "127.0.0.1", port: 9092 },
    handlers: { ...unexpected, ApiVersions: () => ({ errorCode: 0, apiKeys: [] }), ...handlers },
    limits,
  });
  return { machine, listener };
}

export function request<K extends ApiName>(
  name: K,
  version: number,
  correlationId: number,
  body: RequestBody<K>,
): Buffer {
  const writer = new MessageWriter();
  const options = { version, correlationId, clientId: "test" };
  return Buffer.concat(encodeRequest(writer, name, options, body));
}

export const hello = (correlationId: number): Buffer =>
  request("ApiVersions", 3, correlationId, {});
export const heartbeat = (correlationId: number): Buffer =>
  request("Heartbeat", 4, correlationId, { groupId: "g", generationId: 1, memberId: "m" });

export function produce(correlationId: number, records: Uint8Array, acks = 1): Buffer {
  const partitionData = [{ index: 0, records }];
  const topicData = [{ name: "t", partitionData }];
  return request("Produce", 9, correlationId, { acks, timeoutMs: 100, topicData });
}

export const noError = { errorCode: 0 } as const;

/** Heartbeats that are answered when the test says so. */
export function held(): { exchanges: Exchange<"Heartbeat">[]; handlers: Partial<Handlers> } {
  const exchanges: Exchange<"Heartbeat">[] = [];
  const Heartbeat: Handlers["Heartbeat"] = (_request, exchange) => {
    exchanges.push(exchange);
    return undefined;
  };
  return { exchanges, handlers: { Heartbeat } };
}
