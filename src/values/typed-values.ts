/** What makes records of one topic's values, and values of its records. */
import { LogError } from "../errors/index.ts";
import { runCallback } from "./callback.ts";
import { conform, type StandardSchema } from "./standard-schema.ts";
import type { AnyTopicOptions, AppendHeaders, RecordHeader } from "./store.ts";
import { type EncodedValue, type PlacedCodec, placedCodec, type TextForm } from "./value-codec.ts";
import { vouched } from "./vouched.ts";

/** A record whose value lies somewhere in its bytes; a negative start says that it has none. */
export interface ValueSpot {
  readonly offset: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** `B` is what the bytes of records come in. */
export class TypedValues<in B = Uint8Array> {
  readonly topic: string;
  readonly #texts: TextForm<B>;
  readonly #codec: PlacedCodec<B>;
  readonly #schema: StandardSchema | undefined;
  readonly #keyOf: ((value: never) => string | Uint8Array | undefined) | undefined;
  readonly #checksReads: boolean;

  /** @throws LogError invalid_argument where there is no such codec. */
  constructor(topic: string, options: AnyTopicOptions, texts: TextForm<B>) {
    const { schema, key, checkReads = false } = options;
    this.topic = topic;
    this.#texts = texts;
    this.#codec = placedCodec(options.codec ?? (schema === undefined ? "bytes" : "json"), texts);
    this.#schema = schema;
    this.#keyOf = key;
    this.#checksReads = checkReads;
  }

  /** What the schema makes of a value. @throws LogError schema_mismatch (it may also reject with it). */
  conform(value: unknown): unknown {
    return this.#schema === undefined ? value : conform(this.#schema, value, () => this.topic);
  }

  /** The same of many, one after another; later, where the schema takes its time for one of them. */
  conformAll(values: Iterable<unknown>): readonly unknown[] | Promise<readonly unknown[]> {
    // Nobody else has the time to change what is used up before this turn ends.
    if (this.#schema === undefined && isArray(values)) return values;
    const given = Array.from(values);
    if (this.#schema === undefined) return given;
    const checked: unknown[] = [];
    for (const value of given) {
      const one = this.conform(value);
      if (one instanceof Promise) return this.#conformLater(given, checked, one);
      checked.push(one);
    }
    return checked;
  }

  /** Goes on behind those that were `checked`, of which the next is on its way. */
  async #conformLater(
    given: readonly unknown[],
    checked: unknown[],
    next: Promise<unknown>,
  ): Promise<unknown[]> {
    checked.push(await next);
    while (checked.length < given.length) checked.push(await this.conform(given[checked.length]));
    return checked;
  }

  /** What is stored of a value that has passed the schema. @throws LogError schema_mismatch. */
  encode(value: unknown): EncodedValue {
    try {
      return this.#codec.encode(value);
    } catch (thrown) {
      const reason = `${this.topic}: the value cannot be encoded: ${messageOf(thrown)}`;
      throw new LogError("schema_mismatch", reason, { cause: thrown });
    }
  }

  /** The key given, or what the topic makes of the value. */
  keyOf(value: unknown, given: string | Uint8Array | undefined): string | Uint8Array | undefined {
    // The value has passed the schema, so it is what the function takes.
    return given ?? (this.#keyOf === undefined ? undefined : this.#madeKey(value));
  }

  #madeKey(value: unknown): string | Uint8Array | undefined {
    return runCallback(
      () => `the key function of ${this.topic}`,
      () => this.#keyOf?.(vouched(value)),
    );
  }

  keyBytes(key: string | Uint8Array): Uint8Array {
    return typeof key === "string" ? this.#texts.encode(key) : key;
  }

  headers(headers: AppendHeaders | undefined): readonly RecordHeader[] {
    if (headers === undefined) return noHeaders;
    const entries = isHeaderList(headers) ? headers : Object.entries(headers);
    return entries.map(([key, value]) => ({
      key,
      value: typeof value === "string" ? this.#texts.encode(value) : value,
    }));
  }

  /** The value of a record, undefined where it has none; later where the schema takes its time. @throws LogError schema_mismatch. */
  // hot: once for every record read.
  decode(bytes: B, spot: ValueSpot, partition: number): unknown {
    if (spot.valueStart < 0) return undefined;
    const value = this.#decodeAt(bytes, spot, partition);
    if (this.#schema === undefined || !this.#checksReads) return value;
    const { offset } = spot;
    return conform(this.#schema, value, () => this.#placeOf(partition, offset));
  }

  #decodeAt(bytes: B, spot: ValueSpot, partition: number): unknown {
    try {
      return this.#codec.decodeAt(bytes, spot.valueStart, spot.valueEnd);
    } catch (thrown) {
      const place = this.#placeOf(partition, spot.offset);
      const reason = `${place}: the value cannot be decoded: ${messageOf(thrown)}`;
      throw new LogError("schema_mismatch", reason, { cause: thrown });
    }
  }

  #placeOf(partition: number, offset: number): string {
    return `${this.topic}/${partition} at offset ${offset}`;
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function isArray(values: Iterable<unknown>): values is readonly unknown[] {
  return Array.isArray(values);
}

function isHeaderList(
  headers: AppendHeaders,
): headers is readonly (readonly [string, string | Uint8Array | undefined])[] {
  return Array.isArray(headers);
}

const noHeaders: readonly RecordHeader[] = Object.freeze([]);
