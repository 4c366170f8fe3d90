// What the tests of this room share: a whole door over a broker in memory, asked over real sockets.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";

import { Broker } from "../broker/index.ts";
import { type Env, MemoryDisk } from "../env/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { HttpDoor, type HttpDoorOptions } from "./index.ts";

export const host = "127.0.0.1";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text parsed, where it is JSON. */
  readonly json: unknown;
}

export class Scene {
  readonly env: Env;
  readonly broker: Broker;
  readonly door: HttpDoor;
  readonly disk: MemoryDisk;
  readonly url: string;
  isReady = true;

  // oxlint-disable-next-line max-params -- its parts
  constructor(env: Env, disk: MemoryDisk, broker: Broker, door: HttpDoor) {
    this.env = env;
    this.disk = disk;
    this.broker = broker;
    this.door = door;
    this.url = `http://${host}:${door.port}`;
  }

  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const { body } = options;
    const headers = { "content-type": "application/json", ...options.headers };
    const isText = typeof body === "string" || body instanceof Uint8Array;
    const sent = body === undefined || isText ? body : JSON.stringify(body);
    const response = await fetch(this.url + path, {
      method,
      headers,
      ...(sent === undefined ? {} : { body: sent }),
    });
    const heard = await response.text();
    const isJson = /[/+]json$/.test(response.headers.get("content-type") ?? "");
    const json: unknown = isJson && heard !== "" ? JSON.parse(heard) : undefined;
    return { status: response.status, headers: response.headers, text: heard, json };
  }

  /** A GET that may have a body. */
  async get(path: string, body?: unknown): Promise<Answer> {
    const sent = body === undefined ? "" : JSON.stringify(body);
    const length = { "content-length": Buffer.byteLength(sent) };
    const sending = request(this.url + path, { method: "GET", headers: length });
    const answered = once(sending, "response");
    sending.end(sent);
    const [response] = await answered;
    const headers = new Headers(response.headers);
    return { status: response.statusCode, headers, text: await text(response), json: undefined };
  }

  /** What a topic holds now, as the door shows it. */
  async records(topic: string, partition = 0): Promise<unknown> {
    return (await this.ask("GET", `/topics/${topic}/partitions/${partition}/records`)).json;
  }

  async socket(context: TestContext): Promise<Socket> {
    const socket = connect({ host, port: this.door.port });
    socket.on("error", () => {});
    context.after(() => socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  async createTopic(
    name: string,
    partitionCount = 1,
    settings: Record<string, string> = {},
  ): Promise<void> {
    const topic = { name, partitionCount, settings: new Map(Object.entries(settings)) };
    const [created] = await this.broker.createTopics([topic]);
    assert.equal(created?.errorCode, undefined, created?.errorMessage);
  }
}

export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

type Options = Partial<Omit<HttpDoorOptions, "broker" | "metrics" | "isReady">> & {
  readonly settings?: ReadonlyMap<string, string>;
  readonly disk?: MemoryDisk;
};

export async function openScene(context: TestContext, options: Options = {}): Promise<Scene> {
  const disk = options.disk ?? new MemoryDisk();
  const env = { ...nodeEnv(), disk };
  const metrics = new MetricRegistry();
  const broker = await Broker.open(env, {
    directory: "/log",
    durability: "fsync",
    advertised: () => ({ host, port: 1 }),
    onFatal: assert.ifError,
    metrics,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  });
  const { settings: _, disk: __, ...more } = options;
  const door = new HttpDoor(env, { broker, metrics, isReady: () => scene.isReady, ...more });
  metrics.seal();
  await door.listen({ host, port: 0 });
  const scene: Scene = new Scene(env, disk, broker, door);
  context.after(async () => {
    await door.close();
    await broker.close();
  });
  return scene;
}

/** Asserts that an answer is a problem document, and answers what it says. */
export function problemOf(answer: Answer): Record<string, unknown> {
  assert.equal(answer.headers.get("content-type"), "application/problem+json", answer.text);
  const { json } = answer;
  assert.ok(typeof json === "object" && json !== null);
  const problem: Record<string, unknown> = { ...json };
  assert.equal(problem["status"], answer.status);
  return problem;
}
