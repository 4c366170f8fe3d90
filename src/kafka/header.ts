// Headers in front of every message. A request: key, version, correlation id, client id, and from
// the API's first flexible version on a set of tagged fields. A response: the correlation id, and
// tagged fields likewise. The answer to ApiVersions never has tags, so that a client can read it
// before it knows what the server speaks.

import { LogError } from "../errors/index.ts";
import type { MessageWriter, Source } from "./codec/writer.ts";
import {
  type ApiName,
  type RequestBody,
  type ResponseBody,
  type ResponseOf,
  apis,
  hasResponseTags,
  requestCodec,
  responseCodec,
} from "./registry.ts";

/** Key, version and correlation id: what the shortest request has. */
const requestBytesMin = 8;

/** The header of a request; one object is read again and again. */
export class RequestHeader {
  apiKey = 0;
  version = 0;
  correlationId = 0;
  clientId: string | undefined = undefined;
  /** Where the body begins. */
  bodyStart = 0;
  /** The client id as it lay in the last header: a connection hardly ever changes it. */
  #clientIdBytes = Buffer.alloc(0);
  #clientIdText: string | undefined = undefined;

  /** Reads what every version of every API has. */
  readFixed({ view }: Source, start: number, end: number): void {
    if (end - start < requestBytesMin) {
      throw new LogError("protocol_violation", `a request of ${end - start} bytes has no header`);
    }
    this.apiKey = view.getInt16(start);
    this.version = view.getInt16(start + 2);
    this.correlationId = view.getInt32(start + 4);
    this.clientId = undefined;
    this.bodyStart = start + requestBytesMin;
  }

  /** Reads what follows, once the version is known to be one of ours. */
  readRest(source: Source, end: number, isFlexible: boolean): void {
    const { view, bytes } = source;
    let at = this.bodyStart;
    if (end - at < 2) throw new LogError("protocol_violation", "a request ends in its client id");
    const size = view.getInt16(at);
    at += 2;
    if (size >= 0) {
      if (size > end - at) {
        throw new LogError("protocol_violation", "a request ends in its client id");
      }
      this.clientId = this.#clientIdAt(bytes, at, size);
      at += size;
    }
    this.bodyStart = isFlexible ? skipTags(source, at, end) : at;
  }

  #clientIdAt(bytes: Buffer, at: number, size: number): string {
    const known = this.#clientIdBytes;
    const isKnown = known.length === size && known.compare(bytes, at, at + size) === 0;
    if (this.#clientIdText !== undefined && isKnown) return this.#clientIdText;
    this.#clientIdBytes = Buffer.from(bytes.subarray(at, at + size));
    this.#clientIdText = this.#clientIdBytes.toString("utf8");
    return this.#clientIdText;
  }
}

/** Steps over tagged fields, none of which this program knows. */
function skipTags({ bytes }: Source, start: number, end: number): number {
  let at = start;
  const unsigned = (): number => {
    let value = 0;
    for (let index = 0; index < 5 && at < end; index++) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    throw new LogError("protocol_violation", "the tagged fields of a header have no end");
  };
  for (let left = unsigned(); left > 0; left--) {
    unsigned();
    const size = unsigned();
    if (size > end - at) {
      throw new LogError("protocol_violation", "a tagged field of a header passes the end");
    }
    at += size;
  }
  return at;
}

export interface RequestOptions {
  readonly version: number;
  readonly correlationId: number;
  readonly clientId?: string | undefined;
}

/** A request with its size in front, as parts to send: what a client writes. */
export function encodeRequest<K extends ApiName>(
  writer: MessageWriter,
  name: K,
  { version, correlationId, clientId }: RequestOptions,
  body: RequestBody<K>,
): Uint8Array[] {
  const api = apis[name];
  const id = clientId === undefined ? undefined : Buffer.from(clientId, "utf8");
  const idBytes = id?.length ?? 0;
  writer.begin();
  let at = writer.grow(writer.position, requestBytesMin + 2 + idBytes + 1);
  writer.view.setInt16(at, api.key);
  writer.view.setInt16(at + 2, version);
  writer.view.setInt32(at + 4, correlationId);
  writer.view.setInt16(at + 8, id === undefined ? -1 : idBytes);
  if (id !== undefined) writer.bytes.set(id, at + 10);
  at += 10 + idBytes;
  if (version >= api.flexibleSince) writer.bytes[at++] = 0;
  writer.position = at;
  return encodeBody(writer, () => requestCodec(name, version).encode(writer, body));
}

/** A response with its size in front, as parts to send: what a server writes. */
// oxlint-disable-next-line max-params
export function encodeResponse<K extends ApiName>(
  writer: MessageWriter,
  name: K,
  version: number,
  correlationId: number,
  body: ResponseBody<K>,
): Uint8Array[] {
  writer.begin();
  let at = writer.grow(writer.position, 5);
  writer.view.setInt32(at, correlationId);
  at += 4;
  if (hasResponseTags(name, version)) writer.bytes[at++] = 0;
  writer.position = at;
  return encodeBody(writer, () => responseCodec(name, version).encode(writer, body));
}

/** Closes the message; one that cannot be encoded leaves nothing behind. */
function encodeBody(writer: MessageWriter, encode: () => void): Uint8Array[] {
  try {
    encode();
    return writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

/** The correlation id of a response frame: known before it is known what it answers. */
export function correlationIdAt(source: Source, start: number, end: number): number {
  if (end - start < 4) throw new LogError("protocol_violation", "a response has no header");
  return source.view.getInt32(start);
}

/** The body of a response frame; views in it are valid as long as the memory of `source` is. */
// oxlint-disable-next-line max-params
export function decodeResponse<K extends ApiName>(
  name: K,
  version: number,
  source: Source,
  start: number,
  end: number,
): ResponseOf<K> {
  correlationIdAt(source, start, end);
  const at = hasResponseTags(name, version) ? skipTags(source, start + 4, end) : start + 4;
  return responseCodec(name, version).decode(source, at, end);
}
