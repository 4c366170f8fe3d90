import type {
  Address,
  Connection,
  ConnectionHandler,
  Listener,
  MemoryNetwork,
  Network,
  SeededRandom,
} from "../src/env/index.ts";
import type { Plan } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import type { TraceHash } from "./trace-hash.ts";

interface NetworkParts {
  readonly network: MemoryNetwork;
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly plan: Plan;
  readonly trace: TraceHash;
  /** Whether anything is lost or cut now. */
  readonly isStormy: () => boolean;
  readonly noteFault: () => void;
}

/** What becomes of a connection that the network fails. */
const failures = [
  /** What is written now is lost, and both sides are told. */
  "cut before",
  /** It arrives first. */
  "cut after",
  /** Nothing arrives there any more, and nobody is told. */
  "lost there",
  /** Nothing comes back any more, and nobody is told. */
  "lost back",
] as const;

/**
 * The network between the clients of a world and its server: what is sent takes time and comes in
 * pieces, in order; and where the plan says so, connections are cut, or lose what is sent in one direction.
 */
export class SimNetwork implements Network {
  readonly #parts: NetworkParts;

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  async connect(to: Address): Promise<Connection> {
    const { scheduler, random, plan } = this.#parts;
    await scheduler.pause(random.below(plan.networkMsMax + 1));
    return new Line(await this.#parts.network.connect(to), this.#parts);
  }

  listen(at: Address, accept: (connection: Connection) => void): Promise<Listener> {
    return this.#parts.network.listen(at, accept);
  }

  serveHttp: Network["serveHttp"] = (at, options) => this.#parts.network.serveHttp(at, options);
}

/** The client's side of one connection. */
class Line implements Connection {
  readonly #inner: Connection;
  readonly #parts: NetworkParts;
  /** On the way there, and back; each has an event of its own that takes the first. */
  readonly #there: Uint8Array[] = [];
  readonly #back: Uint8Array[] = [];
  #handler: ConnectionHandler | undefined;
  #losesThere = false;
  #losesBack = false;
  #isClosed = false;
  /** Closed once all that is on the way there has arrived. */
  #isEnding = false;

  constructor(inner: Connection, parts: NetworkParts) {
    this.#inner = inner;
    this.#parts = parts;
  }

  get remote(): string {
    return this.#inner.remote;
  }

  get unsentBytes(): number {
    return 0;
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    const { random } = this.#parts;
    let target: Uint8Array = new Uint8Array(0);
    this.#inner.start({
      target: () => {
        target = new Uint8Array(1 + random.below(4_000));
        return target;
      },
      received: (count) => this.#arriving(target.slice(0, count)),
      drained() {},
      closed: (error) => this.#closed(error),
    });
  }

  write(parts: readonly Uint8Array[], sent?: () => void): void {
    const { scheduler, random, trace } = this.#parts;
    const bytes = new Uint8Array(Buffer.concat(parts));
    if (sent !== undefined) scheduler.soon(sent);
    if (this.#isClosed) return;
    const failure = this.#failure();
    if (failure !== undefined) trace.note(`network: ${failure}`);
    if (failure === "lost back") this.#losesBack = true;
    if (failure === "lost there") this.#losesThere = true;
    if (this.#losesThere) return;
    const half = random.below(2) === 0 ? random.below(bytes.length) : 0;
    // The first half of a request is a case of its own.
    const arriving = failure === "cut before" ? bytes.subarray(0, half) : bytes;
    for (const piece of [arriving.subarray(0, half), arriving.subarray(half)]) this.#send(piece);
    if (failure?.startsWith("cut") === true) this.destroy();
  }

  /** Bytes that leave, and arrive some time later. */
  #send(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#there.push(piece);
    this.#later(() => {
      const first = this.#there.shift();
      if (first !== undefined) this.#inner.write([first]);
      if (this.#isEnding && this.#there.length === 0) this.#inner.destroy();
    });
  }

  #arriving(piece: Uint8Array): void {
    if (this.#losesBack) return;
    this.#back.push(piece);
    this.#later(() => {
      const first = this.#back.shift();
      if (first !== undefined && !this.#isClosed) this.#deliver(first);
    });
  }

  #deliver(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isClosed;) {
      const target = this.#handler?.target() ?? new Uint8Array(bytes.length);
      const count = Math.min(target.length, bytes.length - at);
      target.set(bytes.subarray(at, at + count));
      at += count;
      this.#handler?.received(count);
    }
  }

  #failure(): (typeof failures)[number] | undefined {
    const { random, plan, isStormy, noteFault } = this.#parts;
    if (!isStormy() || plan.networkFailsOneIn === 0) return undefined;
    if (random.below(plan.networkFailsOneIn) > 0) return undefined;
    noteFault();
    return failures[random.below(failures.length)];
  }

  #later(task: () => void): void {
    const { scheduler, random, plan } = this.#parts;
    scheduler.after(random.below(plan.networkMsMax * 10 + 1) / 10, task);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.destroy();
  }

  /** What is on the way to the server still arrives, as a real network's would. */
  destroy(): void {
    this.#isEnding = true;
    if (this.#there.length === 0) this.#inner.destroy();
    this.#closed(undefined);
  }

  #closed(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.scheduler.soon(() => this.#handler?.closed(error));
  }
}
