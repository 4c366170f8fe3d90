import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

import { invariant, type LogError } from "../../errors/index.ts";
import type { Connection } from "../env.ts";
import type {
  BeginOptions,
  BodyReceiver,
  HttpAnswerHeaders,
  HttpExchange,
  HttpHeaders,
  ReceiveOptions,
} from "../http.ts";
import { SocketConnection } from "./connection.ts";
import { Departure, takesMore } from "./departure.ts";
import { BodyReading, bodyTooLarge, type HttpShare, WholeBody } from "./http-body.ts";

/** A client whose body was refused gets so long to read why before it is cut off. */
const LINGER_MS = 2_000;

/** The socket of a handshake, and what came on it behind the head. */
export interface Handshake {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** A request over HTTP/1.1. */
// hot: once for every request; guarded by bench/http.
export class Http1Exchange implements HttpExchange {
  readonly httpVersion = 1;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly #share: HttpShare;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #handshake: Handshake | undefined;
  #reading: BodyReading | undefined;
  /** Nothing more can be sent. */
  #isOver = false;
  /** The answer was ended, or its connection went to another protocol. */
  #isFinished = false;
  readonly #departure = new Departure();

  // oxlint-disable-next-line max-params -- what Node hands over
  constructor(
    share: HttpShare,
    request: IncomingMessage,
    response: ServerResponse,
    handshake?: Handshake,
  ) {
    this.#share = share;
    this.#request = request;
    this.#response = response;
    this.#handshake = handshake;
    this.method = request.method ?? "GET";
    const url = request.url ?? "/";
    const split = url.indexOf("?");
    this.path = split < 0 ? url : url.slice(0, split);
    this.query = split < 0 ? "" : url.slice(split + 1);
    share.requestsInFlight++;
    response.on("close", () => this.#closed());
    // A client that hangs up is told by `close`.
    response.on("error", () => {});
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

  get isGone(): boolean {
    return this.#departure.isGone;
  }

  get unsentBytes(): number {
    return this.#response.writableLength;
  }

  get signal(): AbortSignal {
    return this.#departure.signal;
  }

  whenGone(callback: () => void): void {
    this.#departure.when(callback);
  }

  readBody(bytesMax: number, done: (body: Uint8Array | LogError) => void): void {
    if (this.#isTooLarge(bytesMax)) {
      this.#request.resume();
      done(bodyTooLarge(bytesMax));
      return;
    }
    const whole = new WholeBody(this.#share, done, (error) => this.#reading?.fail(error));
    this.#read(whole, { bytesMax, isWhole: true });
  }

  receive(receiver: BodyReceiver, options: ReceiveOptions): void {
    if (this.#isTooLarge(options.bytesMax)) {
      this.#request.resume();
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
    const response = this.#response;
    if (this.#isOver || response.headersSent) return;
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
    if (this.#isOver || this.#response.headersSent) return;
    // Without the frames of chunks a piece is one write to the system and not four buffers.
    if (isEndless === true) this.#response.removeHeader("transfer-encoding");
    this.#response.writeHead(status, { ...headers });
    this.#response.flushHeaders();
  }

  write(bytes: string | Uint8Array): boolean {
    if (this.#isOver || this.#isFinished || bytes.length === 0) return true;
    return this.#response.write(bytes);
  }

  async drained(): Promise<void> {
    if (!this.#isOver) await takesMore(this.#response);
  }

  end(trailers?: HttpAnswerHeaders): void {
    if (this.#isOver || this.#isFinished) return;
    this.#isFinished = true;
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
    this.#isFinished = true;
    this.#response.detachSocket(this.#request.socket);
    const connection = new SocketConnection(socket, () => this.#closed(), { keepsHandle: true });
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

  #isTooLarge(bytesMax: number): boolean {
    const told = this.#request.headers["content-length"];
    return told !== undefined && Number(told) > bytesMax;
  }

  #read(receiver: BodyReceiver, options: ReceiveOptions & { readonly isWhole?: true }): void {
    invariant(this.#reading === undefined, "a body is read once");
    this.#reading = new BodyReading(this.#share, this.#request, receiver, {
      ...options,
      isCut: () => !this.#request.complete,
    });
  }

  #closed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#share.requestsInFlight--;
    this.#departure.over(!this.#response.writableFinished);
  }
}
