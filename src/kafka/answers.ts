import type { Connection } from "../env/index.ts";
import { MessageWriter } from "./codec/writer.ts";
import type { Exchange } from "./exchange.ts";
import { encodeResponse } from "./header.ts";
import type { ApiName, ResponseBody } from "./registry.ts";

/** Exchanges that were sent are cut off the front of the queue when there are this many. */
const sentExchangesMax = 64;
const nobody: readonly (() => void)[] = [];

/**
 * The answers of one connection: handlers finish in any order, answers leave in the order of the
 * requests, and all that are ready at the end of a turn leave in one write.
 */
export class AnswerQueue {
  readonly #connection: Connection;
  readonly #writer = new MessageWriter();
  /** In the order of the requests; from `#first` on those whose answer did not leave yet. */
  #queue: Exchange[] = [];
  #first = 0;
  #ready: Uint8Array[] = [];
  #readySent: (() => void)[] = [];
  #readyBytes = 0;
  /** Answers that lie encoded in the writer's memory, sent or not; at none it may be used again. */
  #encoded = 0;
  #readyEncoded = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Requests whose answer is not ready to leave. */
  get inFlight(): number {
    return this.#queue.length - this.#first;
  }

  /** Bytes of answers that the other side has not taken. */
  get unsentBytes(): number {
    return this.#readyBytes + this.#connection.unsentBytes;
  }

  get isEmpty(): boolean {
    return this.inFlight === 0 && this.#ready.length === 0;
  }

  push(exchange: Exchange): void {
    this.#queue.push(exchange);
  }

  /** Puts the response into bytes; it leaves when those before it have. */
  encode(exchange: Exchange, response: ResponseBody<ApiName>): void {
    const { api, version, correlationId } = exchange;
    exchange.parts = encodeResponse(this.#writer, api, version, correlationId, response);
    this.#encoded += 1;
  }

  /** Moves what is answered from the front of the queue to what leaves next; false where nothing was. */
  collect(): boolean {
    const from = this.#first;
    for (;;) {
      const exchange = this.#queue[this.#first];
      if (exchange?.parts === undefined) break;
      this.#first += 1;
      if (exchange.parts.length > 0) this.#take(exchange.parts, exchange.sent);
      exchange.parts = undefined;
    }
    const isChanged = this.#first > from;
    if (this.#first === this.#queue.length) {
      this.#queue.length = 0;
      this.#first = 0;
    } else if (this.#first >= sentExchangesMax) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return isChanged;
  }

  /** Sends what is ready, with one write. */
  flush(): void {
    if (this.#ready.length === 0) return;
    const parts = joinNeighbours(this.#ready);
    // What later answers wait for goes to an array of its own, also while this one still waits.
    const callbacks = this.#readySent.length === 0 ? nobody : this.#readySent;
    const encoded = this.#readyEncoded;
    this.#ready = [];
    if (callbacks !== nobody) this.#readySent = [];
    this.#readyBytes = 0;
    this.#readyEncoded = 0;
    this.#connection.write(parts, () => {
      this.#encoded -= encoded;
      if (this.#encoded === 0) this.#writer.rewind();
      for (const sent of callbacks) sent();
    });
  }

  /** The connection is gone: tells everyone who waits for it. */
  drop(): void {
    const callbacks = this.#readySent;
    const queue = this.#queue.slice(this.#first);
    this.#queue = [];
    this.#first = 0;
    this.#ready = [];
    this.#readySent = [];
    this.#readyBytes = 0;
    for (const sent of callbacks) sent();
    for (const exchange of queue) {
      if (exchange.isAnswered) exchange.sent?.();
      else exchange.gone();
    }
  }

  #take(parts: readonly Uint8Array[], sent: (() => void) | undefined): void {
    for (const part of parts) {
      this.#ready.push(part);
      this.#readyBytes += part.length;
    }
    this.#readyEncoded += 1;
    if (sent !== undefined) this.#readySent.push(sent);
  }
}

/** Parts that lie one behind the other in memory, as one: a system call takes fewer of them. */
function joinNeighbours(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  let index = 0;
  for (let first = parts[index]; first !== undefined; first = parts[index]) {
    let end = first.byteOffset + first.length;
    let next = parts[++index];
    for (; next !== undefined; next = parts[++index]) {
      if (next.buffer !== first.buffer || next.byteOffset !== end) break;
      end += next.length;
    }
    const size = end - first.byteOffset;
    joined.push(
      size === first.length ? first : new Uint8Array(first.buffer, first.byteOffset, size),
    );
  }
  return joined;
}
