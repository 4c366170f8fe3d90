import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";

import { InvariantError } from "../../errors/index.ts";
import type { Connection } from "../env.ts";
import type { BeginOptions, HttpAnswerHeaders, HttpHeaders } from "../http.ts";
import type { HttpShare } from "./http-body.ts";
import { NodeExchange } from "./node-exchange.ts";

// RFC 9113, section 7. The module is not loaded for its constants.
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;

/** A request over HTTP/2. */
// hot: once for every request; guarded by bench/http.
export class Http2Exchange extends NodeExchange {
  readonly httpVersion = 2;
  readonly isUpgrade = false;
  readonly #stream: ServerHttp2Stream;
  readonly #sentHeaders: IncomingHttpHeaders;
  #headers: HttpHeaders | undefined;
  #trailers: HttpAnswerHeaders | undefined;
  #hasTrailers = false;
  /** What the client still sends is not wanted. */
  #isRestDropped = false;

  constructor(share: HttpShare, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    const target = { method: pseudo(headers, ":method"), url: pseudo(headers, ":path") };
    super(share, target, stream, stream);
    this.#stream = stream;
    this.#sentHeaders = headers;
  }

  get headers(): HttpHeaders {
    this.#headers ??= withHost(this.#sentHeaders);
    return this.#headers;
  }

  get remote(): string {
    return this.#stream.session?.socket.remoteAddress ?? "?";
  }

  answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void {
    const stream = this.#stream;
    if (this.isOver || stream.headersSent) return;
    this.isFinished = true;
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
    if (this.isOver || stream.headersSent) return;
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

  end(trailers?: HttpAnswerHeaders): void {
    if (this.isOver || this.isFinished) return;
    this.isFinished = true;
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
    if (stream.readableEnded || stream.endAfterHeaders || this.reading?.isOver === true) return;
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

  protected isBodyCut(): boolean {
    // Node ends the body of a stream that was reset as if it were whole.
    return this.#stream.aborted;
  }

  protected isAnswerCut(): boolean {
    // A stream that was reset is ended by Node, so that alone does not tell.
    return this.#stream.aborted || !this.#stream.writableFinished;
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
