import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";

import { invariant, InvariantError, type LogError } from "../../errors/index.ts";
import type { Connection } from "../env.ts";
import type {
  BeginOptions,
  BodyReceiver,
  HttpAnswerHeaders,
  HttpExchange,
  HttpHeaders,
  ReceiveOptions,
} from "../http.ts";
import { Departure, takesMore } from "./departure.ts";
import { BodyReading, bodyTooLarge, type HttpShare, WholeBody } from "./http-body.ts";

// RFC 9113, section 7. The module is not loaded for its constants.
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;

/** A request over HTTP/2. */
// hot: once for every request; guarded by bench/http.
export class Http2Exchange implements HttpExchange {
  readonly httpVersion = 2;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly isUpgrade = false;
  readonly #share: HttpShare;
  readonly #stream: ServerHttp2Stream;
  readonly #sentHeaders: IncomingHttpHeaders;
  #headers: HttpHeaders | undefined;
  #reading: BodyReading | undefined;
  #trailers: HttpAnswerHeaders | undefined;
  #hasTrailers = false;
  /** What the client still sends is not wanted. */
  #isRestDropped = false;
  /** Nothing more can be sent. */
  #isOver = false;
  #isFinished = false;
  readonly #departure = new Departure();

  constructor(share: HttpShare, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#share = share;
    this.#stream = stream;
    this.#sentHeaders = headers;
    this.method = pseudo(headers, ":method") ?? "GET";
    const url = pseudo(headers, ":path") ?? "/";
    const split = url.indexOf("?");
    this.path = split < 0 ? url : url.slice(0, split);
    this.query = split < 0 ? "" : url.slice(split + 1);
    share.requestsInFlight++;
    stream.on("close", () => this.#closed());
    // A client that resets its stream is told by `close`.
    stream.on("error", () => {});
  }

  get headers(): HttpHeaders {
    this.#headers ??= withHost(this.#sentHeaders);
    return this.#headers;
  }

  get remote(): string {
    return this.#stream.session?.socket.remoteAddress ?? "?";
  }

  get isGone(): boolean {
    return this.#departure.isGone;
  }

  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  get signal(): AbortSignal {
    return this.#departure.signal;
  }

  whenGone(callback: () => void): void {
    this.#departure.when(callback);
  }

  readBody(bytesMax: number, done: (body: Uint8Array | LogError) => void): void {
    if (this.#isTooLarge(bytesMax)) {
      this.#stream.resume();
      done(bodyTooLarge(bytesMax));
      return;
    }
    const whole = new WholeBody(this.#share, done, (error) => this.#reading?.fail(error));
    this.#read(whole, { bytesMax, isWhole: true });
  }

  receive(receiver: BodyReceiver, options: ReceiveOptions): void {
    if (this.#isTooLarge(options.bytesMax)) {
      this.#stream.resume();
      receiver.failed(bodyTooLarge(options.bytesMax));
      return;
    }
    this.#read(receiver, options);
  }

  pause(): void {
    this.#reading?.pause();
  }

  resume(): void {
    this.#reading?.resume();
  }

  answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void {
    const stream = this.#stream;
    if (this.#isOver || stream.headersSent) return;
    this.#isFinished = true;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const hasBody = bytes.length > 0 && this.method !== "HEAD";
    stream.respond(this.#head(status, headers, bytes.length), { endStream: !hasBody });
    if (hasBody) stream.end(bytes);
    this.#dropRest();
  }

  begin(
    status: number,
    headers: HttpAnswerHeaders,
    { hasTrailers = false }: BeginOptions = {},
  ): void {
    const stream = this.#stream;
    if (this.#isOver || stream.headersSent) return;
    if (hasTrailers) {
      this.#hasTrailers = true;
      stream.on("wantTrailers", () => {
        stream.sendTrailers({ ...this.#trailers });
        // Trailers that are not on their way yet would go down with the stream.
        if (this.#isRestDropped) setImmediate(() => stream.close(NO_ERROR));
      });
    }
    stream.respond(this.#head(status, headers), { waitForTrailers: hasTrailers });
  }

  write(bytes: string | Uint8Array): boolean {
    if (this.#isOver || this.#isFinished || bytes.length === 0) return true;
    return this.#stream.write(bytes);
  }

  async drained(): Promise<void> {
    if (!this.#isOver) await takesMore(this.#stream);
  }

  end(trailers?: HttpAnswerHeaders): void {
    if (this.#isOver || this.#isFinished) return;
    this.#isFinished = true;
    this.#trailers = trailers;
    this.#stream.end();
    this.#dropRest();
  }

  abort(): void {
    this.#stream.close(INTERNAL_ERROR);
  }

  upgrade(): Connection {
    throw new InvariantError("only a handshake is upgraded");
  }

  /** Tells the client to send no more of a body that nobody reads (RFC 9113, section 8.1). */
  #dropRest(): void {
    const stream = this.#stream;
    if (stream.readableEnded || stream.endAfterHeaders || this.#reading?.isOver === true) return;
    stream.resume();
    this.#isRestDropped = true;
    if (!this.#hasTrailers) stream.once("finish", () => stream.close(NO_ERROR));
  }

  #head(status: number, headers: HttpAnswerHeaders, length?: number): OutgoingHttpHeaders {
    const head: OutgoingHttpHeaders = { ...headers };
    head[":status"] = status;
    if (length !== undefined) head["content-length"] = length;
    return head;
  }

  #isTooLarge(bytesMax: number): boolean {
    const told = this.#sentHeaders["content-length"];
    return told !== undefined && Number(told) > bytesMax;
  }

  #read(receiver: BodyReceiver, options: ReceiveOptions & { readonly isWhole?: true }): void {
    invariant(this.#reading === undefined, "a body is read once");
    this.#reading = new BodyReading(this.#share, this.#stream, receiver, {
      ...options,
      // Node ends the body of a stream that was reset as if it were whole.
      isCut: () => this.#stream.aborted,
    });
  }

  #closed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#share.requestsInFlight--;
    // A stream that was reset is ended by Node, so that alone does not tell.
    this.#departure.over(this.#stream.aborted || !this.#stream.writableFinished);
  }
}

function pseudo(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

function withHost(headers: IncomingHttpHeaders): HttpHeaders {
  // Into the object itself, which is this request's own: a copy was 2.7 % of a small call.
  const host = pseudo(headers, ":authority");
  if (host !== undefined) headers.host = host;
  return headers;
}
