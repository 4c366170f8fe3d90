/** The calls that are framed here and not by Connect's handlers, because they are many: appends and readings. */
import { fromBinary } from "@bufbuild/protobuf";

import type { Broker } from "../../broker/index.ts";
import type { Env, HttpExchange } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { type ReadRequest, ReadRequestSchema } from "../../proto/index.ts";
import { readAppend, writeRuns } from "./append-messages.ts";
import { AppendStream } from "./append-stream.ts";
import { framingOf, RpcAnswer } from "./answer.ts";
import { inflated, onlyMessage } from "./envelopes.ts";
import { appendRecords, topicOf } from "./log-verbs.ts";
import { rpcLimits } from "./limits.ts";
import { ReadCall } from "./read-call.ts";

type Run = (parts: LogCallParts, answer: RpcAnswer) => void;

export interface LogCallParts {
  readonly env: Env;
  readonly broker: Broker;
  /** Streams that are open now. */
  readonly streams: Set<OpenStream>;
}

/** A stream that goes on until somebody ends it. */
export interface OpenStream {
  /** Ends it with an error, once what was taken is answered. */
  end(reason: LogError): void;
}

const calls: ReadonlyMap<string, { readonly isUnary: boolean; readonly run: Run }> = new Map([
  ["/cordwood.v1.LogService/Append", { isUnary: true, run: runAppend }],
  ["/cordwood.v1.LogService/AppendStream", { isUnary: false, run: runAppendStream }],
  ["/cordwood.v1.LogService/Read", { isUnary: false, run: runRead }],
]);

/** Takes the call where it is one of these; false where it is not. */
// hot: once for every request.
export function takeLogCall(parts: LogCallParts, exchange: HttpExchange): boolean {
  const call = calls.get(exchange.path);
  if (call === undefined) return false;
  const framing = framingOf(exchange, call.isUnary);
  if (framing === undefined) return false;
  const answer = new RpcAnswer(exchange, framing);
  try {
    call.run(parts, answer);
  } catch (thrown) {
    answer.fail(thrown);
  }
  return true;
}

function runAppend({ env, broker }: LogCallParts, answer: RpcAnswer): void {
  answer.limitTime(env.timers);
  readMessage(answer, (message) => {
    const call = readAppend(message, env.clock.wallMs());
    appendRecords(broker, topicOf(broker, call.topic), call).then(
      (runs) => answer.reply(writeRuns(runs, answer.headBytes)),
      (error: unknown) => answer.fail(error),
    );
  });
}

function runAppendStream({ env, broker, streams }: LogCallParts, answer: RpcAnswer): void {
  const stream = new AppendStream(env, broker, answer);
  streams.add(stream);
  answer.whenOver(() => streams.delete(stream));
  answer.limitTime(env.timers);
  answer.begin();
  answer.exchange.receive(stream, { bytesMax: Infinity, isOpenEnded: true });
}

function runRead({ env, broker, streams }: LogCallParts, answer: RpcAnswer): void {
  const { exchange } = answer;
  const ending = new AbortController();
  const stream: OpenStream = { end: (reason) => ending.abort(reason) };
  streams.add(stream);
  answer.whenOver(() => {
    streams.delete(stream);
    ending.abort(new LogError("cancelled", "the client has gone"));
  });
  answer.limitTime(env.timers, (error) => ending.abort(error));
  readMessage(answer, (message) => {
    const request = requestOf(message);
    const sink = {
      headBytes: answer.headBytes,
      send: (bytes: Buffer) => answer.send(bytes),
      drained: () => exchange.drained(),
    };
    const reading = new ReadCall(env, request, sink, ending.signal);
    reading.run(broker).then(
      () => answer.end(),
      (error: unknown) => answer.fail(error),
    );
  });
}

/** Gives the only message of the call to `take`, whose failure is the call's. */
function readMessage(answer: RpcAnswer, take: (message: Uint8Array) => void): void {
  const { encoding, exchange, framing } = answer;
  exchange.readBody(rpcLimits.messageBytesMax + answer.headBytes, (body) => {
    try {
      if (body instanceof LogError) throw body;
      if (framing !== "connect-unary") take(onlyMessage(body, encoding));
      else take(encoding === "gzip" ? inflated(body) : body);
    } catch (thrown) {
      answer.fail(thrown);
    }
  });
}

function requestOf(message: Uint8Array): ReadRequest {
  try {
    return fromBinary(ReadRequestSchema, message);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LogError("protocol_violation", `malformed message: ${reason}`, { cause: thrown });
  }
}
