import type { Readable, Writable } from "node:stream";

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
import { Departure, takesMore } from "./departure.ts";
import { BodyReading, bodyTooLarge, type HttpShare, WholeBody } from "./http-body.ts";

/** What a client asks for. */
interface Target {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}

/** A request over a stream of Node's, and its answer over the same or another one: what all versions of HTTP have in common. */
// hot: once for every request; guarded by bench/http.
export abstract class NodeExchange implements HttpExchange {
  abstract readonly httpVersion: 1 | 2;
  abstract readonly headers: HttpHeaders;
  abstract readonly remote: string;
  abstract readonly isUpgrade: boolean;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly #share: HttpShare;
  readonly #body: Readable;
  readonly #answer: Writable;
  protected reading: BodyReading | undefined;
  /** Nothing more can be sent. */
  protected isOver = false;
  /** The answer was ended, or its connection went to another protocol. */
  protected isFinished = false;
  readonly #departure = new Departure();

  // oxlint-disable-next-line max-params -- a request, and the streams of its body and its answer
  constructor(
    share: HttpShare,
    { method = "GET", url = "/" }: Target,
    body: Readable,
    answer: Writable,
  ) {
    this.#share = share;
    this.#body = body;
    this.#answer = answer;
    this.method = method;
    const split = url.indexOf("?");
    this.path = split < 0 ? url : url.slice(0, split);
    this.query = split < 0 ? "" : url.slice(split + 1);
    share.requestsInFlight++;
    answer.on("close", () => this.closed());
    // A client that hangs up, or resets its stream, is told by `close`.
    answer.on("error", () => {});
  }

  get isGone(): boolean {
    return this.#departure.isGone;
  }

  get unsentBytes(): number {
    return this.#answer.writableLength;
  }

  get signal(): AbortSignal {
    return this.#departure.signal;
  }

  whenGone(callback: () => void): void {
    this.#departure.when(callback);
  }

  readBody(bytesMax: number, done: (body: Uint8Array | LogError) => void): void {
    if (this.#isTooLarge(bytesMax)) {
      this.#body.resume();
      done(bodyTooLarge(bytesMax));
      return;
    }
    const whole = new WholeBody(this.#share, done, (error) => this.reading?.fail(error));
    this.#read(whole, { bytesMax, isWhole: true });
  }

  receive(receiver: BodyReceiver, options: ReceiveOptions): void {
    if (this.#isTooLarge(options.bytesMax)) {
      this.#body.resume();
      receiver.failed(bodyTooLarge(options.bytesMax));
      return;
    }
    this.#read(receiver, options);
  }

  pause(): void {
    this.reading?.pause();
  }

  resume(): void {
    this.reading?.resume();
  }

  write(bytes: string | Uint8Array): boolean {
    if (this.isOver || this.isFinished || bytes.length === 0) return true;
    return this.#answer.write(bytes);
  }

  async drained(): Promise<void> {
    if (!this.isOver) await takesMore(this.#answer);
  }

  abstract answer(status: number, headers: HttpAnswerHeaders, body: string | Uint8Array): void;
  abstract begin(status: number, headers: HttpAnswerHeaders, options?: BeginOptions): void;
  abstract end(trailers?: HttpAnswerHeaders): void;
  abstract abort(): void;
  abstract upgrade(headers: HttpAnswerHeaders): Connection;

  /** Whether the body that ended is not all that the client meant to send. */
  protected abstract isBodyCut(): boolean;
  /** Whether the answer that is over was not sent whole. */
  protected abstract isAnswerCut(): boolean;

  /** The streams of the request are closed. */
  protected closed(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#share.requestsInFlight--;
    this.#departure.over(this.isAnswerCut());
  }

  #isTooLarge(bytesMax: number): boolean {
    const told = this.headers["content-length"];
    return told !== undefined && Number(told) > bytesMax;
  }

  #read(receiver: BodyReceiver, options: ReceiveOptions & { readonly isWhole?: true }): void {
    invariant(this.reading === undefined, "a body is read once");
    this.reading = new BodyReading(this.#share, this.#body, receiver, {
      ...options,
      isCut: () => this.isBodyCut(),
    });
  }
}
