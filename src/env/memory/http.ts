import { invariant, InvariantError, LogError } from "../../errors/index.ts";
import type { Connection, Timers } from "../env.ts";
import {
  type BodyReceiver,
  defaultHttpLimits,
  type HttpAnswerHeaders,
  type HttpExchange,
  type HttpHeaders,
  type HttpListener,
  type HttpServerOptions,
  type ReceiveOptions,
} from "../http.ts";

/** What a client in memory asks. The body goes over in pieces of `pieceBytes`, one a turn. */
export interface MemoryHttpQuestion {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers?: HttpHeaders;
  readonly body?: Uint8Array;
  readonly pieceBytes?: number;
}

export interface MemoryHttpAnswer {
  readonly status: number;
  readonly headers: HttpAnswerHeaders;
  readonly body: Uint8Array;
  readonly trailers: HttpAnswerHeaders;
}

/** One request of a client in memory, under way. */
export interface MemoryHttpCall {
  /** Rejects with LogError cancelled where the answer was broken off, or the client hung up. */
  readonly answer: Promise<MemoryHttpAnswer>;
  /** What has come of the body so far. */
  received(): Uint8Array;
  hangUp(): void;
}

/** Serves requests within this process. */
export class MemoryHttpServer {
  readonly #timers: Timers;
  readonly #options: HttpServerOptions;
  readonly #open = new Set<MemoryExchange>();
  #accepted = 0;

  constructor(timers: Timers, options: HttpServerOptions) {
    this.#timers = timers;
    this.#options = options;
  }

  /** `onClose` takes the port back. */
  listener(port: number, onClose: () => void): HttpListener {
    return {
      port,
      stats: () => ({
        connections: this.#open.size,
        connectionsAccepted: this.#accepted,
        connectionsRefused: 0,
        requestsInFlight: this.#open.size,
        receivedBytes: 0,
        sentBytes: 0,
      }),
      close: async () => {
        onClose();
        for (const exchange of this.#open) exchange.hangUp();
      },
    };
  }

  call(question: MemoryHttpQuestion): MemoryHttpCall {
    const exchange: MemoryExchange = new MemoryExchange(this.#timers, question, () =>
      this.#open.delete(exchange),
    );
    const limits = { ...defaultHttpLimits, ...this.#options.limits };
    this.#open.add(exchange);
    this.#accepted++;
    if (headBytes(question) > limits.headBytesMax) exchange.answer(431, {}, "");
    else this.#timers.soon(() => this.#options.handle(exchange));
    return {
      answer: exchange.answered,
      received: () => exchange.sent(),
      hangUp: () => exchange.hangUp(),
    };
  }
}

function headBytes({ path, headers = {} }: MemoryHttpQuestion): number {
  return Object.entries(headers).join("").length + path.length;
}

const nothing = new Uint8Array(0);

class MemoryExchange implements HttpExchange {
  readonly httpVersion = 1;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: HttpHeaders;
  readonly remote = "memory";
  readonly isUpgrade = false;
  readonly unsentBytes = 0;
  readonly answered: Promise<MemoryHttpAnswer>;
  readonly #timers: Timers;
  readonly #body: Uint8Array;
  readonly #pieceBytes: number;
  readonly #onOver: () => void;
  readonly #settle: PromiseWithResolvers<MemoryHttpAnswer>;
  readonly #parts: Uint8Array[] = [];
  #head: Pick<MemoryHttpAnswer, "status" | "headers"> | undefined;
  #receiver: BodyReceiver | undefined;
  /** Bytes of the body that the receiver has. */
  #taken = 0;
  #isPaused = false;
  #isOver = false;
  #isGone = false;
  readonly #abort = new AbortController();
  readonly #whenGone: (() => void)[] = [];

  constructor(timers: Timers, question: MemoryHttpQuestion, onOver: () => void) {
    this.#timers = timers;
    this.#onOver = onOver;
    this.method = question.method;
    const split = question.path.indexOf("?");
    this.path = split < 0 ? question.path : question.path.slice(0, split);
    this.query = split < 0 ? "" : question.path.slice(split + 1);
    this.headers = question.headers ?? {};
    this.#body = question.body ?? nothing;
    this.#pieceBytes = question.pieceBytes ?? Infinity;
    this.#settle = Promise.withResolvers<MemoryHttpAnswer>();
    this.answered = this.#settle.promise;
    // Whoever wants the answer hears of it; a client that hung up wants none.
    this.answered.catch(() => undefined);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What was sent of the answer so far. */
  sent(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  hangUp(): void {
    if (this.#isOver) return;
    const error = new LogError("cancelled", "the client went away");
    this.#isGone = true;
    this.#over();
    this.#settle.reject(error);
    this.#timers.soon(() => {
      const receiver = this.#receiver;
      this.#receiver = undefined;
      receiver?.failed(error);
      this.#abort.abort(error);
      for (const callback of this.#whenGone) callback();
    });
  }

  whenGone(callback: () => void): void {
    if (this.#isGone) callback();
    else this.#whenGone.push(callback);
  }

  readBody(bytesMax: number, done: (body: Uint8Array | LogError) => void): void {
    const parts: Uint8Array[] = [];
    const receiver = {
      received: (bytes: Uint8Array) => void parts.push(bytes),
      ended: () => done(Buffer.concat(parts)),
      failed: done,
    };
    this.receive(receiver, { bytesMax });
  }

  receive(receiver: BodyReceiver, { bytesMax }: ReceiveOptions): void {
    invariant(this.#receiver === undefined && this.#taken === 0, "a body is read once");
    if (this.#body.length > bytesMax) {
      receiver.failed(
        new LogError("record_too_large", `the body is larger than ${bytesMax} bytes`),
      );
      return;
    }
    this.#receiver = receiver;
    this.#moveSoon();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#moveSoon();
  }

  answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void {
    if (this.#isOver || this.#head !== undefined) return;
    this.begin(status, { ...headers, "content-length": Buffer.byteLength(body) });
    if (this.method !== "HEAD") this.write(body);
    this.end();
  }

  begin(status: number, headers: HttpAnswerHeaders): void {
    if (!this.#isOver) this.#head ??= { status, headers };
  }

  write(bytes: string | Uint8Array): boolean {
    if (!this.#isOver) this.#parts.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    return true;
  }

  async drained(): Promise<void> {}

  end(trailers: HttpAnswerHeaders = {}): void {
    if (this.#isOver) return;
    invariant(this.#head !== undefined, "an answer has a head before it ends");
    this.#over();
    this.#settle.resolve({ ...this.#head, body: this.sent(), trailers });
  }

  abort(): void {
    this.hangUp();
  }

  upgrade(): Connection {
    throw new InvariantError("only a handshake is upgraded");
  }

  #over(): void {
    this.#isOver = true;
    this.#onOver();
  }

  #moveSoon(): void {
    this.#timers.soon(() => {
      const receiver = this.#receiver;
      if (this.#isPaused || receiver === undefined) return;
      const piece = this.#body.subarray(this.#taken, this.#taken + this.#pieceBytes);
      this.#taken += piece.length;
      if (piece.length > 0) {
        receiver.received(piece);
        this.#moveSoon();
        return;
      }
      this.#receiver = undefined;
      receiver.ended();
    });
  }
}
