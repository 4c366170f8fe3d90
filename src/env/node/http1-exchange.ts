import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

import { invariant } from "../../errors/index.ts";
import type { Connection } from "../env.ts";
import type { BeginOptions, HttpAnswerHeaders, HttpHeaders } from "../http.ts";
import { SocketConnection } from "./connection.ts";
import type { HttpShare } from "./http-body.ts";
import { NodeExchange } from "./node-exchange.ts";

/** A client whose body was refused gets so long to read why before it is cut off. */
const LINGER_MS = 2_000;

/** The socket of a handshake, and what came on it behind the head. */
export interface Handshake {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** A request over HTTP/1.1. */
// hot: once for every request; guarded by bench/http.
export class Http1Exchange extends NodeExchange {
  readonly httpVersion = 1;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #handshake: Handshake | undefined;

  // oxlint-disable-next-line max-params -- what Node hands over
  constructor(
    share: HttpShare,
    request: IncomingMessage,
    response: ServerResponse,
    handshake?: Handshake,
  ) {
    super(share, request, request, response);
    this.#request = request;
    this.#response = response;
    this.#handshake = handshake;
  }

  get headers(): HttpHeaders {
    return this.#request.headers;
  }

  get remote(): string {
    return this.#request.socket.remoteAddress ?? "?";
  }

  get isUpgrade(): boolean {
    return this.#handshake !== undefined;
  }

  answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void {
    const response = this.#response;
    if (this.isOver || response.headersSent) return;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    if (this.#request.complete || !this.#hasBody()) {
      response.writeHead(status, { ...headers, "content-length": length });
      response.end(this.method === "HEAD" ? undefined : body);
      return;
    }
    // A client that is still sending would lose the answer with the connection.
    response.writeHead(status, { ...headers, "content-length": length, connection: "close" });
    response.write(body);
    const timer = setTimeout(() => response.end(), LINGER_MS);
    this.#request.on("end", () => response.end());
    response.on("close", () => clearTimeout(timer));
    this.#request.resume();
  }

  begin(status: number, headers: HttpAnswerHeaders, { isEndless }: BeginOptions = {}): void {
    if (this.isOver || this.#response.headersSent) return;
    // Without the frames of chunks a piece is one write to the system and not four buffers.
    if (isEndless === true) this.#response.removeHeader("transfer-encoding");
    this.#response.writeHead(status, { ...headers });
    this.#response.flushHeaders();
  }

  end(trailers?: HttpAnswerHeaders): void {
    if (this.isOver || this.isFinished) return;
    this.isFinished = true;
    if (trailers !== undefined) {
      const lines = Object.entries(trailers).map(([name, value]) => [name, String(value)]);
      this.#response.addTrailers(Object.fromEntries(lines));
    }
    this.#response.end();
  }

  abort(): void {
    this.#response.destroy();
  }

  upgrade(headers: HttpAnswerHeaders): Connection {
    const handshake = this.#handshake;
    invariant(handshake !== undefined, "only a handshake is upgraded");
    const { socket, head } = handshake;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    this.isFinished = true;
    this.#response.detachSocket(this.#request.socket);
    const connection = new SocketConnection(socket, () => this.closed(), { keepsHandle: true });
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n${lines.join("")}\r\n`,
    );
    if (head.length > 0) socket.unshift(head);
    // Sockets of Node's HTTP server stay half open otherwise.
    socket.on("end", () => socket.end());
    return connection;
  }

  #hasBody(): boolean {
    const { headers } = this.#request;
    return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  }

  protected isBodyCut(): boolean {
    return !this.#request.complete;
  }

  protected isAnswerCut(): boolean {
    return !this.#response.writableFinished;
  }
}
