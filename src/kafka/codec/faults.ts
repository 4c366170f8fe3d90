import { InvariantError, LogError } from "../../errors/index.ts";
import { type Layout } from "./schema.ts";

/** Elements of all arrays of one message together; more is no honest request. */
export const elementsMax = 1_000_000;

/** What goes wrong with one message in one version, as errors that name the field. */
export interface Faults {
  /** The bytes end before the field does. */
  readonly short: (path: string) => never;
  /** The bytes cannot be this field. */
  readonly bad: (path: string, reason: string) => never;
  /** The value given to encode is not of the field's type: a mistake of the program. */
  readonly wrong: (path: string, value: unknown) => never;
  /** The value is of the right type, but the wire has no room for it. */
  readonly tooLong: (path: string) => never;
  /** The version has no such field, and leaving its value out would change the meaning. */
  readonly lost: (path: string) => never;
}

export function faultsOf(layout: Layout): Faults {
  const title = `${layout.message.name} v${layout.version}`;
  const violation = (path: string, reason: string): never => {
    throw new LogError("protocol_violation", `${title}: ${path === "" ? "" : `${path} `}${reason}`);
  };
  return {
    short: (path) => violation(path, "ends behind the last byte"),
    bad: violation,
    tooLong: (path) => violation(path, "is longer than 32767 bytes"),
    wrong: (path, value) => {
      throw new InvariantError(`${title}: ${path} cannot be ${typeof value} ${String(value)}`);
    },
    lost: (path) => {
      throw new LogError("unsupported", `${title} has no field ${path}: a newer version is needed`);
    },
  };
}

export const reasons = {
  isNull: "is null, which it may not be",
  length: "has a negative length",
  count: "has more elements than the message has room for",
  elements: `brings the message over ${elementsMax} elements`,
  wide: "has a varint of more than five bytes",
  integer: "does not fit a safe integer",
  tagSize: "does not take the size given for its tag",
  presence: "is neither null nor present",
  trailing: "has bytes behind its last field",
} as const;
