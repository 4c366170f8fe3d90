/** Connect's own handlers on the exchanges of the environment. */
import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import type {
  Compression,
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import type { DescMethod } from "@bufbuild/protobuf";
import { gzipSync } from "node:zlib";

import type { HttpExchange } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { inflated } from "./envelopes.ts";
import { connectErrorOf } from "./errors.ts";
import { rpcLimits } from "./limits.ts";

/** Answers of fewer bytes are not worth compressing. */
const COMPRESS_BYTES_MIN = 1024;

const gzip: Compression = {
  name: "gzip",
  compress: async (bytes) => new Uint8Array(gzipSync(bytes)),
  decompress: async (bytes) => {
    if (bytes.length === 0) return new Uint8Array(0);
    try {
      return new Uint8Array(inflated(bytes));
    } catch (thrown) {
      throw connectErrorOf(thrown);
    }
  },
};

/** Every call of the services that `register` adds, in Connect, gRPC and gRPC-Web. */
export class ConnectDoor {
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;

  /** Calls that are open when `ending` is aborted are ended. */
  constructor(register: (router: ConnectRouter) => void, ending: AbortSignal) {
    const router = createConnectRouter({
      acceptCompression: [gzip],
      compressMinBytes: COMPRESS_BYTES_MIN,
      readMaxBytes: rpcLimits.messageBytesMax,
      maxTimeoutMs: rpcLimits.timeoutMsMax,
      shutdownSignal: ending,
    });
    register(router);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  /** Takes the call where there is a handler for its path; false where there is none. */
  take(exchange: HttpExchange): boolean {
    const handler = this.#handlers.get(exchange.path);
    if (handler === undefined) return false;
    // Whatever fails while the answer is sent leaves nothing to answer with.
    serve(exchange, handler).catch(() => exchange.abort());
    return true;
  }
}

async function serve(exchange: HttpExchange, handler: UniversalHandler): Promise<void> {
  const { status, header, body, trailer } = await handler(
    requestOf(exchange, handler.method.methodKind),
  );
  const chunks = body?.[Symbol.asyncIterator]();
  try {
    // Some headers are set only when the first bytes are made.
    let chunk = await chunks?.next();
    const hasTrailers = trailer !== undefined && exchange.httpVersion === 2;
    exchange.begin(status, headersOf(header), { hasTrailers });
    while (chunk !== undefined && chunk.done !== true) {
      if (!exchange.write(chunk.value)) await exchange.drained();
      if (exchange.isGone) return;
      chunk = await chunks?.next();
    }
    exchange.end(trailer === undefined ? undefined : headersOf(trailer));
  } finally {
    await chunks?.return?.();
  }
}

function headersOf(headers: UniversalServerResponse["header"]): Record<string, string> {
  return Object.fromEntries(headers ?? []);
}

function requestOf(exchange: HttpExchange, kind: DescMethod["methodKind"]): UniversalServerRequest {
  const header = new Headers();
  for (const [name, value] of Object.entries(exchange.headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const one of typeof value === "string" ? [value] : value) header.append(name, one);
  }
  const query = exchange.query === "" ? "" : `?${exchange.query}`;
  return {
    httpVersion: exchange.httpVersion === 2 ? "2.0" : "1.1",
    // The authority is nobody's concern here, and one that is malformed would be an error.
    url: `http://server${exchange.path}${query}`,
    method: exchange.method,
    header,
    body: bodyOf(exchange, kind === "client_streaming" || kind === "bidi_streaming"),
    signal: exchange.signal,
  };
}

/** The body, read as it is asked for: one piece is in memory at a time, and what had been read when it was paused. */
async function* bodyOf(exchange: HttpExchange, isOpenEnded: boolean): AsyncGenerator<Uint8Array> {
  if (exchange.method === "GET") return;
  const pieces: Uint8Array[] = [];
  let end: LogError | "whole" | undefined;
  let wake: (() => void) | undefined;
  exchange.receive(
    {
      received(bytes) {
        pieces.push(bytes);
        exchange.pause();
        wake?.();
      },
      ended() {
        end = "whole";
        wake?.();
      },
      failed(error) {
        end = error;
        wake?.();
      },
    },
    { bytesMax: Infinity, isOpenEnded },
  );
  for (;;) {
    const piece = pieces.shift();
    if (piece !== undefined) {
      yield piece;
      continue;
    }
    if (end === "whole") return;
    if (end !== undefined) throw new ConnectError(end.message, codeOf(end));
    exchange.resume();
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function codeOf(error: LogError): Code {
  return connectErrorOf(error).code;
}
