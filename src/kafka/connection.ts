import type { Connection, ConnectionHandler, Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { AnswerQueue } from "./answers.ts";
import type { Source } from "./codec/writer.ts";
import { Exchange, type ExchangeOwner, type Handlers, type Peer } from "./exchange.ts";
import { FrameReceiver, type SlabPool, framePrefixBytes } from "./frames.ts";
import { RequestHeader } from "./header.ts";
import { type KafkaLimits, frameBytesPerSecondMin, lingerMsMax } from "./limits.ts";
import {
  type ApiName,
  type RequestOf,
  type ResponseBody,
  apiNameOf,
  apis,
  requestCodec,
  versionUnknownAnswer,
} from "./registry.ts";
import { openingBytes, strangerOf } from "./stranger.ts";

/** What a connection shares with the others of its listener. */
export interface ConnectionHost {
  readonly env: Env;
  readonly limits: KafkaLimits;
  readonly pool: SlabPool;
  readonly handlers: Handlers;
  /** Number of the turn of the event loop. */
  readonly turn: number;
  /** Whether requests in memory pass the limit of all connections together. */
  readonly isOverBudget: boolean;
  /** Whether no new request may start because the listener ends. */
  readonly isEnding: boolean;
  /** Counts request bytes that came into memory, or left it when negative. */
  charge(bytes: number): void;
  /** Wants {@link ClientConnection.endTurn} once memory for requests is free. */
  atRelief(connection: ClientConnection): void;
  /** Wants {@link ClientConnection.endTurn} at the end of this turn. */
  atTurnEnd(connection: ClientConnection): void;
  report(level: "debug" | "warn" | "error", message: string, peer: Peer, reason: string): void;
  closed(connection: ClientConnection): void;
}

type AnyHandler = (
  request: unknown,
  exchange: Exchange,
) => ResponseBody<ApiName> | Promise<ResponseBody<ApiName>> | undefined;

/** Longest text of a client about itself that is kept. */
const softwareLengthMax = 100;

/** Where bytes go that arrive after the connection was given up. */
const discarded = new Uint8Array(16_384);

/**
 * Serves one client: cuts what it sends into requests, hands them to the handlers in their order,
 * and sends the answers in that order too, those of one turn of the event loop together.
 *
 * It stops reading, so that the client feels it, while too much of its work is unfinished.
 */
export class ClientConnection implements ConnectionHandler, ExchangeOwner {
  readonly #host: ConnectionHost;
  readonly #connection: Connection;
  readonly #receiver: FrameReceiver;
  readonly #answers: AnswerQueue;
  readonly #header = new RequestHeader();
  #peer: Peer;
  #turn = -1;
  #turnBytes = 0;
  /** Whether reading stopped. */
  #isHeld = false;
  /** Whether a valid request came. */
  #isKnown = false;
  /** Nothing is read or answered any more; set before `#isGone`, when the last answers still leave. */
  #isClosing = false;
  #isGone = false;
  #closingMs = 0;
  #activeMs: number;
  /** Since when the frame in front is incomplete through the client's own doing. */
  #frameMs: number | undefined = undefined;

  constructor(peer: Peer, connection: Connection, host: ConnectionHost) {
    this.#peer = peer;
    this.#host = host;
    this.#connection = connection;
    this.#receiver = new FrameReceiver(host.pool, host.limits.firstRequestBytesMax);
    this.#answers = new AnswerQueue(connection);
    this.#activeMs = host.env.clock.monotonicMs();
  }

  start(): void {
    this.#connection.start(this);
  }

  get peer(): Peer {
    return this.#peer;
  }

  get isOpen(): boolean {
    return !this.#isClosing;
  }

  /** Whether there is nothing to answer and nothing answered that did not leave. */
  get isQuiet(): boolean {
    return this.#answers.isEmpty;
  }

  get requestsInFlight(): number {
    return this.#answers.inFlight;
  }

  // What the network calls.

  target(): Uint8Array {
    return this.#isClosing ? discarded : this.#receiver.target();
  }

  received(count: number): void {
    if (this.#isClosing) return;
    this.#activeMs = this.#host.env.clock.monotonicMs();
    this.#receiver.received(count);
    this.#host.charge(count);
    this.#process();
  }

  drained(): void {
    this.#activeMs = this.#host.env.clock.monotonicMs();
    if (this.#isHeld) this.#host.atTurnEnd(this);
  }

  closed(error?: Error): void {
    if (this.#isGone) return;
    this.#isClosing = true;
    this.#isGone = true;
    if (error !== undefined) {
      this.#host.report("debug", "kafka connection lost", this.#peer, error.message);
    }
    this.#host.charge(-this.#receiver.pendingBytes);
    this.#receiver.dispose();
    this.#answers.drop();
    this.#host.closed(this);
  }

  // What exchanges call.

  answer(exchange: Exchange, response: ResponseBody<ApiName>): boolean {
    if (this.#isClosing) return false;
    try {
      this.#answers.encode(exchange, response);
      return true;
    } catch (error) {
      this.#fail(exchange, error);
      return false;
    }
  }

  settled(requestBytes: number): void {
    this.#host.charge(-requestBytes);
    if (!this.#isClosing && this.#answers.collect()) this.#host.atTurnEnd(this);
  }

  // What the listener calls.

  /** Sends what was answered in this turn, and goes on with what was held back. */
  endTurn(): void {
    if (this.#isClosing) return;
    this.#answers.flush();
    if (this.#host.isEnding && this.isQuiet) this.close();
    else if (this.#isHeld) this.#process();
  }

  /** Looks at the deadlines. */
  sweep(nowMs: number): void {
    const { idleMsMax, frameMsMax } = this.#host.limits;
    if (this.#isClosing) {
      if (nowMs - this.#closingMs > lingerMsMax) this.#connection.destroy();
    } else if (this.#frameMs !== undefined) {
      const bytes = Math.max(0, this.#receiver.frameBytes ?? 0);
      const limitMs = frameMsMax + (bytes / frameBytesPerSecondMin) * 1000;
      if (nowMs - this.#frameMs > limitMs) this.#refuse("a request took too long to arrive");
    } else if (this.#answers.inFlight === 0 && nowMs - this.#activeMs > idleMsMax) {
      const reason = `no traffic for ${idleMsMax} ms`;
      this.#host.report("debug", "kafka connection idle", this.#peer, reason);
      this.close();
    }
  }

  /** Sends the answers that are ready, then closes. */
  close(): void {
    if (this.#isClosing) return;
    this.#answers.flush();
    this.#isClosing = true;
    this.#closingMs = this.#host.env.clock.monotonicMs();
    if (this.#connection.unsentBytes === 0) return this.#connection.destroy();
    if (this.#isHeld) this.#connection.resume();
    return this.#connection.end();
  }

  destroy(): void {
    this.#isClosing = true;
    this.#connection.destroy();
  }

  #process(): void {
    let mustWait = this.#mustWait();
    if (!this.#isKnown) this.#listenToStranger();
    try {
      while (!mustWait && this.#receiver.next()) {
        this.#frameMs = undefined;
        this.#serve(this.#receiver.slab.source, this.#receiver.start, this.#receiver.end);
        mustWait = this.#isClosing || this.#mustWait();
      }
    } catch (error) {
      // Nothing but a violation of the protocol reaches this place: handlers have a catch of their own.
      if (!(error instanceof LogError)) throw error;
      this.#refuse(error.message);
    }
    if (!this.#isClosing) this.#throttle(mustWait);
  }

  /**
   * A client may begin with a large request: what names an API and a version that are spoken here is
   * let in as far as any client, still without memory for more than arrived.
   */
  #listenToStranger(): void {
    const opening = this.#receiver.peek(framePrefixBytes + 4);
    if (opening.length < framePrefixBytes + 4) return;
    const view = new DataView(opening.buffer, opening.byteOffset, opening.length);
    const api = apiNameOf(view.getInt16(framePrefixBytes));
    const version = view.getInt16(framePrefixBytes + 2);
    if (api === undefined) return;
    const { versionMin, versionMax } = apis[api];
    if (version < versionMin || version > versionMax) return;
    this.#receiver.frameBytesMax = this.#host.limits.requestBytesMax;
  }

  /** Whether the next request has to wait for others. */
  #mustWait(): boolean {
    const { limits, turn, isEnding } = this.#host;
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#turnBytes = 0;
    }
    return (
      isEnding ||
      this.#turnBytes >= limits.turnBytesMax ||
      this.#answers.inFlight >= limits.requestsInFlightMax ||
      this.#answers.unsentBytes >= limits.unsentBytesMax
    );
  }

  /** Reads on, or stops until the reason for it is gone. */
  #throttle(mustWait: boolean): void {
    const { isOverBudget, limits } = this.#host;
    if (mustWait || this.#receiver.pendingBytes === 0) this.#frameMs = undefined;
    else this.#frameMs ??= this.#activeMs;
    // Other reasons to wait end with an answer or with drained(), which ask for the turn's end.
    if (this.#turnBytes >= limits.turnBytesMax) this.#host.atTurnEnd(this);
    if (isOverBudget) this.#host.atRelief(this);
    const isHeld = mustWait || isOverBudget;
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#connection.pause();
    else this.#connection.resume();
  }

  #serve(source: Source, start: number, end: number): void {
    const frameBytes = end - start + framePrefixBytes;
    this.#turnBytes += frameBytes;
    let isTaken = false;
    try {
      const header = this.#header;
      const api = this.#readHeader(source, start, end);
      if (api === undefined) {
        isTaken = true;
        header.version = 0;
        const exchange = this.#open("ApiVersions", frameBytes);
        return exchange.send(versionUnknownAnswer);
      }
      const request = requestCodec(api, header.version).decode(source, header.bodyStart, end);
      if (!this.#isKnown) this.#greet();
      if (api === "ApiVersions") this.#note(request);
      isTaken = true;
      return this.#call(api, request, this.#open(api, frameBytes));
    } finally {
      if (!isTaken) this.#host.charge(-frameBytes);
    }
  }

  /** The API of a request; undefined for ApiVersions in a version that is not known here. */
  #readHeader(source: Source, start: number, end: number): ApiName | undefined {
    const header = this.#header;
    header.readFixed(source, start, end);
    const { apiKey, version } = header;
    const api = apiNameOf(apiKey);
    if (api === undefined) throw violation(`there is no API with key ${apiKey} here`);
    const { versionMin, versionMax, flexibleSince } = apis[api];
    if (version < versionMin || version > versionMax) {
      if (api === "ApiVersions") return undefined;
      throw violation(`${api} v${version} is not spoken, only ${versionMin} to ${versionMax}`);
    }
    header.readRest(source, end, version >= flexibleSince);
    return api;
  }

  #open(api: ApiName, frameBytes: number): Exchange {
    const exchange = new Exchange(api, this.#header, this.#receiver.slab, frameBytes, this);
    this.#answers.push(exchange);
    return exchange;
  }

  #call(api: ApiName, request: unknown, exchange: Exchange): void {
    // The request was decoded by the schema of the same name, so the handler of it fits.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const handler = this.#host.handlers[api] as AnyHandler;
    try {
      const response = handler(request, exchange);
      if (response === undefined) return;
      if (response instanceof Promise) {
        response.then(
          (value) => this.#finish(exchange, value),
          (error: unknown) => this.#fail(exchange, error),
        );
      } else exchange.send(response);
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #finish(exchange: Exchange, response: ResponseBody<ApiName>): void {
    try {
      exchange.send(response);
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  /** The first valid request: from now on this is a client, and may send what clients may. */
  #greet(): void {
    this.#isKnown = true;
    this.#receiver.frameBytesMax = this.#host.limits.requestBytesMax;
  }

  #note(request: RequestOf<ApiName>): void {
    if (!("clientSoftwareName" in request)) return;
    this.#peer = {
      ...this.#peer,
      softwareName: request.clientSoftwareName.slice(0, softwareLengthMax),
      softwareVersion: request.clientSoftwareVersion.slice(0, softwareLengthMax),
    };
  }

  /** Closes on what the client did wrong. */
  #refuse(reason: string): void {
    const stranger = this.#isKnown ? undefined : strangerOf(this.#receiver.peek(openingBytes));
    const seen = stranger === undefined ? reason : `it looks like ${stranger}`;
    this.#host.report("warn", "kafka connection refused", this.#peer, seen);
    this.close();
  }

  /** Closes on what this program did wrong. */
  #fail(exchange: Exchange, error: unknown): void {
    const { message } = LogError.from(error);
    const reason = `${exchange.api} v${exchange.version}: ${message}`;
    this.#host.report("error", "kafka request failed", this.#peer, reason);
    if (!exchange.isAnswered) exchange.sendNothing();
    this.close();
  }
}

function violation(message: string): LogError {
  return new LogError("protocol_violation", message);
}
