/** Reads the fields of a small JSON body by name and type. */
import { invalid } from "./problem.ts";
import type { Request } from "./request.ts";

/** Largest body of a request that is not about records. */
const controlBytesMax = 1024 * 1024;

/** What is wrong with a field is a problem that names it. */
export class JsonFields {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #path: string;

  /** @throws RequestFault where `value` is no object, or has fields beside `names`. */
  constructor(value: unknown, names: readonly string[], path = "") {
    this.#path = path === "" ? "" : `${path}.`;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalid(
        path,
        `${path === "" ? "the body" : `"${path}"`} is an object of ${names.join(", ")}`,
      );
    }
    this.#fields = new Map<string, unknown>(Object.entries(value));
    for (const name of this.#fields.keys()) {
      if (names.includes(name)) continue;
      const known = names.join(", ");
      throw invalid(this.#path + name, `unknown field "${name.slice(0, 100)}"; known are ${known}`);
    }
  }

  /** Where a complaint about a field points to. */
  path(name: string): string {
    return this.#path + name;
  }

  get(name: string): unknown {
    return this.#fields.get(name);
  }

  text(name: string): string {
    const value = this.#fields.get(name);
    if (typeof value === "string") return value;
    throw invalid(this.path(name), `"${name}" is a string, and needed`);
  }

  optionalText(name: string): string | undefined {
    return this.#fields.get(name) === undefined ? undefined : this.text(name);
  }

  number(name: string): number {
    const value = this.#fields.get(name);
    if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
    throw invalid(this.path(name), `"${name}" is a number from 0 on, and needed`);
  }

  optionalNumber(name: string): number | undefined {
    return this.#fields.get(name) === undefined ? undefined : this.number(name);
  }

  list(name: string): readonly unknown[] {
    const value = this.#fields.get(name);
    if (Array.isArray(value)) return value;
    throw invalid(this.path(name), `"${name}" is an array, and needed`);
  }

  /** Names and values; undefined for a value of null. */
  settings(name: string): ReadonlyMap<string, string | undefined> {
    const value = this.#fields.get(name);
    if (value === undefined) return new Map();
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalid(this.path(name), `"${name}" is an object of names and values`);
    }
    return new Map(
      Object.entries(value).map(([key, given]: [string, unknown]) => [
        key,
        settingText(given, this.path(`${name}.${key}`)),
      ]),
    );
  }
}

function settingText(given: unknown, path: string): string | undefined {
  if (given === null) return undefined;
  if (typeof given === "string") return given;
  if (typeof given === "number" || typeof given === "boolean") return String(given);
  throw invalid(path, `a setting is a string, a number, true, false, or null for its default`);
}

/** The body of a request as an object of those fields. @throws RequestFault */
export async function fieldsOf(request: Request, ...names: readonly string[]): Promise<JsonFields> {
  const body = await request.body(controlBytesMax);
  return new JsonFields(parsed(body), names);
}

function parsed(body: Uint8Array): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString());
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : "";
    throw invalid("", `malformed JSON: ${reason}`);
  }
}
