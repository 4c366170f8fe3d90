import { invariant, LogError } from "../errors/index.ts";

/** What canonical JSON can say. A Map becomes an object; a member that is undefined is left out. */
export type Json =
  | string
  | number
  | boolean
  | readonly Json[]
  | ReadonlyMap<string, Json>
  | { readonly [name: string]: Json | undefined };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Writes a value as canonical JSON: UTF-8, no white space, members sorted by the code units of their
 * names. Equal values are equal bytes, so a hash of the bytes is a hash of the value.
 */
export function encodeJson(value: Json): Uint8Array {
  return encoder.encode(stringify(value));
}

function stringify(value: Json): string {
  if (typeof value === "number") {
    invariant(Number.isFinite(value), "canonical JSON holds finite numbers only");
    return JSON.stringify(value);
  }
  if (typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(stringify).join(",")}]`;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const members = entries
    .filter((entry): entry is [string, Json] => entry[1] !== undefined)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${stringify(member)}`);
  return `{${members.join(",")}}`;
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

/**
 * Reads one stored JSON object and checks the version it states.
 * @param what names the thing in messages, such as "metadata entry".
 * @throws LogError data_corrupt when it is no JSON object with a version, format_newer when the
 * version is above `versionMax`.
 */
export function decodeJson(bytes: Uint8Array, what: string, versionMax: number): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new LogError("data_corrupt", `${what}: ${bytes.length} bytes are not JSON`, {
      cause: error,
    });
  }
  const fields = Fields.of(parsed, what);
  const version = fields.count("v");
  if (version < 1) throw fields.damaged(`version ${version} never existed`);
  if (version > versionMax) {
    throw new LogError(
      "format_newer",
      `${what}: version ${version} is newer than ${versionMax}, the newest that this program reads; use the program that wrote it or a newer one`,
    );
  }
  return fields;
}

/**
 * The members of one stored object, taken one by one with a check of their shape. Every method
 * throws LogError data_corrupt where the member is missing or of another shape; {@link Fields.end}
 * refuses members that nobody asked for.
 */
export class Fields {
  readonly #members: Map<string, unknown>;
  readonly #what: string;

  private constructor(members: Map<string, unknown>, what: string) {
    this.#members = members;
    this.#what = what;
  }

  static of(value: unknown, what: string): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new LogError("data_corrupt", `${what}: not a JSON object`);
    }
    return new Fields(new Map(Object.entries(value)), what);
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  string(name: string): string {
    const value = this.#take(name);
    if (typeof value !== "string") throw this.damaged(`"${name}" is not a string`);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== "boolean") throw this.damaged(`"${name}" is not a boolean`);
    return value;
  }

  integer(name: string): number {
    const value = this.#take(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      throw this.damaged(`"${name}" is not an integer of 53 bits`);
    }
    return value;
  }

  /** An integer that is zero or more. */
  count(name: string): number {
    const value = this.integer(name);
    if (value < 0) throw this.damaged(`"${name}" is ${value}, below zero`);
    return value;
  }

  /** Bytes that were written as base64. */
  bytes(name: string): Uint8Array {
    const text = this.string(name);
    const bytes = Buffer.from(text, "base64");
    if (bytes.toString("base64") !== text) throw this.damaged(`"${name}" is not base64`);
    return new Uint8Array(bytes);
  }

  strings(name: string): string[] {
    return this.#list(name).map((value) => {
      if (typeof value !== "string") throw this.damaged(`"${name}" holds what is no string`);
      return value;
    });
  }

  objects(name: string): Fields[] {
    return this.#list(name).map((value) => Fields.of(value, `${this.#what}, "${name}"`));
  }

  object(name: string): Fields {
    return Fields.of(this.#take(name), `${this.#what}, "${name}"`);
  }

  /** An object whose members are all strings. */
  stringMap(name: string): Map<string, string> {
    const inner = this.object(name);
    const result = new Map<string, string>();
    for (const key of inner.#members.keys()) result.set(key, inner.string(key));
    return result;
  }

  /** Refuses members that were not taken: they would be lost when the value is written again. */
  end(): void {
    for (const name of this.#members.keys()) throw this.damaged(`"${name}" is not known`);
  }

  damaged(how: string): LogError {
    return new LogError("data_corrupt", `${this.#what}: ${how}`);
  }

  #list(name: string): unknown[] {
    const value = this.#take(name);
    if (!Array.isArray(value)) throw this.damaged(`"${name}" is not a list`);
    return value;
  }

  #take(name: string): unknown {
    if (!this.#members.has(name)) throw this.damaged(`"${name}" is missing`);
    const value = this.#members.get(name);
    this.#members.delete(name);
    return value;
  }
}
