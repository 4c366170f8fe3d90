import { hostname } from "node:os";
import { resolve } from "node:path";

import { Broker } from "../broker/index.ts";
import type { Address, Env, EventLog } from "../env/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import { HttpDoor, type HttpDoorOptions } from "../http/index.ts";
import { kafkaHandlers, KafkaListener } from "../kafka/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { observe, type ProcessWatch } from "./metrics.ts";

/** Requests in flight have this long to be answered when the server ends. */
const graceMs = 1_500;

export type HttpOptions = Pick<
  HttpDoorOptions,
  "corsOrigins" | "allowedHosts" | "proglogTopic" | "version"
>;

export interface ServerOptions {
  /** Where everything is kept; made where it is not there. */
  readonly directory: string;
  /** Port 0 takes a free one. 127.0.0.1, port 9092 by default. */
  readonly kafka?: Partial<Address> | undefined;
  /** 127.0.0.1, port 8080 by default. */
  readonly http?: Partial<Address> | undefined;
  /** What HTTP serves and whom; see docs/http.md. */
  readonly httpOptions?: HttpOptions | undefined;
  /** `fsync`, the default: acknowledged is on the disk. `os`: acknowledged is with the operating system. */
  readonly durability?: "fsync" | "os" | undefined;
  readonly nodeId?: number | undefined;
  /** Settings of the broker by Kafka's names. */
  readonly settings?: ReadonlyMap<string, string> | undefined;
  /** Where clients reach the Kafka port, where that is not where it listens. */
  readonly advertised?: Partial<Address> | undefined;
  /** Takes the events; nothing does by default. */
  readonly events?: EventLog | undefined;
  /** Called once, when nothing can be acknowledged any more: the process, or the program's use of this server, must end. */
  readonly onFatal?: ((error: LogError) => void) | undefined;
}

/** A server that answers on both ports. */
export interface RunningServer extends AsyncDisposable {
  readonly kafkaPort: number;
  readonly httpPort: number;
  readonly broker: Broker;
  /** Answers what is in flight, ends both ports, leaves a clean end in the directory. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the directory and serves it.
 * @throws LogError as the opening of the store; invalid_argument for an address that cannot be
 * listened on, not_allowed for one that this user may not listen on.
 * @example
 * await using server = await startServer({ directory: "./data", kafka: { port: 0 }, http: { port: 0 } });
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const env = nodeEnv(options.events === undefined ? {} : { events: options.events });
  const server = new Server(env, options);
  try {
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

class Server implements RunningServer {
  readonly #env: Env;
  readonly #options: ServerOptions;
  readonly #metrics = new MetricRegistry();
  #broker: Broker | undefined;
  #kafka: KafkaListener | undefined;
  #http: HttpDoor | undefined;
  #watch: ProcessWatch | undefined;
  #isReady = false;
  #closing: Promise<void> | undefined;

  constructor(env: Env, options: ServerOptions) {
    this.#env = env;
    this.#options = options;
  }

  get kafkaPort(): number {
    return this.#kafka?.port ?? 0;
  }

  get httpPort(): number {
    return this.#http?.port ?? 0;
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new LogError("closed", "the server is not open");
    return this.#broker;
  }

  async start(): Promise<void> {
    const { directory, durability, nodeId, settings } = this.#options;
    const env = this.#env;
    const startedMs = env.clock.monotonicMs();
    const broker = await Broker.open(env, {
      directory: resolve(directory),
      durability,
      nodeId,
      settings,
      metrics: this.#metrics,
      advertised: () => this.#advertised(),
      onFatal: (error) => this.#failed(error),
    });
    this.#broker = broker;
    this.#watch = observe(this.#metrics, () => this.#kafka?.stats());
    const handlers = kafkaHandlers({ env, broker, metrics: this.#metrics });
    const http = new HttpDoor(env, {
      ...this.#options.httpOptions,
      broker,
      isReady: () => this.#isReady,
      metrics: this.#metrics,
    });
    this.#metrics.seal();
    const kafkaAt = addressOf(this.#options.kafka, 9092);
    const httpAt = addressOf(this.#options.http, 8080);
    await listening(http.listen(httpAt), { what: "HTTP", at: httpAt });
    this.#http = http;
    this.#kafka = await listening(KafkaListener.listen(env, { at: kafkaAt, handlers }), {
      what: "Kafka",
      at: kafkaAt,
    });
    this.#isReady = true;
    env.events.info("serving", {
      directory: resolve(directory),
      kafka: `${kafkaAt.host}:${this.kafkaPort}`,
      http: `${httpAt.host}:${this.httpPort}`,
      topics: broker.listTopics().length,
      ms: Math.round(env.clock.monotonicMs() - startedMs),
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#isReady = false;
    await Promise.all([this.#kafka?.close(graceMs), this.#http?.close(graceMs)]);
    await this.#broker?.close();
    this.#watch?.stop();
  }

  #failed(error: LogError): void {
    this.#isReady = false;
    this.#env.events.error("fatal", { code: error.code, reason: error.message });
    this.#options.onFatal?.(error);
  }

  #advertised(): Address {
    const { kafka, advertised } = this.#options;
    const { host } = addressOf(kafka, 0);
    return {
      host: advertised?.host ?? (isEverywhere(host) ? hostname() : host),
      port: advertised?.port ?? this.kafkaPort,
    };
  }
}

function addressOf(given: Partial<Address> | undefined, port: number): Address {
  return { host: given?.host ?? "127.0.0.1", port: given?.port ?? port };
}

/** All addresses of the machine are none that a client could connect to. */
function isEverywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

const listenFaults: ReadonlyMap<
  string,
  readonly ["address_in_use" | "invalid_argument" | "not_allowed", reason: string]
> = new Map([
  ["EADDRINUSE", ["address_in_use", "the port is in use by another program"]],
  ["EADDRNOTAVAIL", ["invalid_argument", "this machine has no such address"]],
  ["ENOTFOUND", ["invalid_argument", "there is no such host"]],
  ["EACCES", ["not_allowed", "this user may not listen there"]],
]);

async function listening<T>(
  opening: Promise<T>,
  { what, at }: { readonly what: string; readonly at: Address },
): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const fault = listenFaults.get(code);
    if (fault === undefined) throw error;
    const [errorCode, reason] = fault;
    const message = `cannot listen on ${at.host}:${at.port} for ${what}: ${reason}`;
    throw new LogError(errorCode, message, { cause: error });
  }
}
