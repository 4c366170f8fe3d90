/**
 * The REST contract of proglog (the log of "Distributed Services with Go"), as its programs know it:
 * `POST /` appends a record, `GET /` with an offset in its body reads one.
 */
import type { Broker } from "../broker/index.ts";
import type { HttpExchange } from "../env/index.ts";
import { LogError, outcomes } from "../errors/index.ts";
import { PartitionReading } from "./partition-reading.ts";
import { decodeBase64 } from "./record-parser.ts";
import type { Request } from "./request.ts";
import { bodyBytesMax } from "./record-routes.ts";
import type { Route } from "./router.ts";

/** What Go's server finds in the first bytes of an object of JSON. */
const text = { "content-type": "text/plain; charset=utf-8" } as const;

export class ProglogRoutes {
  readonly #broker: Broker;
  readonly #topic: string;

  /** All is kept in partition 0 of the topic, which is made where it is not there. */
  constructor(broker: Broker, topic: string) {
    this.#broker = broker;
    this.#topic = topic;
  }

  get routes(): readonly Route[] {
    return [
      {
        method: "POST",
        path: "/",
        handle: (request) => answering(request, () => this.#produce(request)),
      },
      {
        method: "GET",
        path: "/",
        handle: (request) => answering(request, () => this.#consume(request)),
      },
    ];
  }

  async #produce(request: Request): Promise<string> {
    const given = memberOf(memberOf(await bodyOf(request), "record"), "value") ?? "";
    const value = typeof given === "string" ? decodeBase64(given) : undefined;
    if (value === undefined) {
      throw new LogError("invalid_argument", "the value of a record is base64");
    }
    if (this.#broker.topicNamed(this.#topic) === undefined) await this.#create();
    const topic = this.#broker.topicNamed(this.#topic);
    if (topic === undefined) throw new LogError("topic_not_found", `no topic "${this.#topic}"`);
    const writer = this.#broker.writer(topic);
    const { nowMs } = writer;
    const stored = { timestamp: nowMs, key: undefined, value, headers: [] };
    return `{"offset":${await writer.append(0, stored)}}\n`;
  }

  async #consume(request: Request): Promise<string> {
    const asked = request.query("offset") ?? memberOf(await bodyOf(request), "offset") ?? 0;
    const offset = Number(asked);
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new LogError("invalid_argument", "an offset is a number from 0 on");
    }
    const partition = this.#broker.partition(this.#topic, 0);
    if (partition === undefined || offset < partition.logStartOffset) throw notFound();
    const reading = new PartitionReading(partition, offset, { end: offset + 1, limit: 1 });
    const found: string[] = [];
    await reading.step((cursor) => {
      found.push(Buffer.from(cursor.value() ?? empty).toString("base64"));
    });
    const [value] = found;
    if (value === undefined) throw notFound();
    return `{"record":{"value":"${value}","offset":${offset}}}\n`;
  }

  async #create(): Promise<void> {
    const [created] = await this.#broker.createTopics([{ name: this.#topic, partitionCount: 1 }]);
    if (created?.errorCode === undefined || created.errorCode === "topic_exists") return;
    throw new LogError(created.errorCode, created.errorMessage ?? created.errorCode);
  }
}

const empty = new Uint8Array(0);

function notFound(): LogError {
  return new LogError("offset_out_of_range", "offset not found");
}

/** Errors are lines of text there. */
async function answering(request: Request, answer: () => Promise<string>): Promise<void> {
  const { exchange } = request;
  try {
    exchange.answer(200, text, await answer());
  } catch (thrown) {
    if (!(thrown instanceof LogError)) throw thrown;
    const status = thrown.code === "offset_out_of_range" ? 404 : outcomes[thrown.code].http;
    exchange.answer(
      status,
      { ...text, "x-content-type-options": "nosniff" },
      `${thrown.message}\n`,
    );
  }
}

/** Whether a request for `/` is that of a browser, which wants a page and not a record. */
export function wantsPage({ method, headers }: HttpExchange): boolean {
  const accept = headers["accept"];
  return method !== "POST" && typeof accept === "string" && accept.includes("text/html");
}

async function bodyOf(request: Request): Promise<unknown> {
  const body = await request.body(bodyBytesMax);
  if (body.length === 0) return {};
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    // What is wrong with it is the sender's to find.
    throw new LogError("invalid_argument", "the body is no JSON");
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(name);
}
