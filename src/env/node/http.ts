import type { IncomingMessage, Server, ServerOptions, ServerResponse } from "node:http";
import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

import {
  defaultHttpLimits,
  type HttpExchange,
  type HttpLimits,
  type HttpListenerStats,
  type HttpServerOptions,
} from "../http.ts";
import { Http1Exchange } from "./http1-exchange.ts";
import { Http2Exchange } from "./http2-exchange.ts";
import { HttpShare, SWEEP_MS } from "./http-body.ts";

/** What a client of HTTP/2 begins with (RFC 9113, section 3.4): no request of HTTP/1 does. */
const PREFACE = "PRI";

/** What a stream, and all streams of a connection, may send before their handlers have read it. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 1024 * 1024;

/** How often Node asks a connection that waits whether its time is over. */
const CHECK_MS = 2 * SWEEP_MS;

/** How often connections that have become idle are closed while a server closes. */
const CLOSING_CHECK_MS = 20;

/** HTTP/1.1 and HTTP/2 without encryption on one port, told apart by the first bytes. */
export class HttpServer {
  readonly #limits: HttpLimits;
  readonly #handle: (exchange: HttpExchange) => void;
  readonly #share: HttpShare;
  readonly #sockets = new Set<Socket>();
  /** Those of which not enough has come to tell their protocol. */
  readonly #silent = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #http1: Server;
  /** Node's own handling of a connection of HTTP/1. */
  readonly #take1: (socket: Socket) => void;
  /** Made for the first client that speaks it: the module takes memory. */
  #http2: Http2Server | undefined;
  #accepted = 0;
  #refused = 0;
  /** Of connections that are closed. */
  #receivedBytes = 0;
  #sentBytes = 0;
  #closing: Promise<void> | undefined;

  constructor(options: HttpServerOptions) {
    this.#limits = { ...defaultHttpLimits, ...options.limits };
    this.#handle = options.handle;
    this.#share = new HttpShare(this.#limits);
    // An import would make Node load everything that the module exports: 12 MB against 3.
    const { createServer, ServerResponse: Response } = process.getBuiltinModule("node:http");
    this.#http1 = createServer(optionsOf(this.#limits), (request, response) => {
      this.#handle(new Http1Exchange(this.#share, request, response));
    });
    this.#http1.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const response: ServerResponse = new Response(request);
      response.shouldKeepAlive = false;
      response.assignSocket(request.socket);
      // An answer to a handshake is a refusal, and the last thing on its connection.
      response.on("finish", () => socket.end());
      this.#handle(new Http1Exchange(this.#share, request, response, { socket, head }));
    });
    this.#http1.on("clientError", (error: Error, socket: Duplex) => refuse(error, socket));
    const [take1] = this.#http1.listeners("connection");
    this.#http1.removeAllListeners("connection");
    this.#take1 = (socket) => void take1?.call(this.#http1, socket);
    this.#http1.on("connection", (socket: Socket) => this.#accept(socket));
  }

  /** What listens. */
  get server(): Server {
    return this.#http1;
  }

  stats(): HttpListenerStats {
    let receivedBytes = this.#receivedBytes;
    let sentBytes = this.#sentBytes;
    for (const socket of this.#sockets) {
      receivedBytes += socket.bytesRead;
      sentBytes += socket.bytesWritten;
    }
    return {
      connections: this.#sockets.size,
      connectionsAccepted: this.#accepted,
      connectionsRefused: this.#refused,
      requestsInFlight: this.#share.requestsInFlight,
      receivedBytes,
      sentBytes,
    };
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#http1.close(() => resolve());
    });
    for (const socket of this.#silent) socket.destroy();
    for (const session of this.#sessions) session.close();
    // A connection that had a request in flight is idle afterwards, and Node keeps it.
    const idle = setInterval(() => this.#http1.closeIdleConnections(), CLOSING_CHECK_MS);
    const end = setTimeout(() => this.#destroyAll(), graceMs);
    if (graceMs === 0) this.#destroyAll();
    await closed;
    clearInterval(idle);
    clearTimeout(end);
    this.#share.stop();
  }

  #destroyAll(): void {
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= this.#limits.connectionsMax) {
      this.#refused++;
      socket.destroy();
      return;
    }
    this.#accepted++;
    this.#sockets.add(socket);
    this.#silent.add(socket);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#receivedBytes += socket.bytesRead;
      this.#sentBytes += socket.bytesWritten;
      this.#silent.delete(socket);
    });
    socket.on("error", ignore);
    const giveUp = (): void => void socket.destroy();
    socket.setTimeout(this.#limits.headMsMax, giveUp);
    socket.on("end", giveUp);
    let first: Buffer = nothing;
    const look = (): void => {
      const bytes: Buffer | null = socket.read();
      if (bytes === null) return;
      first = first.length === 0 ? bytes : Buffer.concat([first, bytes]);
      const start = first.toString("latin1", 0, PREFACE.length);
      if (start.length < PREFACE.length && PREFACE.startsWith(start)) return;
      this.#silent.delete(socket);
      socket.off("readable", look);
      socket.off("end", giveUp);
      socket.off("timeout", giveUp);
      socket.setTimeout(0);
      socket.unshift(first);
      if (start === PREFACE) this.#take2(socket);
      else this.#take1(socket);
    };
    socket.on("readable", look);
  }

  #take2(socket: Socket): void {
    this.#http2 ??= this.#createHttp2();
    this.#http2.emit("connection", socket);
  }

  #createHttp2(): Http2Server {
    const { createServer } = process.getBuiltinModule("node:http2");
    const { headBytesMax, streamsPerConnectionMax, idleMsMax } = this.#limits;
    const server = createServer({
      settings: {
        maxConcurrentStreams: streamsPerConnectionMax,
        maxHeaderListSize: headBytesMax,
        initialWindowSize: STREAM_WINDOW_BYTES,
      },
    });
    server.on("session", (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", ignore);
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      let openStreams = 0;
      const idle = (): void => {
        if (openStreams === 0) session.close();
      };
      session.setTimeout(idleMsMax, idle);
      session.on("stream", (stream, headers) => {
        openStreams++;
        stream.on("close", () => openStreams--);
        this.#handle(new Http2Exchange(this.#share, stream, headers));
      });
    });
    server.on("sessionError", ignore);
    return server;
  }
}

const nothing = Buffer.alloc(0);

/** The connection is closed then, and that is what counts. */
function ignore(): void {}

function optionsOf(limits: HttpLimits): ServerOptions {
  return {
    headersTimeout: limits.headMsMax,
    // Bodies have deadlines of their own: one in pieces may take as long as it brings something.
    requestTimeout: 0,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: limits.idleMsMax,
    maxHeaderSize: limits.headBytesMax,
    noDelay: true,
    // Others, such as h2c of curl, are answered as if they had not asked.
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
  };
}

const refusals: ReadonlyMap<string, readonly [status: number, title: string, detail: string]> =
  new Map([
    [
      "HPE_HEADER_OVERFLOW",
      [
        431,
        "Request header fields too large",
        "The head of the request is larger than this server takes.",
      ],
    ],
    ["ERR_HTTP_REQUEST_TIMEOUT", [408, "Request timeout", "The request did not arrive in time."]],
  ]);

/** Answers what is no request at all. */
function refuse(error: Error, socket: Duplex): void {
  const code = "code" in error ? String(error.code) : "";
  if (code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, title, detail] = refusals.get(code) ?? [
    400,
    "Bad request",
    "This is no request of HTTP.",
  ];
  const body = `${JSON.stringify({ type: "about:blank", title, status, detail })}\n`;
  const head = `HTTP/1.1 ${status} ${title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}
