/** Standard Schema, the interface that zod, valibot, arktype and others implement: what is used of it here. */
import { LogError } from "../errors/index.ts";
import { runCallback } from "./callback.ts";

/** A schema of any library that follows https://standardschema.dev. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema takes. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];
/** What a schema makes of it. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** Longest piece of a value that a message quotes. */
const QUOTED_MAX = 60;

/**
 * What the schema makes of `value`. `place` says in a message what the value was meant for.
 * @throws LogError schema_mismatch, with the path and the value found there; handler_failed where the schema itself throws (it may also reject with them).
 */
export function conform<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
  place: () => string,
): Output | Promise<Output> {
  const what = (): string => `the schema of ${place()}`;
  const result = runCallback(what, () => schema["~standard"].validate(value));
  if (result instanceof Promise) {
    return result.then(
      (late) => outputOf(late, value, place),
      (thrown: unknown) =>
        runCallback(what, () => {
          throw thrown;
        }),
    );
  }
  return outputOf(result, value, place);
}

function outputOf<Output>(
  result: StandardResult<Output>,
  value: unknown,
  place: () => string,
): Output {
  if (result.issues === undefined) return result.value;
  const told = result.issues.map((issue) => tell(issue, value)).join("; ");
  throw new LogError("schema_mismatch", `${place()}: ${told}`, { cause: result.issues });
}

function tell({ message, path = [] }: StandardIssue, value: unknown): string {
  const keys = path.map((step) => (typeof step === "object" ? step.key : step));
  let found = value;
  for (const key of keys) found = isObject(found) ? Reflect.get(found, key) : undefined;
  const at = keys.length === 0 ? "the value" : keys.map(String).join(".");
  return `${at} is ${quote(found)}: ${message}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function quote(value: unknown): string {
  const text = jsonOf(value) ?? String(value);
  return text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text;
}

function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // A cycle or a bigint: what it prints as has to do.
    return undefined;
  }
}
