import type { Address, Connection, ConnectionHandler, Listener, Network, Timers } from "../env.ts";
import type { HttpListener, HttpServerOptions } from "../http.ts";
import { type MemoryHttpCall, type MemoryHttpQuestion, MemoryHttpServer } from "./http.ts";

const FREE_PORT_MIN = 49_152;

/**
 * A network inside one process. Bytes move at the end of a turn of the event loop, in order; hosts
 * are not told apart, ports are.
 */
export class MemoryNetwork implements Network {
  readonly #timers: Timers;
  readonly #accepting = new Map<number, (connection: Connection) => void>();
  readonly #http = new Map<number, MemoryHttpServer>();
  #nextPort = FREE_PORT_MIN;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  async listen(at: Address, accept: (connection: Connection) => void): Promise<Listener> {
    const port = this.#take(at);
    const open = new Set<MemoryConnection>();
    this.#accepting.set(port, (connection) => {
      if (connection instanceof MemoryConnection) {
        open.add(connection);
        connection.onClosed = () => open.delete(connection);
      }
      accept(connection);
    });
    return {
      port,
      close: async () => {
        this.#accepting.delete(port);
        for (const connection of open) connection.destroy();
      },
    };
  }

  async connect(to: Address): Promise<Connection> {
    const accept = this.#accepting.get(to.port);
    if (accept === undefined) throw networkError("ECONNREFUSED", to);
    const ours = new MemoryConnection(this.#timers, `${to.host}:${to.port}`);
    const theirs = new MemoryConnection(this.#timers, `${to.host}:${this.#nextPort++}`);
    ours.peer = theirs;
    theirs.peer = ours;
    accept(theirs);
    return ours;
  }

  async serveHttp(at: Address, options: HttpServerOptions): Promise<HttpListener> {
    const port = this.#take(at);
    const server = new MemoryHttpServer(this.#timers, options);
    this.#http.set(port, server);
    return server.listener(port, () => this.#http.delete(port));
  }

  /** Asks what {@link MemoryNetwork.serveHttp} serves at a port, as an HTTP client would. */
  ask(to: Address, question: MemoryHttpQuestion): MemoryHttpCall {
    const server = this.#http.get(to.port);
    if (server === undefined) throw networkError("ECONNREFUSED", to);
    return server.call(question);
  }

  #take(at: Address): number {
    const isTaken = (port: number): boolean => this.#accepting.has(port) || this.#http.has(port);
    if (at.port !== 0) {
      if (isTaken(at.port)) throw networkError("EADDRINUSE", at);
      return at.port;
    }
    while (isTaken(this.#nextPort)) this.#nextPort++;
    return this.#nextPort++;
  }
}

interface Piece {
  readonly bytes: Uint8Array;
  /** Of the last piece of a write. */
  readonly sent: (() => void) | undefined;
}

class MemoryConnection implements Connection {
  readonly remote: string;
  peer: MemoryConnection | undefined;
  onClosed: () => void = () => {};
  unsentBytes = 0;
  readonly #timers: Timers;
  #handler: ConnectionHandler | undefined;
  /** Written and not taken by the other side. */
  #outbox: Piece[] = [];
  #isPaused = false;
  /** No more is written. */
  #isEnding = false;
  /** All that was written has arrived, and no more comes. */
  #isFinished = false;
  #isClosed = false;
  #error: Error | undefined;
  /** A turn that moves bytes is under way. */
  #isMoving = false;

  constructor(timers: Timers, remote: string) {
    this.#timers = timers;
    this.remote = remote;
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    if (this.#isClosed) this.#timers.soon(() => handler.closed(this.#error));
    else this.peer?.moveSoon();
  }

  write(parts: readonly Uint8Array[], sent?: () => void): void {
    if (this.#isClosed || this.#isEnding || parts.length === 0) {
      if (sent !== undefined) this.#timers.soon(sent);
      return;
    }
    const bytes = Buffer.concat(parts);
    this.#outbox.push({ bytes, sent });
    this.unsentBytes += bytes.length;
    this.moveSoon();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.peer?.moveSoon();
  }

  end(): void {
    this.#isEnding = true;
    this.moveSoon();
  }

  destroy(): void {
    this.#close(undefined);
    if (this.peer !== undefined) this.peer.#close(undefined);
  }

  moveSoon(): void {
    if (this.#isMoving) return;
    this.#isMoving = true;
    this.#timers.soon(() => {
      this.#isMoving = false;
      this.#move();
    });
  }

  #move(): void {
    const hadBytes = this.unsentBytes > 0;
    for (let piece = this.#outbox[0]; piece !== undefined; piece = this.#outbox[0]) {
      if (this.peer?.takes(piece.bytes) !== true) return;
      // Taking it may have closed this side, which settled its pieces.
      if (this.#isClosed) return;
      this.#outbox.shift();
      this.unsentBytes -= piece.bytes.length;
      piece.sent?.();
    }
    if (hadBytes && this.unsentBytes === 0) this.#handler?.drained();
    if (this.#isEnding) this.#finish();
  }

  /** As with TCP, the other side sends what it still has before both close. */
  #finish(): void {
    this.#isFinished = true;
    if (this.peer === undefined || this.peer.#isFinished) this.destroy();
    else this.peer.end();
  }

  /** Whether the bytes were taken: not while nobody reads. */
  takes(bytes: Uint8Array): boolean {
    const handler = this.#handler;
    if (handler === undefined || this.#isPaused || this.#isClosed) return false;
    for (let done = 0; done < bytes.length && !this.#isClosed;) {
      const target = handler.target();
      const count = Math.min(target.length, bytes.length - done);
      target.set(bytes.subarray(done, done + count));
      done += count;
      handler.received(count);
    }
    return true;
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = error;
    const pieces = this.#outbox;
    this.#outbox = [];
    this.unsentBytes = 0;
    this.onClosed();
    this.#timers.soon(() => {
      for (const piece of pieces) piece.sent?.();
      this.#handler?.closed(this.#error);
    });
  }
}

function networkError(code: string, at: Address): Error {
  return Object.assign(new Error(`${code}: ${at.host}:${at.port}`), { code });
}
