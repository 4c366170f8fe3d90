import type { Address, Connection, Env, Timer } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { MessageWriter, type Source } from "../codec/writer.ts";
import { correlationIdAt, decodeResponse, encodeRequest } from "../header.ts";
import { type ApiName, type RequestBody, type ResponseOf, apiNameOf, apis } from "../registry.ts";
import { mustSucceed } from "./errors.ts";
import { FrameReader } from "./frame-reader.ts";

export interface ConnectionOptions {
  readonly clientId: string;
  readonly connectMsMax: number;
  readonly requestMsMax: number;
}

/** Called once when the connection is over, also where it never was open. */
type Ended = () => void;

export interface CallOptions {
  /** The newest version to use, where the caller wants none of what came later. */
  readonly versionMax?: number;
  /** Time for the answer beyond the usual: for calls that wait at the server by intent. */
  readonly waitMs?: number;
}

interface Parts {
  readonly env: Env;
  readonly address: Address;
  readonly options: ConnectionOptions;
  readonly connection: Connection;
  readonly ended: Ended;
}

interface Pending {
  /** Decodes and settles. */
  readonly answered: (source: Source, sizeBytes: number) => void;
  readonly failed: (error: LogError) => void;
  readonly timer: Timer;
}

const SOFTWARE_NAME = "cordwood";
const SOFTWARE_VERSION = "1";
const UNSUPPORTED_VERSION = 35;

/**
 * One connection to one broker: questions leave in the order they are asked, without waiting for the
 * answers before. A question that gets no answer in time ends the connection, because answers come
 * in order and nothing after it can be trusted to come.
 */
export class BrokerConnection {
  readonly address: Address;
  readonly #env: Env;
  readonly #options: ConnectionOptions;
  readonly #connection: Connection;
  readonly #writer = new MessageWriter();
  readonly #pending = new Map<number, Pending>();
  /** Version to use for each API that both sides know. */
  readonly #versions = new Map<ApiName, number>();
  #nextCorrelationId = 1;
  /** Messages handed to the connection whose memory it may still read. */
  #unsent = 0;
  /** Why the connection is over; undefined while it is not. */
  #failure: LogError | undefined;
  readonly #ended: Ended;

  /** @throws LogError unreachable, timeout, unsupported, protocol_violation */
  static async open(
    env: Env,
    address: Address,
    options: ConnectionOptions,
    ended: Ended,
  ): Promise<BrokerConnection> {
    let opened: BrokerConnection | undefined;
    try {
      const connection = await connectInTime(env, address, options.connectMsMax);
      opened = new BrokerConnection({ env, address, options, connection, ended });
      await opened.#negotiate();
      return opened;
    } catch (thrown) {
      if (opened === undefined) ended();
      else opened.close();
      throw thrown;
    }
  }

  private constructor(parts: Parts) {
    const { connection } = parts;
    this.#env = parts.env;
    this.address = parts.address;
    this.#options = parts.options;
    this.#connection = connection;
    this.#ended = parts.ended;
    const frames = new FrameReader((source, sizeBytes) => this.#answered(source, sizeBytes));
    connection.start({
      target: () => frames.target(),
      received: (count) => this.#guarded(() => frames.received(count)),
      drained() {},
      closed: (error) => this.#fail(this.#lost(error)),
    });
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** Version that would be used; undefined where the server does not know the API. */
  versionOf(name: ApiName): number | undefined {
    return this.#versions.get(name);
  }

  /**
   * Asks and waits for the answer. Errors inside the answer are the caller's to look at.
   * @throws LogError unreachable, timeout, unsupported, protocol_violation
   */
  async request<K extends ApiName>(
    name: K,
    body: RequestBody<K>,
    options: CallOptions = {},
  ): Promise<ResponseOf<K>> {
    const version = this.#versionFor(name, options.versionMax);
    return this.#ask(name, version, body, options.waitMs ?? 0);
  }

  /** Sends a message that the server does not answer; settles when the system has its bytes. */
  async tell<K extends ApiName>(name: K, body: RequestBody<K>): Promise<void> {
    const version = this.#versionFor(name, undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#send(name, version, this.#takeCorrelationId(), { body, sent: resolve });
    await promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Closes at once; what waits for an answer fails. Idempotent. */
  close(): void {
    this.#fail(new LogError("closed", `the connection to ${this.#name} was closed`));
  }

  get #name(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  #versionFor(name: ApiName, versionMax: number | undefined): number {
    const version = this.#versions.get(name);
    if (version === undefined) {
      throw new LogError("unsupported", `the server at ${this.#name} has no ${name}`);
    }
    return Math.min(version, versionMax ?? version);
  }

  async #negotiate(): Promise<void> {
    let answer = await this.#askVersions(apis.ApiVersions.versionMax);
    if (answer.errorCode === UNSUPPORTED_VERSION) {
      // It names its own range then, and has to be asked again to tell the rest.
      const own = answer.apiKeys.find(({ apiKey }) => apiKey === apis.ApiVersions.key);
      answer = await this.#askVersions(Math.min(own?.maxVersion ?? 0, apis.ApiVersions.versionMax));
    }
    mustSucceed(answer.errorCode, `versions of ${this.#name}`);
    for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
      const name = apiNameOf(apiKey);
      if (name === undefined) continue;
      const version = Math.min(apis[name].versionMax, maxVersion);
      if (version >= Math.max(apis[name].versionMin, minVersion)) this.#versions.set(name, version);
    }
  }

  async #askVersions(version: number): Promise<ResponseOf<"ApiVersions">> {
    const body = {
      clientSoftwareName: SOFTWARE_NAME,
      clientSoftwareVersion: SOFTWARE_VERSION,
    };
    return this.#ask("ApiVersions", version, body, 0);
  }

  // oxlint-disable-next-line max-params
  async #ask<K extends ApiName>(
    name: K,
    version: number,
    body: RequestBody<K>,
    waitMs: number,
  ): Promise<ResponseOf<K>> {
    if (this.#failure !== undefined) throw this.#failure;
    const correlationId = this.#takeCorrelationId();
    const { promise, resolve, reject } = Promise.withResolvers<ResponseOf<K>>();
    this.#send(name, version, correlationId, { body });
    const msMax = this.#options.requestMsMax + waitMs;
    this.#pending.set(correlationId, {
      answered: (source, sizeBytes) => {
        resolve(decodeResponse(name, spokenVersion(name, version, source), source, 0, sizeBytes));
      },
      failed: reject,
      timer: this.#env.timers.after(msMax, () => this.#timedOut(name, msMax)),
    });
    return promise;
  }

  // oxlint-disable-next-line max-params
  #send<K extends ApiName>(
    name: K,
    version: number,
    correlationId: number,
    message: { readonly body: RequestBody<K>; readonly sent?: () => void },
  ): void {
    if (this.#failure !== undefined) throw this.#failure;
    const header = { version, correlationId, clientId: this.#options.clientId };
    const parts = encodeRequest(this.#writer, name, header, message.body);
    this.#unsent++;
    this.#connection.write(parts, () => {
      this.#unsent--;
      if (this.#unsent === 0) this.#writer.rewind();
      message.sent?.();
    });
  }

  #takeCorrelationId(): number {
    const taken = this.#nextCorrelationId;
    this.#nextCorrelationId = taken === 0x7fff_ffff ? 1 : taken + 1;
    return taken;
  }

  #answered(source: Source, sizeBytes: number): void {
    const correlationId = correlationIdAt(source, 0, sizeBytes);
    const pending = this.#pending.get(correlationId);
    if (pending === undefined) {
      throw new LogError("protocol_violation", `${this.#name} answers what was not asked`);
    }
    // Still pending while it is decoded: an answer that cannot be read fails its question too.
    pending.answered(source, sizeBytes);
    this.#pending.delete(correlationId);
    pending.timer.cancel();
  }

  #timedOut(name: ApiName, msMax: number): void {
    this.#fail(new LogError("timeout", `${this.#name} gave no answer to ${name} in ${msMax} ms`));
  }

  #guarded(task: () => void): void {
    try {
      task();
    } catch (thrown) {
      this.#fail(LogError.from(thrown));
    }
  }

  #lost(cause: Error | undefined): LogError {
    const reason = cause === undefined ? "was closed by the server" : `broke: ${cause.message}`;
    return new LogError("unreachable", `the connection to ${this.#name} ${reason}`, { cause });
  }

  #fail(error: LogError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#connection.destroy();
    for (const pending of this.#pending.values()) {
      pending.timer.cancel();
      pending.failed(error);
    }
    this.#pending.clear();
    this.#ended();
  }
}

/** A server that does not know the version of ApiVersions asked for answers in version 0, with an error. */
function spokenVersion(name: ApiName, version: number, source: Source): number {
  if (name !== "ApiVersions") return version;
  return source.bytes.length >= 6 && source.view.getInt16(4) === UNSUPPORTED_VERSION ? 0 : version;
}

async function connectInTime(env: Env, address: Address, msMax: number): Promise<Connection> {
  const name = `${address.host}:${address.port}`;
  const { promise: late, reject } = Promise.withResolvers<never>();
  let isLate = false;
  const timer = env.timers.after(msMax, () => {
    isLate = true;
    reject(new LogError("unreachable", `${name} does not answer within ${msMax} ms`));
  });
  const connecting = env.network.connect(address).then((connection) => {
    if (isLate) connection.destroy();
    return connection;
  });
  try {
    return await Promise.race([connecting, late]);
  } catch (cause) {
    if (cause instanceof LogError) throw cause;
    throw new LogError("unreachable", `cannot connect to ${name}: ${reasonOf(cause)}`, { cause });
  } finally {
    timer.cancel();
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // Node gathers the failures of a name with several addresses and leaves the message empty.
  if (cause.message === "" && cause instanceof AggregateError) return reasonOf(cause.errors[0]);
  return cause.message;
}
