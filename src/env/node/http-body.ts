import type { Readable } from "node:stream";

import { LogError } from "../../errors/index.ts";
import type { BodyReceiver, HttpLimits, ReceiveOptions } from "../http.ts";

/** How often bodies and connections are looked over for their deadlines. */
export const SWEEP_MS = 1_000;

/** What all requests of one listener share. */
export class HttpShare {
  readonly limits: HttpLimits;
  /** Whole seconds since the start, as the sweep counts them. */
  now = 0;
  requestsInFlight = 0;
  /** Bytes of bodies that are read whole and not handed on yet. */
  bodyBytesInMemory = 0;
  readonly #reading = new Set<BodyReading>();
  readonly #sweep: NodeJS.Timeout;

  constructor(limits: HttpLimits) {
    this.limits = limits;
    this.#sweep = setInterval(() => {
      this.now++;
      for (const reading of this.#reading) reading.look(this.now);
    }, SWEEP_MS).unref();
  }

  began(reading: BodyReading): void {
    this.#reading.add(reading);
  }

  ended(reading: BodyReading): void {
    this.#reading.delete(reading);
  }

  stop(): void {
    clearInterval(this.#sweep);
  }
}

interface ReadingOptions extends ReceiveOptions {
  /** Whether the body is wanted whole, and within a time of its own. */
  readonly isWhole?: true | undefined;
  /** Whether the body that ended is not all that the client meant to send. */
  readonly isCut: () => boolean;
}

/** Moves one body from a stream of Node's to its receiver, within the limits. */
export class BodyReading {
  readonly #share: HttpShare;
  readonly #stream: Readable;
  readonly #receiver: BodyReceiver;
  readonly #bytesMax: number;
  readonly #secondsMax: number;
  /** Of the last byte, or of the beginning where the body is read whole. */
  #since: number;
  readonly #isWhole: boolean;
  readonly #isCut: () => boolean;
  #bytes = 0;
  #isOver = false;
  #isPaused = false;

  constructor(share: HttpShare, stream: Readable, receiver: BodyReceiver, options: ReadingOptions) {
    this.#share = share;
    this.#stream = stream;
    this.#receiver = receiver;
    this.#bytesMax = options.bytesMax;
    this.#isWhole = options.isWhole === true;
    this.#isCut = options.isCut;
    this.#since = share.now;
    const { bodyMsMax, bodyIdleMsMax } = share.limits;
    const msMax = this.#isWhole ? bodyMsMax : bodyIdleMsMax;
    this.#secondsMax = options.isOpenEnded === true ? Infinity : Math.ceil(msMax / SWEEP_MS);
    stream.on("data", (chunk: Buffer) => this.#received(chunk));
    stream.on("end", () => this.#ended());
    stream.on("error", () => this.#gone());
    stream.on("close", () => this.#gone());
    share.began(this);
  }

  /** Whether all of it was received, or no more of it is wanted. */
  get isOver(): boolean {
    return this.#isOver;
  }

  pause(): void {
    if (this.#isOver) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#since = this.#share.now;
    if (!this.#isOver) this.#stream.resume();
  }

  /** Gives a body up that takes too long. Not one that its receiver holds back. */
  look(now: number): void {
    if (this.#isPaused && !this.#isWhole) return;
    if (now - this.#since <= this.#secondsMax) return;
    const what = this.#isWhole ? "did not arrive within" : "brought no byte for";
    this.fail(new LogError("timeout", `the body ${what} ${this.#secondsMax} seconds`));
  }

  fail(error: LogError): void {
    if (this.#isOver) return;
    this.#over();
    // What still comes is read and dropped, so that the client gets to read its answer.
    this.#stream.resume();
    this.#receiver.failed(error);
  }

  #received(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bytesMax) {
      this.fail(bodyTooLarge(this.#bytesMax));
      return;
    }
    if (!this.#isWhole) this.#since = this.#share.now;
    this.#receiver.received(chunk);
  }

  #ended(): void {
    if (this.#isOver) return;
    if (this.#isCut()) {
      this.#gone();
      return;
    }
    this.#over();
    this.#receiver.ended();
  }

  #gone(): void {
    if (this.#isOver) return;
    this.#over();
    this.#receiver.failed(clientGone());
  }

  #over(): void {
    this.#isOver = true;
    this.#share.ended(this);
  }
}

/** Gathers a whole body. */
export class WholeBody implements BodyReceiver {
  readonly #share: HttpShare;
  readonly #done: (body: Uint8Array | LogError) => void;
  readonly #fail: (error: LogError) => void;
  #first: Uint8Array | undefined;
  #more: Uint8Array[] | undefined;
  #bytes = 0;

  /** `fail` ends the reading with an error. */
  constructor(
    share: HttpShare,
    done: (body: Uint8Array | LogError) => void,
    fail: (error: LogError) => void,
  ) {
    this.#share = share;
    this.#done = done;
    this.#fail = fail;
  }

  received(bytes: Uint8Array): void {
    const share = this.#share;
    this.#bytes += bytes.length;
    share.bodyBytesInMemory += bytes.length;
    if (share.bodyBytesInMemory > share.limits.bodyBytesInMemoryMax) {
      const reason = `${share.limits.bodyBytesInMemoryMax} bytes of bodies are in memory already; try again later`;
      this.#fail(new LogError("limit_exceeded", reason));
      return;
    }
    if (this.#first === undefined) this.#first = bytes;
    else (this.#more ??= []).push(bytes);
  }

  ended(): void {
    const first = this.#first ?? nothing;
    const body = this.#more === undefined ? first : Buffer.concat([first, ...this.#more]);
    this.#release();
    this.#done(body);
  }

  failed(error: LogError): void {
    this.#release();
    this.#done(error);
  }

  #release(): void {
    this.#share.bodyBytesInMemory -= this.#bytes;
    this.#bytes = 0;
    this.#first = undefined;
    this.#more = undefined;
  }
}

const nothing = new Uint8Array(0);

export function bodyTooLarge(bytesMax: number): LogError {
  return new LogError("record_too_large", `the body is larger than ${bytesMax} bytes`);
}

export function clientGone(): LogError {
  return new LogError("cancelled", "the client went away");
}
