// The Kafka protocol by hand, on plain sockets: for what no client library shows (stored batches) or does
// (retrying with the same producer id, epoch and sequence over a restart). Deliberately not made of src/.
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const requestMsMax = 15_000;
const loadingMsMax = 20_000;

/** One connection; requests may be pipelined, answers come in order. */
export class Wire {
  readonly #socket: Socket;
  readonly #pending = new Map<number, PromiseWithResolvers<WireReader>>();
  #correlation = 0;
  #received: Buffer = Buffer.alloc(0);
  #failure: Error | undefined;
  #isDeaf = false;

  /** Resolves once connected, rejects when refused. */
  static async connect(bootstrap: string): Promise<Wire> {
    const [host = "", port = ""] = bootstrap.split(":");
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const socket = connect({ host, port: Number(port), noDelay: true });
    socket.once("connect", () => resolve(socket)).once("error", reject);
    return new Wire(await promise);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("connection closed")));
    socket.setTimeout(requestMsMax, () => {
      if (this.#pending.size > 0) this.#fail(new Error(`no answer in ${requestMsMax} ms`));
    });
  }

  /** Sends a request of a version before flexible headers; gives a reader behind the correlation id. */
  async request(apiKey: number, apiVersion: number, body: WireWriter): Promise<WireReader> {
    if (this.#failure) throw this.#failure;
    this.#correlation += 1;
    const head = new WireWriter().int16(apiKey).int16(apiVersion);
    head.int32(this.#correlation).string("wire");
    const bytes = Buffer.concat([head.finish(), body.finish()]);
    const size = Buffer.alloc(4);
    size.writeInt32BE(bytes.length);
    const answer = Promise.withResolvers<WireReader>();
    this.#pending.set(this.#correlation, answer);
    this.#socket.write(Buffer.concat([size, bytes]));
    return answer.promise;
  }

  /** From now on no answer is received, as if the network had lost them; requests still go out. */
  deafen(): void {
    this.#isDeaf = true;
  }

  close(): void {
    this.#fail(new Error("closed by the test"));
  }

  #receive(bytes: Buffer): void {
    if (this.#isDeaf) return;
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    for (;;) {
      if (this.#received.length < 4) return;
      const end = 4 + this.#received.readInt32BE(0);
      if (this.#received.length < end) return;
      const frame = this.#received.subarray(4, end);
      this.#received = this.#received.subarray(end);
      const correlation = frame.readInt32BE(0);
      const answer = this.#pending.get(correlation);
      if (!answer) return this.#fail(new Error(`an answer to no question: ${correlation}`));
      this.#pending.delete(correlation);
      answer.resolve(new WireReader(frame, 4));
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket.destroy();
    for (const answer of this.#pending.values()) answer.reject(this.#failure);
    this.#pending.clear();
  }
}

/** A protocol error in an answer. */
export class WireError extends Error {
  readonly code: number;

  constructor(what: string, code: number) {
    super(`${what}: error ${code}`);
    this.code = code;
  }
}

function check(what: string, code: number): void {
  if (code !== 0) throw new WireError(what, code);
}

/** Leader or partition not there yet; coordinator loading or not there yet. */
const notYet = new Set([3, 5, 6, 14, 15]);

/** Asks again while the answer is that a partition or a coordinator is not there yet. */
export async function untilLoaded<T>(ask: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + loadingMsMax;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isLoading = error instanceof WireError && notYet.has(error.code);
      if (!isLoading || performance.now() > deadlineMs) throw error;
      await delay(10);
    }
  }
}

export async function createTopic(wire: Wire, topic: string, partitions: number): Promise<void> {
  const body = new WireWriter().int32(1).string(topic).int32(partitions).int16(1);
  body.int32(0).int32(0).int32(30_000).int8(0); // no assignments, no configs, timeout, really do it
  const answer = await wire.request(19, 2, body);
  answer.int32(); // throttle time
  answer.int32(); // one topic
  answer.string();
  check(`create topic ${topic}`, answer.int16());
}

export interface ProducerIdentity {
  readonly id: number;
  readonly epoch: number;
}

export async function initProducerId(wire: Wire): Promise<ProducerIdentity> {
  const answer = await wire.request(22, 0, new WireWriter().int16(-1).int32(60_000));
  answer.int32(); // throttle time
  check("init producer id", answer.int16());
  return { id: answer.int64(), epoch: answer.int16() };
}

/** Produces one batch with acks=all; gives the base offset of the answer. */
export async function produce(
  wire: Wire,
  topic: string,
  partition: number,
  batch: Buffer,
): Promise<number> {
  const body = new WireWriter().int16(-1).int16(-1).int32(10_000); // no transaction, acks, timeout
  body.int32(1).string(topic).int32(1).int32(partition).bytes(batch);
  const answer = await wire.request(0, 7, body);
  answer.int32(); // one topic
  answer.string();
  answer.int32(); // one partition
  answer.int32();
  check(`produce to ${topic}/${partition}`, answer.int16());
  return answer.int64();
}

export interface BatchOptions {
  readonly producer: ProducerIdentity;
  readonly baseSequence: number;
  readonly timestampMs: number;
}

/** An uncompressed batch of records without keys. */
export function buildBatch(values: readonly string[], options: BatchOptions): Buffer {
  const records = new WireWriter();
  for (const [index, value] of values.entries()) {
    const record = new WireWriter().int8(0).varint(0).varint(index).varint(-1);
    const bytes = Buffer.from(value);
    record.varint(bytes.length).raw(bytes).varint(0);
    const body = record.finish();
    records.varint(body.length).raw(body);
  }
  const checked = new WireWriter().int16(0).int32(values.length - 1);
  checked.int64(options.timestampMs).int64(options.timestampMs);
  checked.int64(options.producer.id).int16(options.producer.epoch).int32(options.baseSequence);
  checked.int32(values.length).raw(records.finish());
  const covered = checked.finish();
  const batch = new WireWriter().int64(0).int32(covered.length + 9);
  return batch.int32(-1).int8(2).int32(crc32c(covered)).raw(covered).finish();
}

export interface StoredBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly codec: Codec;
  /** Values of the records; empty when the batch is compressed: nobody needs them yet. */
  readonly values: readonly string[];
}

export const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Codec = (typeof codecs)[number];

/** All batches of a partition from an offset up to the high watermark, each with its CRC checked. */
export async function readBatches(
  wire: Wire,
  topic: string,
  partition: number,
  from: number,
): Promise<readonly StoredBatch[]> {
  const batches: StoredBatch[] = [];
  for (let next = from; ;) {
    const { bytes, highWatermark } = await fetchOnce(wire, topic, partition, next);
    if (next >= highWatermark) return batches;
    const found = parseBatches(bytes).filter((batch) => batch.lastOffset >= next);
    const last = found.at(-1);
    if (!last) throw new Error(`${topic}/${partition}: nothing at ${next} below ${highWatermark}`);
    batches.push(...found);
    next = last.lastOffset + 1;
  }
}

async function fetchOnce(
  wire: Wire,
  topic: string,
  partition: number,
  from: number,
): Promise<{ bytes: Buffer; highWatermark: number }> {
  const body = new WireWriter()
    .int32(-1)
    .int32(100)
    .int32(0)
    .int32(8 << 20)
    .int8(0);
  body
    .int32(1)
    .string(topic)
    .int32(1)
    .int32(partition)
    .int64(from)
    .int32(4 << 20);
  const answer = await wire.request(1, 4, body);
  answer.int32(); // throttle time
  answer.int32(); // one topic
  answer.string();
  answer.int32(); // one partition
  answer.int32();
  check(`fetch ${topic}/${partition} from ${from}`, answer.int16());
  const highWatermark = answer.int64();
  answer.int64(); // last stable offset
  const abortedCount = Math.max(0, answer.int32());
  for (let index = 0; index < abortedCount; index += 1) {
    answer.int64();
    answer.int64();
  }
  return { bytes: answer.bytes(), highWatermark };
}

function parseBatches(bytes: Buffer): readonly StoredBatch[] {
  const batches: StoredBatch[] = [];
  let position = 0;
  while (position + 61 <= bytes.length) {
    const end = position + 12 + bytes.readInt32BE(position + 8);
    if (end > bytes.length) break; // Kafka may cut the last batch of an answer.
    batches.push(parseBatch(bytes.subarray(position, end)));
    position = end;
  }
  return batches;
}

function parseBatch(batch: Buffer): StoredBatch {
  const baseOffset = Number(batch.readBigInt64BE(0));
  if (batch.readInt8(16) !== 2) throw new Error(`batch ${baseOffset} is not of format 2`);
  if (batch.readInt32BE(17) !== crc32c(batch.subarray(21))) {
    throw new Error(`batch ${baseOffset}: the CRC does not match`);
  }
  const codec = codecs[batch.readInt16BE(21) & 7];
  if (!codec) throw new Error(`batch ${baseOffset}: unknown codec`);
  const lastOffset = baseOffset + batch.readInt32BE(23);
  const values: string[] = [];
  const reader = new WireReader(batch, 57);
  const count = codec === "none" ? reader.int32() : 0;
  for (let index = 0; index < count; index += 1) {
    reader.varint(); // length of the record
    reader.int8();
    reader.varint(); // timestamp delta
    if (reader.varint() !== index) throw new Error(`batch ${baseOffset}: a gap at record ${index}`);
    reader.varintBytes(); // key
    values.push((reader.varintBytes() ?? Buffer.alloc(0)).toString());
    const headerCount = reader.varint();
    for (let header = 0; header < headerCount * 2; header += 1) reader.varintBytes();
  }
  return { baseOffset, lastOffset, codec, values };
}

/** Asks who coordinates a group: Apache Kafka makes its internal topic only when somebody asks. */
export async function findCoordinator(wire: Wire, group: string): Promise<void> {
  const answer = await wire.request(10, 0, new WireWriter().string(group));
  check(`coordinator of ${group}`, answer.int16());
}

/** Commits one partition's offset from outside of a group's generations, as an operator's tool does. */
export async function commitOffset(
  wire: Wire,
  group: string,
  topic: string,
  offset: number,
): Promise<void> {
  const body = new WireWriter().string(group).int32(-1).string("").int64(-1);
  body.int32(1).string(topic).int32(1).int32(0).int64(offset).string("");
  const answer = await wire.request(8, 2, body);
  answer.int32();
  answer.string();
  answer.int32();
  answer.int32();
  check(`commit of ${group}`, answer.int16());
}

/** The committed offset of partition 0; undefined when there is none. */
export async function committedOffset(
  wire: Wire,
  group: string,
  topic: string,
): Promise<number | undefined> {
  const body = new WireWriter().string(group).int32(1).string(topic).int32(1).int32(0);
  const answer = await wire.request(9, 1, body);
  answer.int32();
  answer.string();
  answer.int32();
  answer.int32();
  const offset = answer.int64();
  answer.string(); // metadata
  check(`committed offset of ${group}`, answer.int16());
  return offset < 0 ? undefined : offset;
}

class WireWriter {
  readonly #parts: Buffer[] = [];

  int8(value: number): this {
    return this.raw(Buffer.from([value & 0xff]));
  }

  int16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    return this.raw(bytes);
  }

  int32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return this.raw(bytes);
  }

  int64(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    return this.raw(bytes);
  }

  string(text: string): this {
    const bytes = Buffer.from(text);
    return this.int16(bytes.length).raw(bytes);
  }

  bytes(bytes: Buffer): this {
    return this.int32(bytes.length).raw(bytes);
  }

  varint(value: number): this {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    const bytes: number[] = [];
    for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
    return this.raw(Buffer.from([...bytes, rest]));
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

class WireReader {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.#position = position;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4));
  }

  int64(): number {
    return Number(this.#bytes.readBigInt64BE(this.#advance(8)));
  }

  string(): string {
    const size = Math.max(0, this.int16());
    const start = this.#advance(size);
    return this.#bytes.toString("utf8", start, start + size);
  }

  bytes(): Buffer {
    const size = Math.max(0, this.int32());
    const start = this.#advance(size);
    return this.#bytes.subarray(start, start + size);
  }

  /** Zig-zag; a 64-bit delta fits as long as it is a safe integer. */
  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#advance(1));
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
  }

  varintBytes(): Buffer | undefined {
    const size = this.varint();
    if (size < 0) return undefined;
    const start = this.#advance(size);
    return this.#bytes.subarray(start, start + size);
  }

  #advance(size: number): number {
    const position = this.#position;
    this.#position += size;
    return position;
  }
}

const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Castagnoli's CRC, as a signed 32-bit number. */
function crc32c(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0);
  return ~crc;
}
