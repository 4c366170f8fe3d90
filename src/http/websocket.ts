/** The server's half of WebSocket (RFC 6455): messages go out; nothing but control frames is wanted in. */
import { createHash } from "node:crypto";

import type { Connection, HttpExchange } from "../env/index.ts";
import type { FollowerSink } from "./follower-sink.ts";
import type { RecordEncoder } from "./record-encoder.ts";

/** Joined to the client's key and hashed, so that no other protocol answers by mistake (section 1.3). */
const HANDSHAKE_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Largest frame that a client may send: it has nothing to say. */
const FRAME_BYTES_MAX = 4_096;
/** Head and mask before the payload of a client's frame, at most. */
const CLIENT_HEAD_BYTES_MAX = 14;

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const FINAL = 0x80;
const MASKED = 0x80;

/** Reasons of an end (section 7.4.1). */
const goingAway = 1001;
const protocolError = 1002;
const tooBig = 1009;

/** Why a request is no handshake; undefined where it is one. */
export function handshakeFault({ method, isUpgrade, headers }: HttpExchange): string | undefined {
  if (!isUpgrade) return "this is no handshake of WebSocket";
  if (method !== "GET") return "a handshake of WebSocket is a GET";
  if (headers["sec-websocket-version"] !== "13") return "version 13 of WebSocket is spoken here";
  const key = headers["sec-websocket-key"];
  const isKey = typeof key === "string" && Buffer.from(key, "base64").length === 16;
  return isKey ? undefined : "Sec-WebSocket-Key is 16 bytes in base64";
}

/** Takes a handshake that has no fault. */
export function openWebSocket(exchange: HttpExchange, onClosed: () => void): WebSocketFeed {
  const key = String(exchange.headers["sec-websocket-key"]);
  const accept = createHash("sha1")
    .update(key + HANDSHAKE_SUFFIX)
    .digest("base64");
  const headers = { upgrade: "websocket", "sec-websocket-accept": accept };
  return new WebSocketFeed(exchange.upgrade(headers), onClosed);
}

/** Makes what was written to `encoder` since `start` one message of text. */
export function putFrame(encoder: RecordEncoder, start: number): void {
  encoder.insert(start, frameHead(TEXT, encoder.size - start));
}

function frameHead(opcode: number, length: number): Uint8Array {
  if (length < 126) return Uint8Array.of(FINAL | opcode, length);
  if (length < 65_536) return Uint8Array.of(FINAL | opcode, 126, length >> 8, length & 0xff);
  const head = Buffer.alloc(10);
  head[0] = FINAL | opcode;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** One connection that is fed with whole frames. */
export class WebSocketFeed implements FollowerSink {
  readonly #connection: Connection;
  readonly #onClosed: () => void;
  readonly #memory = new Uint8Array(FRAME_BYTES_MAX + CLIENT_HEAD_BYTES_MAX);
  /** Bytes of a frame that is not whole yet, at the start of the memory. */
  #size = 0;
  #isGone = false;
  #isEnding = false;
  #onDrained: (() => void)[] = [];

  constructor(connection: Connection, onClosed: () => void) {
    this.#connection = connection;
    this.#onClosed = onClosed;
    connection.start({
      target: () => this.#memory.subarray(this.#size),
      received: (count) => this.#received(count),
      drained: () => this.#wake(),
      closed: () => this.#closed(),
    });
  }

  get unsentBytes(): number {
    return this.#connection.unsentBytes;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  write(frames: Uint8Array): boolean {
    if (!this.#isEnding && !this.#isGone) this.#connection.write([frames]);
    return this.unsentBytes === 0;
  }

  async drained(): Promise<void> {
    if (this.#isGone || this.unsentBytes === 0) return;
    await new Promise<void>((resolve) => {
      this.#onDrained.push(resolve);
    });
  }

  beat(): void {
    this.#control(PING, nothing);
  }

  end(reason = goingAway): void {
    if (this.#isEnding || this.#isGone) return;
    this.#control(CLOSE, Uint8Array.of(reason >> 8, reason & 0xff));
    this.#isEnding = true;
    this.#connection.end();
  }

  abort(): void {
    this.#connection.destroy();
  }

  #received(count: number): void {
    this.#size += count;
    let start = 0;
    while (!this.#isEnding) {
      const length = this.#frame(start);
      if (length === 0) break;
      start += length;
    }
    this.#memory.copyWithin(0, start, this.#size);
    this.#size -= start;
    // What comes after the end is not looked at, but needs memory to be read into.
    if (this.#isEnding) this.#size = 0;
  }

  #closed(): void {
    this.#isGone = true;
    this.#wake();
    this.#onClosed();
  }

  /** Bytes of the frame at `start`; 0 while it is not whole. */
  #frame(start: number): number {
    const bytes = this.#memory;
    const left = this.#size - start;
    if (left < 2) return 0;
    const first = bytes[start] ?? 0;
    const second = bytes[start + 1] ?? 0;
    const told = second & 0x7f;
    // A client masks what it sends, and a control frame is short (sections 5.1 and 5.5).
    const isControl = (first & 0x8) !== 0;
    const isSound = (second & MASKED) !== 0 && (first & 0x70) === 0;
    if (!isSound || (isControl && (told > 125 || (first & FINAL) === 0))) {
      this.end(protocolError);
      return 0;
    }
    if (told === 126 && left < 4) return 0;
    const length = told === 126 ? ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0) : told;
    if (told === 127 || length > FRAME_BYTES_MAX) {
      this.end(tooBig);
      return 0;
    }
    const headBytes = told === 126 ? 8 : 6;
    if (left < headBytes + length) return 0;
    if (isControl) this.#heard(first & 0xf, start + headBytes, length);
    return headBytes + length;
  }

  /** A control frame whose payload is at `start`, behind its mask. */
  #heard(opcode: number, start: number, length: number): void {
    if (opcode === CLOSE) this.end(1000);
    if (opcode !== PING) return;
    const payload = Buffer.alloc(length);
    for (let at = 0; at < length; at++) {
      payload[at] = (this.#memory[start + at] ?? 0) ^ (this.#memory[start - 4 + (at % 4)] ?? 0);
    }
    // A client that asks and does not read is not answered without end.
    if (this.unsentBytes === 0) this.#control(PONG, payload);
  }

  #control(opcode: number, payload: Uint8Array): void {
    if (this.#isEnding || this.#isGone) return;
    this.#connection.write([frameHead(opcode, payload.length), payload]);
  }

  #wake(): void {
    const waiting = this.#onDrained;
    this.#onDrained = [];
    for (const resolve of waiting) resolve();
  }
}

const nothing = new Uint8Array(0);
