import { invariant } from "../errors/index.ts";
import type { Slab } from "./frames.ts";
import type { ApiName, RequestOf, ResponseBody } from "./registry.ts";

/** Who is on the other side of a connection, as far as it is known. */
export interface Peer {
  /** Number of the connection within its listener. */
  readonly id: number;
  /** Address and port. */
  readonly remote: string;
  /** Address alone. */
  readonly host: string;
  /** What ApiVersions told, once it came. */
  readonly softwareName: string;
  readonly softwareVersion: string;
}

/** A new connection of which only the address is known. */
export function peerOf(id: number, remote: string): Peer {
  const host = remote.slice(0, Math.max(0, remote.lastIndexOf(":")));
  return { id, remote, host, softwareName: "", softwareVersion: "" };
}

/**
 * Answers one kind of request. It returns the response or a promise of it, or undefined when it
 * answers through the exchange, now or later: that way needs no promise.
 *
 * `records` of a request lie in the connection's memory and are valid until the answer is given, also
 * when that is {@link Exchange.sendNothing}; everything else in a request may be kept.
 * A handler makes responses of its errors: whatever it throws closes the connection.
 */
export type Handler<K extends ApiName> = (
  request: RequestOf<K>,
  exchange: Exchange<K>,
) => ResponseBody<K> | Promise<ResponseBody<K>> | undefined;

/** A handler for every API that the server offers. */
export type Handlers = { readonly [K in ApiName]: Handler<K> };

/** What an exchange needs of its connection. */
export interface ExchangeOwner {
  readonly isOpen: boolean;
  readonly peer: Peer;
  /** Encodes the response where the connection is open; answers whether it will be sent. */
  answer(exchange: Exchange, response: ResponseBody<ApiName>): boolean;
  /** An exchange was answered, whether or not the connection is still there. */
  settled(requestBytes: number): void;
}

const noParts: readonly Uint8Array[] = [];

/** One request and the way to answer it, exactly once. */
export class Exchange<K extends ApiName = ApiName> {
  readonly api: K;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string | undefined;
  /** Runs once when the connection goes away before the answer; the answer must be given all the same. */
  onGone: (() => void) | undefined = undefined;
  /** The encoded response while it waits for those before it. Set by the connection. */
  parts: readonly Uint8Array[] | undefined = undefined;
  /** Runs when the memory of the response may be used again. */
  sent: (() => void) | undefined = undefined;
  readonly #requestBytes: number;
  readonly #slab: Slab;
  readonly #owner: ExchangeOwner;
  #isAnswered = false;

  // The connection makes these, one for each request; an object of options would be a second one.
  // oxlint-disable-next-line max-params
  constructor(
    api: K,
    header: {
      readonly version: number;
      readonly correlationId: number;
      readonly clientId: string | undefined;
    },
    slab: Slab,
    requestBytes: number,
    owner: ExchangeOwner,
  ) {
    this.api = api;
    this.version = header.version;
    this.correlationId = header.correlationId;
    this.clientId = header.clientId;
    this.#requestBytes = requestBytes;
    this.#slab = slab;
    this.#owner = owner;
    slab.hold();
  }

  get peer(): Peer {
    return this.#owner.peer;
  }

  /** Whether the other side is still there to hear the answer. */
  get isOpen(): boolean {
    return this.#owner.isOpen;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /**
   * Answers. The response is encoded before this returns, but for long record chunks, which are sent
   * from where they lie: `sent` runs when they are free again, also when the connection went away.
   */
  send(response: ResponseBody<K>, sent?: () => void): void {
    invariant(!this.#isAnswered, "a request is answered once");
    this.#isAnswered = true;
    this.sent = sent;
    if (!this.#owner.answer(this, response)) {
      this.sent = undefined;
      sent?.();
    }
    this.#settle();
  }

  /** Answers with silence, as a producer with acks=0 asks for. */
  sendNothing(): void {
    invariant(!this.#isAnswered, "a request is answered once");
    this.#isAnswered = true;
    this.parts = noParts;
    this.#settle();
  }

  /** Tells whoever waits for something to answer that nobody listens any more. */
  gone(): void {
    const { onGone } = this;
    this.onGone = undefined;
    onGone?.();
  }

  #settle(): void {
    this.onGone = undefined;
    this.#slab.release();
    this.#owner.settled(this.#requestBytes);
  }
}
