/** The server behind a store: its calls, asked again while it is away. */
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import { LogError } from "../errors/index.ts";
import { ClusterService } from "../proto/index.ts";
import { type CallOptions, Connection } from "./connect.ts";
import { Patience } from "./patience.ts";
import { type Platform, webPlatform } from "./platform.ts";

/** How long one answer is waited for. A sync of a slow device, or a first look for keys, takes its time. */
const ANSWER_MS_MAX = 30_000;

const PATIENCE_MS = 60_000;

export interface RemoteStoreOptions {
  /** How long a server that does not answer is asked again before a call fails with unreachable. Default one minute. */
  readonly patienceMs?: number | undefined;
  /** Go with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export class Server {
  readonly url: string;
  /** Aborted when the store is closed. */
  readonly ending: AbortSignal;
  readonly #connection: Connection;
  readonly #platform: Platform;
  readonly #patienceMs: number;

  private constructor(
    connection: Connection,
    platform: Platform,
    { ending, patienceMs }: { readonly ending: AbortSignal; readonly patienceMs: number },
  ) {
    this.url = connection.url;
    this.ending = ending;
    this.#connection = connection;
    this.#platform = platform;
    this.#patienceMs = patienceMs;
  }

  /**
   * Meets the server once, so that a wrong address shows here.
   * @throws LogError invalid_argument, unreachable, protocol_violation.
   */
  static async open(
    url: string,
    options: RemoteStoreOptions & { readonly ending: AbortSignal },
    platform: Platform = webPlatform,
  ): Promise<Server> {
    const { ending, patienceMs = PATIENCE_MS, headers = {} } = options;
    const connection = new Connection(baseOf(url), platform, headers);
    const server = new Server(connection, platform, { ending, patienceMs });
    await server.unary(ClusterService.method.describeCluster, {});
    return server;
  }

  patience(): Patience {
    return new Patience(this.#platform, this.#patienceMs);
  }

  delay(ms: number, signal: AbortSignal): Promise<void> {
    return this.#platform.delay(ms, signal);
  }

  /** Asks once. @throws LogError what the server answers, unreachable, closed. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
    options: CallOptions = { signal: this.ending, timeoutMs: ANSWER_MS_MAX },
  ): Promise<MessageShape<O>> {
    return this.#connection.unary(method, message, options);
  }

  /** Asks until there is an answer: for what may be done twice without harm. */
  async asked<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const patience = this.patience();
    for (;;) {
      try {
        return await this.unary(method, message);
      } catch (thrown) {
        await patience.failed(LogError.from(thrown), this.ending);
      }
    }
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    message: MessageInitShape<I>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    return this.#connection.stream(method, message, { signal });
  }
}

/** The URL that methods are appended to. @throws LogError invalid_argument. */
function baseOf(url: string): string {
  if (/^https?:\/\/[^/?#]+(\/[^?#]*)?$/i.test(url)) return url.replace(/\/+$/, "");
  throw new LogError("invalid_argument", `${url}: expected http://HOST:PORT or https://HOST`);
}
