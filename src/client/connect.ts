/** The Connect protocol over fetch, in binary: unary calls and streams of answers. https://connectrpc.com/docs/protocol */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

import { LogError } from "../errors/index.ts";
import { abortError } from "../values/index.ts";
import { errorOf, parsedFault, type WireFault } from "./faults.ts";
import type { Platform } from "./platform.ts";

/** Flags, and the length of a message. */
const ENVELOPE_BYTES = 5;
const FLAG_COMPRESSED = 1;
const FLAG_END = 2;
/** Largest message of a stream that is taken. */
const MESSAGE_BYTES_MAX = 128 << 20;

export interface CallOptions {
  readonly signal: AbortSignal;
  /** How long an answer is waited for; none for a stream, which may be silent. */
  readonly timeoutMs?: number | undefined;
}

/** The calls of one server. A call that got no answer rejects with `unreachable`. */
export class Connection {
  readonly url: string;
  readonly #platform: Platform;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, platform: Platform, headers: Readonly<Record<string, string>>) {
    this.url = url;
    this.#platform = platform;
    this.#headers = headers;
  }

  /** @throws LogError what the server answers, unreachable, and what the signal is aborted with. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const { signal, timeoutMs } = options;
    const attempt = new AbortController();
    const timer = new AbortController();
    if (timeoutMs !== undefined) {
      void this.#platform.delay(timeoutMs, timer.signal).then(() => attempt.abort());
    }
    try {
      const body = toBinary(method.input, create(method.input, message));
      const any = AbortSignal.any([signal, attempt.signal]);
      const response = await this.#post(method, "application/proto", { body, signal: any });
      const answer = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw faultOf(response, answer, this.url);
      return this.#decoded(method.output, answer);
    } catch (thrown) {
      if (attempt.signal.aborted && !signal.aborted && timeoutMs !== undefined) {
        throw this.#unreachable(`no answer within ${timeoutMs / 1000} s`, thrown);
      }
      throw this.#errorOf(thrown, signal);
    } finally {
      timer.abort();
    }
  }

  /** Messages as they come. To leave the iteration ends the stream. @throws LogError as `unary`. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    message: MessageInitShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const { signal } = options;
    const leaving = new AbortController();
    try {
      const body = enveloped(toBinary(method.input, create(method.input, message)));
      const any = AbortSignal.any([signal, leaving.signal]);
      const type = "application/connect+proto";
      const response = await this.#post(method, type, { body, signal: any });
      if (!response.ok || response.body === null) {
        throw faultOf(response, new Uint8Array(await response.arrayBuffer()), this.url);
      }
      const reader = response.body.getReader();
      for await (const { flags, bytes } of envelopesOf(reader)) {
        if ((flags & FLAG_COMPRESSED) !== 0) {
          throw new LogError("protocol_violation", `${this.url} compressed what must not be`);
        }
        if ((flags & FLAG_END) !== 0) return this.#end(bytes);
        yield this.#decoded(method.output, bytes);
      }
      throw this.#unreachable("the answer broke off");
    } catch (thrown) {
      throw this.#errorOf(thrown, signal);
    } finally {
      leaving.abort();
    }
  }

  #decoded<O extends DescMessage>(output: O, bytes: Uint8Array): MessageShape<O> {
    try {
      return fromBinary(output, bytes);
    } catch (thrown) {
      const why = `${this.url} sent a ${output.name} that cannot be read`;
      throw new LogError("protocol_violation", why, { cause: thrown });
    }
  }

  /** @throws LogError what the stream failed with, if it did. */
  #end(json: Uint8Array): void {
    const fault = parsedFault(json, "error");
    if (fault !== undefined) throw errorOf(fault, this.url);
  }

  #post(
    method: { readonly name: string; readonly parent: { readonly typeName: string } },
    type: string,
    { body, signal }: { readonly body: Uint8Array<ArrayBuffer>; readonly signal: AbortSignal },
  ): Promise<Response> {
    return this.#platform.fetch(`${this.url}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: { ...this.#headers, "content-type": type, "connect-protocol-version": "1" },
      body,
      signal,
    });
  }

  /** What a call failed with: everything that is not an answer is that there was none. */
  #errorOf(thrown: unknown, signal: AbortSignal): LogError {
    if (signal.aborted) return abortError(signal);
    if (thrown instanceof LogError) return thrown;
    return this.#unreachable(reasonOf(thrown), thrown);
  }

  #unreachable(why: string, cause?: unknown): LogError {
    return new LogError("unreachable", `${this.url} does not answer: ${why}`, { cause });
  }
}

function faultOf(response: Response, body: Uint8Array, url: string): LogError {
  const fault: WireFault | undefined = parsedFault(body);
  if (fault !== undefined) return errorOf(fault, url);
  // A proxy in between, whose server is away.
  if ([408, 429, 502, 503, 504].includes(response.status)) {
    return new LogError("unreachable", `${url} does not answer: status ${response.status}`);
  }
  return new LogError(
    "protocol_violation",
    `${url} answers with status ${response.status} and not as a Cordwood server does: is the port that of HTTP?`,
  );
}

function enveloped(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ENVELOPE_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, ENVELOPE_BYTES);
  return bytes;
}

interface Envelope {
  readonly flags: number;
  readonly bytes: Uint8Array;
}

async function* envelopesOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Envelope, void, undefined> {
  // What came and belongs to no whole envelope yet, joined only when it is enough for one.
  let chunks: Uint8Array[] = [];
  let have = 0;
  let need = ENVELOPE_BYTES;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    chunks.push(value);
    have += value.length;
    if (have < need) continue;
    let bytes = joined(chunks, have);
    let length = messageLength(bytes);
    while (length !== undefined && bytes.length >= ENVELOPE_BYTES + length) {
      const end = ENVELOPE_BYTES + length;
      yield { flags: bytes[0] ?? 0, bytes: bytes.subarray(ENVELOPE_BYTES, end) };
      bytes = bytes.subarray(end);
      length = messageLength(bytes);
    }
    chunks = [bytes];
    have = bytes.length;
    need = ENVELOPE_BYTES + (length ?? 0);
  }
}

function messageLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < ENVELOPE_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (length <= MESSAGE_BYTES_MAX) return length;
  throw new LogError(
    "protocol_violation",
    `a message of ${length} bytes is over the limit of ${MESSAGE_BYTES_MAX}`,
  );
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** What fetch failed with: Node hides it in a cause. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { cause } = thrown;
  return cause instanceof Error && cause.message !== "" ? cause.message : thrown.message;
}
