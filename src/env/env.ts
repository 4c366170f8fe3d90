import type { HttpListener, HttpServerOptions } from "./http.ts";

/** What a program may ask of the machine. */
export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly disk: Disk;
  readonly network: Network;
  readonly events: EventLog;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump; used for timestamps and retention only. */
  wallMs(): number;
  /** Monotonic, milliseconds with fractions from an arbitrary start. */
  monotonicMs(): number;
}

export interface Random {
  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void;
  /** A version 4 UUID as its 16 bytes. */
  uuid(): Uint8Array;
}

export interface Timers {
  /** Runs `task` once, `ms` milliseconds from now or later. */
  after(ms: number, task: () => void): Timer;
  /** Runs `task` once, at the end of this turn of the event loop, after pending I/O was handled. */
  soon(task: () => void): void;
}

export interface Timer {
  /** Idempotent; a cancelled task never runs. */
  cancel(): void;
}

/**
 * Files. Synchronous calls are for what the page cache answers; the asynchronous ones for what may
 * wait for the device. Errors are Node's own (`code`: `ENOSPC`, `EIO`, `ENOENT`, `EEXIST`, ...).
 * A name or a removal is durable only after {@link Disk.syncDirectory} on its directory; bytes are
 * durable only after {@link DiskFile.sync}.
 */
export interface Disk {
  /** `read` needs the file; `write` opens it for reading and writing, and needs it; `create` makes it and refuses one that exists. Files are made with mode 0600. */
  open(path: string, mode: "read" | "write" | "create"): DiskFile;
  exists(path: string): boolean;
  /** Names in a directory, sorted; throws ENOENT where there is none. */
  list(directory: string): string[];
  /** Makes a directory and its parents, mode 0700. Does nothing where it exists. */
  makeDirectory(path: string): void;
  /** Replaces `to` where it exists. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  removeDirectory(path: string): void;
  syncDirectory(path: string): Promise<void>;
  /** The same, and blocks the event loop until then. */
  syncDirectoryNow(path: string): void;
  /** Bytes that an ordinary user may still write on the file system of `path`. */
  freeBytes(path: string): number;
  /**
   * Takes a lock that the kernel gives up when this process dies, however it dies.
   * Undefined when another process, or this one, holds it.
   */
  lock(path: string): DiskLock | undefined;
}

export interface DiskLock {
  release(): void;
}

export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Reads up to `target.length` bytes at `position`; returns how many there were: fewer only at the end of the file. */
  read(target: Uint8Array, position: number): number;
  /** The same without blocking the event loop. `target` belongs to the call until it settles. */
  readAsync(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `parts` one after another from `position` on, or throws; after a throw any prefix may be there. */
  write(parts: readonly Uint8Array[], position: number): void;
  /** The same without blocking the event loop. `parts` belong to the call until it settles. */
  writeAsync(parts: readonly Uint8Array[], position: number): Promise<void>;
  /**
   * fdatasync: settles when all that was written before the call is on the device. A failure is final: never
   * retry it. It is told once to each open file: two that sync one file at a time must each open it.
   */
  sync(): Promise<void>;
  /** The same, and blocks the event loop until then. */
  syncNow(): void;
  truncate(size: number): void;
  close(): void;
}

export interface Network {
  /** Listens on TCP; `port` 0 takes a free one. Rejects with Node's own error (`EADDRINUSE`, ...). */
  listen(at: Address, accept: (connection: Connection) => void): Promise<Listener>;
  connect(to: Address): Promise<Connection>;
  /** Serves HTTP/1.1, and HTTP/2 without encryption to clients that begin with it, on one port. */
  serveHttp(at: Address, options: HttpServerOptions): Promise<HttpListener>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Listener {
  readonly port: number;
  /** Stops accepting and destroys what is open. */
  close(): Promise<void>;
}

/**
 * One TCP connection. Nothing is read before {@link Connection.start}. Received bytes are written
 * straight into memory that the handler offers, so a frame can be parsed where it landed.
 */
export interface Connection {
  /** Address and port of the other side, for logs. */
  readonly remote: string;
  /** Bytes handed to `write` that the kernel has not taken yet. */
  readonly unsentBytes: number;
  start(handler: ConnectionHandler): void;
  /** Sends `parts` in order with one system call where possible. `sent` runs when their memory may be used again, or the connection is gone. */
  write(parts: readonly Uint8Array[], sent?: () => void): void;
  /** Stops reading: the other side feels it as back-pressure. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface ConnectionHandler {
  /** Free memory for the next bytes: at least one byte. Asked before each read. */
  target(): Uint8Array;
  /** `count` bytes were put at the start of what {@link ConnectionHandler.target} last returned. */
  received(count: number): void;
  /** `unsentBytes` fell to zero after it was not. */
  drained(): void;
  /** Called once, whatever the reason; `error` where it was not an orderly end. */
  closed(error?: Error): void;
}

/** Structured events for whoever operates the program. `fields` hold numbers, strings and booleans; never record contents. */
export interface EventLog {
  debug(message: string, fields?: EventFields): void;
  info(message: string, fields?: EventFields): void;
  warn(message: string, fields?: EventFields): void;
  error(message: string, fields?: EventFields): void;
}

export type EventFields = Readonly<Record<string, string | number | boolean | undefined>>;
