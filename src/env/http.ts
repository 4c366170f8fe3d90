import type { LogError } from "../errors/index.ts";
import type { Connection, Listener } from "./env.ts";

/** What one HTTP listener allows; every number has a default in {@link defaultHttpLimits}. */
export interface HttpLimits {
  /** Open connections; further ones are closed at once. */
  readonly connectionsMax: number;
  /** Bytes of the head of a request: its target and its headers. */
  readonly headBytesMax: number;
  /** A connection, and after it each request, has this long to send a whole head. */
  readonly headMsMax: number;
  /** A body that is read whole has this long to arrive. */
  readonly bodyMsMax: number;
  /** A body that is received in pieces is given up after this long without a byte, unless it is open-ended. */
  readonly bodyIdleMsMax: number;
  /** Bytes of bodies that are read whole, of all requests together, in memory before their handlers have them. */
  readonly bodyBytesInMemoryMax: number;
  /** A connection without a request is closed after this. */
  readonly idleMsMax: number;
  /** Requests of one HTTP/2 connection that are open at the same time. */
  readonly streamsPerConnectionMax: number;
}

export const defaultHttpLimits: HttpLimits = {
  connectionsMax: 12_000,
  headBytesMax: 16 * 1024,
  headMsMax: 10_000,
  bodyMsMax: 60_000,
  bodyIdleMsMax: 30_000,
  bodyBytesInMemoryMax: 256 * 1024 * 1024,
  // Longer than the idle time of common load balancers, so that they close first.
  idleMsMax: 75_000,
  streamsPerConnectionMax: 1_000,
};

export interface HttpServerOptions {
  readonly limits?: Partial<HttpLimits> | undefined;
  /** Called for each request once its head is there. It must not throw. */
  readonly handle: (exchange: HttpExchange) => void;
}

export interface HttpListener extends Listener {
  stats(): HttpListenerStats;
  /** Accepts nothing more, gives what is in flight `graceMs` (0 by default) to end, then destroys what is open. Idempotent. */
  close(graceMs?: number): Promise<void>;
}

export interface HttpListenerStats {
  readonly connections: number;
  readonly connectionsAccepted: number;
  readonly connectionsRefused: number;
  readonly requestsInFlight: number;
  /** Bytes of all connections since the start, as they were on the wire; 0 where there is none. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Names in lower case. The authority of an HTTP/2 request is here as `host`. */
export type HttpHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;
/** A list is sent as so many headers of the same name. */
export type HttpAnswerHeaders = Readonly<Record<string, string | number | string[]>>;

/**
 * One request and its answer, over HTTP/1.1 or cleartext HTTP/2.
 *
 * Nothing of the body is read before {@link HttpExchange.readBody} or {@link HttpExchange.receive}.
 * The answer is either whole ({@link HttpExchange.answer}) or in pieces ({@link HttpExchange.begin},
 * {@link HttpExchange.write}, {@link HttpExchange.end}). After the client has gone every call does
 * nothing.
 */
export interface HttpExchange {
  readonly httpVersion: 1 | 2;
  readonly method: string;
  /** Without the query, as sent: percent-encoded. */
  readonly path: string;
  /** What follows `?`, as sent; empty where nothing does. */
  readonly query: string;
  readonly headers: HttpHeaders;
  /** Address of the other side, for logs. */
  readonly remote: string;

  /**
   * The whole body, or why there is none: record_too_large where it is over `bytesMax`,
   * limit_exceeded where too much is in memory already, timeout where it came too slowly, cancelled
   * where the client went away.
   */
  readBody(bytesMax: number, done: (body: Uint8Array | LogError) => void): void;
  /** Gives the body to `receiver` piece by piece. */
  receive(receiver: BodyReceiver, options: ReceiveOptions): void;
  /** No more pieces after this one until {@link HttpExchange.resume}: the client feels it. */
  pause(): void;
  resume(): void;

  /** The whole answer. A body is left away where the method is HEAD. */
  answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void;
  /** Sends the head of an answer in pieces. */
  begin(status: number, headers: HttpAnswerHeaders, options?: BeginOptions): void;
  /** False where more should wait for {@link HttpExchange.drained}. The bytes must not change any more. */
  write(bytes: string | Uint8Array): boolean;
  /** Bytes of the answer that the system has not taken yet. */
  readonly unsentBytes: number;
  /** Resolves once what was written is on its way, or the client has gone. */
  drained(): Promise<void>;
  end(trailers?: HttpAnswerHeaders): void;
  /** Breaks the answer off, so that the client cannot take it for whole. */
  abort(): void;

  /** Whether the client has gone before its answer was sent whole. */
  readonly isGone: boolean;
  /** Calls back once when the client goes before its answer was sent whole; at once where it has gone. */
  whenGone(callback: () => void): void;
  /** Aborts then, with a {@link LogError} `cancelled`. Made when it is asked for. */
  readonly signal: AbortSignal;

  /** Whether the client asks to go on in another protocol, as for WebSocket. */
  readonly isUpgrade: boolean;
  /** Switches protocols in place of an answer. Only where `isUpgrade`. */
  upgrade(headers: HttpAnswerHeaders): Connection;
}

export interface BeginOptions {
  /** Whether {@link HttpExchange.end} may be given trailers. */
  readonly hasTrailers?: boolean | undefined;
  /** Whether the answer goes on until one side goes: over HTTP/1.1 it ends with its connection, and its pieces need no frames. */
  readonly isEndless?: boolean | undefined;
}

export interface BodyReceiver {
  /** The bytes are the receiver's to keep. */
  received(bytes: Uint8Array): void;
  /** The body is whole. */
  ended(): void;
  /** No more comes, in place of {@link BodyReceiver.ended}; the codes are those of {@link HttpExchange.readBody}. */
  failed(error: LogError): void;
}

export interface ReceiveOptions {
  /** Infinity for a body of any length. */
  readonly bytesMax: number;
  /** Whether the client may be silent for as long as it likes, as in a stream of both directions. */
  readonly isOpenEnded?: boolean | undefined;
}
