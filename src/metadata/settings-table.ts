import { invariant, InvariantError } from "../errors/index.ts";
import type { Rejected } from "./commands.ts";

/** As tools are told; `int` has 32 bits, `long` 64. */
export type SettingType = "boolean" | "string" | "int" | "long" | "double" | "list";

/** One setting: what it may be, what it is when nobody says, and whether it changes anything here. */
export interface Setting {
  readonly name: string;
  readonly type: SettingType;
  /** Undefined when the setting has no value until somebody gives one. */
  readonly defaultValue: string | undefined;
  readonly doc: string;
  /** Whether the product acts upon it; otherwise it is accepted and kept for tools that ask. */
  readonly isUsed: boolean;
  /** Whether only a start of the broker can change it. */
  readonly isReadOnly: boolean;
  /** Least and greatest number, both allowed. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** The only words allowed; for a list, the only members. */
  readonly choices: readonly string[] | undefined;
  /** For a topic's setting: the broker's settings that give its default, the strongest first; one unit of theirs is `unit` of the topic's. */
  readonly brokerNames: readonly { readonly name: string; readonly unit: number }[];
}

export type SettingSource = "topic" | "broker" | "startup" | "default";

export interface Effective {
  readonly value: string | undefined;
  readonly source: SettingSource;
  /** Every place that has a value, the one that holds first. */
  readonly synonyms: readonly {
    readonly name: string;
    readonly value: string;
    readonly source: SettingSource;
  }[];
}

/** The settings of one kind of thing, by name. */
export class SettingsTable {
  /** In the order of their names. */
  readonly rows: readonly Setting[];
  readonly #kind: "topic" | "broker";
  readonly #byName: ReadonlyMap<string, Setting>;

  constructor(kind: "topic" | "broker", rows: readonly Setting[]) {
    this.rows = rows.toSorted((left, right) => (left.name < right.name ? -1 : 1));
    this.#kind = kind;
    this.#byName = new Map(rows.map((row) => [row.name, row]));
    invariant(this.#byName.size === rows.length, "a setting is in its table once");
    for (const { name, defaultValue } of rows) {
      const isSound = defaultValue === undefined || this.check(name, defaultValue) === undefined;
      invariant(isSound, `the default of ${name} is one of its values`);
    }
  }

  get(name: string): Setting | undefined {
    return this.#byName.get(name);
  }

  /** Whether the setting may have this value; the message names setting, value and what is allowed. */
  check(name: string, value: string): Rejected | undefined {
    const setting = this.#byName.get(name);
    if (setting === undefined) return this.#unknown(name);
    const expected = faultOf(setting, value.trim());
    if (expected === undefined) return undefined;
    return this.#rejected(`"${name}" = "${value}": expected ${expected}`);
  }

  /** Whether the setting exists and may be changed while the broker runs. */
  checkChange(name: string): Rejected | undefined {
    const setting = this.#byName.get(name);
    if (setting === undefined) return this.#unknown(name);
    if (!setting.isReadOnly) return undefined;
    return this.#rejected(`"${name}" can only be changed by a new start of the broker`);
  }

  /** The number that holds in `values`, or else by default. Beyond 53 bits it is the greatest safe integer. */
  number(name: string, values: ReadonlyMap<string, string>): number {
    const value = Number(this.text(name, values));
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
  }

  boolean(name: string, values: ReadonlyMap<string, string>): boolean {
    return this.text(name, values).toLowerCase() === "true";
  }

  list(name: string, values: ReadonlyMap<string, string>): readonly string[] {
    return members(this.text(name, values));
  }

  /** A stored value that this program does not accept, because another version wrote it, counts as not set. */
  text(name: string, values: ReadonlyMap<string, string>): string {
    const given = values.get(name);
    if (given !== undefined && this.check(name, given) === undefined) return given.trim();
    const fallback = this.#byName.get(name)?.defaultValue;
    invariant(fallback !== undefined, `setting ${name} is in the table and has a default`);
    return fallback;
  }

  #unknown(name: string): Rejected {
    const nearest = nearestName(name, [...this.#byName.keys()]);
    const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    return this.#rejected(`"${name}" is not known${hint}`);
  }

  #rejected(message: string): Rejected {
    return {
      kind: "rejected",
      code: "invalid_config",
      message: `${this.#kind} setting ${message}`,
    };
  }
}

/** What was expected, where the value is something else. */
function faultOf(setting: Setting, value: string): string | undefined {
  switch (setting.type) {
    case "boolean":
      return /^(true|false)$/i.test(value) ? undefined : "true or false";
    case "int":
    case "long":
      return isIntegerWithin(setting, value) ? undefined : `an integer ${rangeOf(setting)}`;
    case "double":
      return isNumberWithin(setting, value) ? undefined : `a number ${rangeOf(setting)}`;
    case "string":
      return setting.choices === undefined || setting.choices.includes(value)
        ? undefined
        : `one of ${setting.choices.join(", ")}`;
    case "list":
      return listFault(setting, members(value));
    default:
      throw new InvariantError(`setting ${setting.name} has a type of the table`);
  }
}

function listFault(setting: Setting, given: readonly string[]): string | undefined {
  const { choices } = setting;
  if (choices === undefined) return undefined;
  const isSound = given.length > 0 && given.every((member) => choices.includes(member));
  return isSound ? undefined : `a list of one or more of ${choices.join(", ")}`;
}

function members(value: string): string[] {
  return value
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

// The wire and the tools speak of 64 bits, more than a number holds, so bounds are compared as bigint.
const int32 = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

function isIntegerWithin(setting: Setting, value: string): boolean {
  if (!/^[+-]?\d{1,20}$/.test(value)) return false;
  const number = BigInt(value.replace("+", ""));
  const { min, max } = boundsOf(setting);
  return number >= min && number <= max;
}

function boundsOf(setting: Setting): { readonly min: bigint; readonly max: bigint } {
  const width = setting.type === "int" ? int32 : int64;
  return {
    min: setting.min === undefined ? width.min : BigInt(setting.min),
    max: setting.max === undefined ? width.max : BigInt(setting.max),
  };
}

function isNumberWithin(setting: Setting, value: string): boolean {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return false;
  const number = Number(value);
  return number >= (setting.min ?? -Infinity) && number <= (setting.max ?? Infinity);
}

function rangeOf(setting: Setting): string {
  if (setting.type === "double") return `from ${setting.min} to ${setting.max}`;
  const { min, max } = boundsOf(setting);
  return `from ${min} to ${max}`;
}

/** The known name that is fewest single-character changes away, when it is near enough to be meant. */
function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > 100) return undefined;
  let nearest: string | undefined;
  let fewest = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name, candidate);
    if (distance >= fewest) continue;
    fewest = distance;
    nearest = candidate;
  }
  return nearest;
}

/** Levenshtein distance, one row of the table at a time. */
function editDistance(left: string, right: string): number {
  let above = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[right.length] ?? 0;
}
