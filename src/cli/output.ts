// Results on stdout, talk on stderr; with back-pressure, and without complaint when nobody reads on.

import type { Writable } from "node:stream";

import { LogError } from "../errors/index.ts";

const PIECE_BYTES = 64 * 1024;

/** What ends a command whose reader went away, as in `cordwood consume orders | head`. */
export const readerGone = new LogError("cancelled", "nobody reads the output any more");

/**
 * Bytes on their way to stdout, gathered into pieces. Whoever writes much awaits {@link Output.drained}
 * between two portions.
 */
export class Output {
  readonly isTerminal: boolean;
  readonly #stream: Writable;
  #piece = Buffer.allocUnsafe(PIECE_BYTES);
  #pieceBytes = 0;
  #isGone = false;

  /** `gone` is called once, when the reader went away. */
  constructor(stream: Writable & { readonly isTTY?: boolean }, gone: () => void) {
    this.#stream = stream;
    this.isTerminal = stream.isTTY === true;
    stream.on("error", () => {
      if (this.#isGone) return;
      this.#isGone = true;
      gone();
    });
  }

  text(text: string): void {
    const size = text.length * 3;
    if (size > PIECE_BYTES - this.#pieceBytes) {
      this.bytes(Buffer.from(text));
      return;
    }
    this.#pieceBytes += this.#piece.write(text, this.#pieceBytes);
  }

  /** Copies. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length > PIECE_BYTES - this.#pieceBytes) this.#flush();
    if (bytes.length > PIECE_BYTES) {
      if (!this.#isGone) this.#stream.write(Buffer.from(bytes));
      return;
    }
    this.#piece.set(bytes, this.#pieceBytes);
    this.#pieceBytes += bytes.length;
  }

  /** Hands everything to the system; settles when it took enough for more to come. */
  async drained(): Promise<void> {
    this.#flush();
    if (this.#isGone || !this.#stream.writableNeedDrain) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const events = ["drain", "error", "close"] as const;
    for (const event of events) this.#stream.once(event, resolve);
    await promise;
    for (const event of events) this.#stream.off(event, resolve);
  }

  /** Settles when the system has it all. */
  async end(): Promise<void> {
    this.#flush();
    if (this.#isGone) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.write("", () => resolve());
    await promise;
  }

  #flush(): void {
    if (this.#pieceBytes === 0) return;
    const piece = this.#piece.subarray(0, this.#pieceBytes);
    this.#piece = Buffer.allocUnsafe(PIECE_BYTES);
    this.#pieceBytes = 0;
    if (!this.#isGone) this.#stream.write(piece);
  }
}
