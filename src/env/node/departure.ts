import type { Writable } from "node:stream";

import { clientGone } from "./http-body.ts";

/** Whether the client of a request has gone before its answer was whole, and who wants to know. */
export class Departure {
  #isGone = false;
  #callbacks: (() => void)[] | undefined;
  #abort: AbortController | undefined;

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Made when it is asked for: most requests need none. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      this.when(() => abort.abort(clientGone()));
    }
    return this.#abort.signal;
  }

  when(callback: () => void): void {
    if (this.#isGone) callback();
    else (this.#callbacks ??= []).push(callback);
  }

  /** The request is over; tells those who wait where the client has gone too early. */
  over(isGone: boolean): void {
    this.#isGone = isGone;
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    if (isGone && callbacks !== undefined) for (const callback of callbacks) callback();
  }
}

/** Resolves once a stream takes more, or is closed. */
export async function takesMore(
  stream: Pick<Writable, "writableNeedDrain" | "on" | "off">,
): Promise<void> {
  if (!stream.writableNeedDrain) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}
