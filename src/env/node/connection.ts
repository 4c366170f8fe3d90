import { Socket } from "node:net";
import type { Duplex } from "node:stream";

import type { Connection, ConnectionHandler } from "../env.ts";

/** A socket, or a stream that stands for one. */
interface Stream extends Duplex {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * One TCP connection over a socket that nobody reads yet.
 *
 * Node reads straight into memory of ours only through the option `onread`, which sockets made by a
 * server cannot be given. So the socket's handle, which is an internal of Node, is moved into a new
 * socket that has the option: a third less processor time for each byte received. Where there is no
 * such handle, the bytes of `data` events are copied.
 */
export class SocketConnection implements Connection {
  readonly remote: string;
  #socket: Stream;
  #handler: ConnectionHandler | undefined;
  readonly #onClosed: () => void;
  readonly #keepsHandle: boolean;
  #error: Error | undefined;
  #isClosed = false;

  /** `onClosed` runs once, before the handler hears of it. `keepsHandle` for a socket that another server of Node's counts as its own. */
  constructor(
    socket: Stream,
    onClosed: () => void = () => {},
    { keepsHandle = false }: { readonly keepsHandle?: boolean } = {},
  ) {
    this.remote = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? "?"}`;
    this.#socket = socket;
    this.#onClosed = onClosed;
    this.#keepsHandle = keepsHandle;
    this.#listen(socket);
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    if (this.#isClosed) {
      queueMicrotask(() => handler.closed(this.#error));
      return;
    }
    const moved = this.#keepsHandle ? undefined : moveHandle(this.#socket, handler);
    if (moved === undefined) {
      this.#socket.on("data", (chunk: Buffer) => this.#deliver(chunk, handler));
      this.#socket.resume();
      return;
    }
    this.#socket = moved;
    this.#listen(moved);
  }

  write(parts: readonly Uint8Array[], sent?: () => void): void {
    const socket = this.#socket;
    const last = parts.length - 1;
    if (last < 0) {
      if (sent !== undefined) queueMicrotask(sent);
      return;
    }
    // Node runs the callback when the system has the bytes, and also when it never will.
    const done = (): void => {
      sent?.();
      if (socket.writableLength === 0 && !this.#isClosed) this.#handler?.drained();
    };
    socket.cork();
    for (let index = 0; index < last; index++) socket.write(parts[index] ?? nothing);
    socket.write(parts[last] ?? nothing, done);
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Stream): void {
    socket.on("error", (error: Error) => {
      this.#error ??= error;
    });
    socket.on("close", () => {
      // The socket that gave its handle away may close too; it is not the connection any more.
      if (socket !== this.#socket || this.#isClosed) return;
      this.#isClosed = true;
      this.#onClosed();
      this.#handler?.closed(this.#error);
    });
  }

  #deliver(chunk: Uint8Array, handler: ConnectionHandler): void {
    let rest = chunk;
    while (rest.length > 0 && !this.#isClosed && !this.#socket.destroyed) {
      const target = handler.target();
      const count = Math.min(target.length, rest.length);
      target.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      handler.received(count);
    }
  }
}

const nothing = new Uint8Array(0);

/** Undefined where this Node keeps its handles elsewhere. */
function moveHandle(from: Stream, handler: ConnectionHandler): Socket | undefined {
  const handle: unknown = Reflect.get(from, "_handle");
  if (typeof handle !== "object" || handle === null || !("useUserBuffer" in handle)) {
    return undefined;
  }
  const options = {
    onread: {
      buffer: () => handler.target(),
      callback: (count: number) => {
        handler.received(count);
        return true;
      },
    },
  };
  // Not the `handle` of Node's types, which takes a bound socket that is not connected yet.
  Reflect.set(options, "handle", handle);
  Reflect.set(from, "_handle", null);
  return new Socket(options);
}
