/** Answers of the calls that are framed here: gRPC, gRPC-Web and Connect, with protobuf for messages. */
import {
  codeToHttpStatus,
  errorToJson,
  parseTimeout as parseConnectTimeout,
} from "@connectrpc/connect/protocol-connect";
import {
  parseTimeout as parseGrpcTimeout,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";

import type { HttpAnswerHeaders, HttpExchange, Timer, Timers } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { ENVELOPE_BYTES, type Encoding, sealEnvelope } from "./envelopes.ts";
import { connectErrorOf } from "./errors.ts";
import { rpcLimits } from "./limits.ts";

/** How a call is framed. */
export type Framing = "grpc" | "grpc-web" | "connect-stream" | "connect-unary";

const CONNECT_END = 2;
const WEB_TRAILERS = 0x80;

const framings: ReadonlyMap<string, Framing> = new Map([
  ["application/grpc", "grpc"],
  ["application/grpc+proto", "grpc"],
  ["application/grpc-web", "grpc-web"],
  ["application/grpc-web+proto", "grpc-web"],
  ["application/connect+proto", "connect-stream"],
  ["application/proto", "connect-unary"],
]);

/** Undefined where the call is for Connect's own handlers: messages in JSON, and whatever is refused. */
export function framingOf(exchange: HttpExchange, isUnary: boolean): Framing | undefined {
  if (exchange.method !== "POST") return undefined;
  const framing = framings.get(headerOf(exchange, "content-type") ?? "");
  if (framing === "connect-unary") return isUnary ? framing : undefined;
  if (framing === "connect-stream") return isUnary ? undefined : framing;
  return framing === "grpc" && exchange.httpVersion === 1 ? undefined : framing;
}

/** The answer of one call. After the client has gone, or the answer has ended, every call does nothing. */
// hot: once for every call; bench/http.
export class RpcAnswer {
  readonly exchange: HttpExchange;
  readonly framing: Framing;
  #isBegun = false;
  #isOver = false;
  #deadline: Timer | undefined;
  #whenOver: (() => void) | undefined;

  constructor(exchange: HttpExchange, framing: Framing) {
    this.exchange = exchange;
    this.framing = framing;
  }

  /** Bytes to leave free before a message. */
  get headBytes(): number {
    return this.framing === "connect-unary" ? 0 : ENVELOPE_BYTES;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** How the client compresses. @throws LogError unsupported. */
  get encoding(): Encoding {
    const name = headerOf(this.exchange, encodingHeaders[this.framing]) ?? "identity";
    if (name === "identity" || name === "gzip") return name;
    throw new LogError("unsupported", `compression "${name}"; gzip and identity are known`);
  }

  /**
   * Keeps the deadline that the client has set, if any: the answer fails then, and `passed` is told.
   * @throws LogError invalid_argument.
   */
  limitTime(timers: Timers, passed?: (error: LogError) => void): void {
    const isConnect = this.framing.startsWith("connect");
    const text = headerOf(this.exchange, isConnect ? "connect-timeout-ms" : "grpc-timeout");
    if (text === undefined) return;
    const parse = isConnect ? parseConnectTimeout : parseGrpcTimeout;
    const { timeoutMs, error } = parse(text, rpcLimits.timeoutMsMax);
    if (timeoutMs === undefined || error !== undefined) {
      throw new LogError("invalid_argument", `the deadline "${text}": ${error?.rawMessage}`);
    }
    this.#deadline = timers.after(timeoutMs, () => {
      const late = new LogError("timeout", `the call's deadline of ${timeoutMs} ms has passed`);
      passed?.(late);
      this.fail(late);
    });
  }

  /** Calls back when the answer has ended, or nobody waits for it any more. */
  whenOver(callback: () => void): void {
    this.#whenOver = callback;
    this.exchange.whenGone(() => this.#close());
  }

  /** Begins the answer of a stream, so that the client sees it before the first message. */
  begin(): void {
    if (this.#isBegun || this.#isOver) return;
    this.#isBegun = true;
    const hasTrailers = this.framing === "grpc";
    this.exchange.begin(200, heads[this.framing], { hasTrailers });
  }

  /** `message` has {@link RpcAnswer.headBytes} before it. False where the client must take some first. */
  send(message: Buffer): boolean {
    if (this.#isOver) return true;
    this.begin();
    return this.exchange.write(sealEnvelope(message));
  }

  /** The only message, and the end. */
  reply(message: Buffer): void {
    if (this.#isOver) return;
    if (this.framing === "connect-unary") {
      this.#close();
      this.exchange.answer(200, heads[this.framing], message);
      return;
    }
    this.send(message);
    this.end();
  }

  /** The end of an answer that is well. */
  end(): void {
    if (this.#isOver) return;
    this.begin();
    this.#close();
    const { exchange } = this;
    if (this.framing === "grpc") {
      exchange.end(statusOk);
    } else {
      exchange.write(this.framing === "grpc-web" ? webOk : connectEnd({}));
      exchange.end();
    }
  }

  /** The end of an answer that is not. */
  fail(thrown: unknown): void {
    if (this.#isOver) return;
    this.#close();
    const { exchange, framing } = this;
    const error = connectErrorOf(thrown);
    if (framing === "connect-unary") {
      const headers = { "content-type": "application/json", ...acceptGzip };
      const body = JSON.stringify(errorToJson(error, undefined));
      exchange.answer(codeToHttpStatus(error.code), headers, body);
      return;
    }
    if (framing === "grpc") {
      const trailers = Object.fromEntries(setTrailerStatus(new Headers(), error));
      if (this.#isBegun) exchange.end(trailers);
      else exchange.answer(200, { ...heads.grpc, ...trailers }, "");
      return;
    }
    if (!this.#isBegun) exchange.begin(200, heads[framing]);
    const end =
      framing === "grpc-web"
        ? webTrailers(setTrailerStatus(new Headers(), error))
        : connectEnd({ error: errorToJson(error, undefined) });
    exchange.write(end);
    exchange.end();
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#whenOver?.();
  }
}

function headerOf(exchange: HttpExchange, name: string): string | undefined {
  const value = exchange.headers[name];
  return typeof value === "string" ? value : value?.[0];
}

const encodingHeaders: Record<Framing, string> = {
  grpc: "grpc-encoding",
  "grpc-web": "grpc-encoding",
  "connect-stream": "connect-content-encoding",
  "connect-unary": "content-encoding",
};

const acceptGzip = { "accept-encoding": "gzip" } as const;

const heads: Record<Framing, HttpAnswerHeaders> = {
  grpc: { "content-type": "application/grpc+proto", "grpc-accept-encoding": "gzip" },
  "grpc-web": { "content-type": "application/grpc-web+proto", "grpc-accept-encoding": "gzip" },
  "connect-stream": {
    "content-type": "application/connect+proto",
    "connect-accept-encoding": "gzip",
  },
  "connect-unary": { "content-type": "application/proto", ...acceptGzip },
};

const statusOk: HttpAnswerHeaders = { "grpc-status": "0" };
const webOk = envelope(Buffer.from("grpc-status: 0\r\n"), WEB_TRAILERS);

function webTrailers(trailers: Headers): Buffer {
  const lines = Array.from(trailers, ([name, value]) => `${name}: ${value}\r\n`);
  return envelope(Buffer.from(lines.join("")), WEB_TRAILERS);
}

function connectEnd(end: object): Buffer {
  return envelope(Buffer.from(JSON.stringify(end)), CONNECT_END);
}

function envelope(body: Buffer, flags: number): Buffer {
  return sealEnvelope(Buffer.concat([Buffer.alloc(ENVELOPE_BYTES), body]), flags);
}
