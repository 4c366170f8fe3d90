// How a Kafka message is described: a record of fields, each with the versions it lives in. The
// types of decoded and of encodable values are inferred from the description, one for all versions.

import { NIL_UUID } from "../../bytes/index.ts";
import { invariant } from "../../errors/index.ts";

type ScalarKind =
  | "bool"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "uuid"
  | "string"
  | "bytes"
  | "records";

type FieldType =
  | { readonly kind: ScalarKind }
  | { readonly kind: "array"; readonly element: FieldType }
  | { readonly kind: "struct"; readonly fields: Fields };

export interface FieldSpec {
  readonly type: FieldType;
  /** First and last version that carries the field, both included. */
  readonly since: number;
  readonly until: number;
  /** First version in which the field may be null; Infinity where it never may. */
  readonly nullableSince: number;
  /** Set where the field is sent among the tagged fields, and only when it differs from its default. */
  readonly tag: number | undefined;
  /** What encoding takes for an absent value; undefined where leaving it out is a mistake. */
  readonly preset: unknown;
  readonly isEssential: boolean;
}

/**
 * One field of a message; every method answers a changed copy.
 * `Out` is what decoding gives, `In` what encoding takes, `Optional` whether encoding may lack it.
 */
export class Field<Out, In, Optional extends boolean> {
  declare readonly types: { readonly out: Out; readonly in: In; readonly isOptional: Optional };
  readonly spec: FieldSpec;

  constructor(spec: FieldSpec) {
    this.spec = spec;
  }

  /** The first version with this field. An older one decodes to the default. */
  since(version: number): Field<Out, In, Optional> {
    return new Field({ ...this.spec, since: version });
  }

  /** The last version with this field. */
  until(version: number): Field<Out, In, Optional> {
    return new Field({ ...this.spec, until: version });
  }

  /** Null on the wire, from a version on, is `undefined` here. */
  nullable(since = 0): Field<Out | undefined, In | undefined, true> {
    return new Field({ ...this.spec, nullableSince: since });
  }

  /** What an absent field decodes to, and what encoding takes where the value is left out. */
  default(preset: In): Field<Out, In, true> {
    return new Field({ ...this.spec, preset });
  }

  /** Sent as a tagged field: after the others, only when it is not the default. */
  tag(tag: number): Field<Out, In, true> {
    return new Field({ ...this.spec, tag });
  }

  /** Encoding for a version without this field is refused when the value is not the default. */
  essential(): Field<Out, In, Optional> {
    return new Field({ ...this.spec, isEssential: true });
  }
}

// A field of whatever types; unknown would not do, because a field is what it is in both directions.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyField = Field<any, any, boolean>;
export type Fields = Readonly<Record<string, AnyField>>;

/** What decoding gives: every field, whatever the version. */
export type Decoded<F extends Fields> = { readonly [Name in keyof F]: F[Name]["types"]["out"] };

type OptionalNames<F extends Fields> = {
  [Name in keyof F]: F[Name]["types"]["isOptional"] extends true ? Name : never;
}[keyof F];

/** What encoding takes: nullable fields, and those with a default, may be left out. */
export type Encodable<F extends Fields> = {
  readonly [Name in Exclude<keyof F, OptionalNames<F>>]: F[Name]["types"]["in"];
} & { readonly [Name in OptionalNames<F>]?: F[Name]["types"]["in"] | undefined };

/** Batches to send: one run of bytes or several; long ones are sent from where they lie. */
export type RecordChunks = Uint8Array | readonly Uint8Array[];

function scalar<Out, In = Out>(kind: ScalarKind): Field<Out, In, false> {
  return fieldOf({ kind });
}

function fieldOf<Out, In>(type: FieldType): Field<Out, In, false> {
  return new Field({
    type,
    since: 0,
    until: Number.POSITIVE_INFINITY,
    nullableSince: Number.POSITIVE_INFINITY,
    tag: undefined,
    preset: undefined,
    isEssential: false,
  });
}

export const bool = scalar<boolean>("bool");
export const int8 = scalar<number>("int8");
export const int16 = scalar<number>("int16");
export const int32 = scalar<number>("int32");
/** A safe integer; anything beyond 2^53 on the wire is refused. */
export const int64 = scalar<number>("int64");
/** Canonical text: lower case, dashed. */
export const uuid = scalar<string>("uuid");
export const string = scalar<string>("string");
/** Opaque bytes, decoded into memory of their own: they are small, and whoever asks for them keeps them. */
export const bytes = scalar<Uint8Array>("bytes");
/** Record batches: decoding gives a view of the received memory, encoding sends without a copy. */
export const records = scalar<Uint8Array, RecordChunks>("records");

export function array<Out, In, Optional extends boolean>(
  element: Field<Out, In, Optional>,
): Field<readonly Out[], readonly In[], false>;
export function array<F extends Fields>(
  fields: F,
): Field<readonly Decoded<F>[], readonly Encodable<F>[], false>;
export function array(element: AnyField | Fields): Field<unknown, unknown, false> {
  const type: FieldType =
    element instanceof Field ? element.spec.type : { kind: "struct", fields: element };
  return fieldOf({ kind: "array", element: type });
}

export function struct<F extends Fields>(fields: F): Field<Decoded<F>, Encodable<F>, false> {
  return fieldOf({ kind: "struct", fields });
}

/** One direction of an API, or a schema that others carry as bytes. */
export interface Message<F extends Fields = Fields> {
  /** As error messages name it: `Produce request`. */
  readonly name: string;
  readonly versionMin: number;
  readonly versionMax: number;
  /** From this version on: compact lengths and tagged fields. Infinity where there is no such version. */
  readonly flexibleSince: number;
  /** Whether bytes behind the last field are ignored, as in requests and embedded schemas, or refused. */
  readonly allowsTrailing: boolean;
  readonly fields: F;
}

/** A kind of request with its answer. */
export interface Api<Req extends Fields = Fields, Res extends Fields = Fields> {
  readonly key: number;
  readonly name: string;
  readonly versionMin: number;
  readonly versionMax: number;
  readonly flexibleSince: number;
  readonly request: Message<Req>;
  readonly response: Message<Res>;
}

export interface ApiVersionRange {
  readonly min: number;
  readonly max: number;
  /** Left out where no version is flexible. */
  readonly flexible?: number;
}

export function api<Req extends Fields, Res extends Fields>(
  [key, name]: readonly [number, string],
  versions: ApiVersionRange,
  request: Req,
  response: Res,
): Api<Req, Res> {
  const range = {
    versionMin: versions.min,
    versionMax: versions.max,
    flexibleSince: versions.flexible ?? Number.POSITIVE_INFINITY,
  };
  return {
    key,
    name,
    ...range,
    // Kafka ignores what lies behind a request, and librdkafka 2.16 relies on it: it asks for all topics
    // (Metadata 9 and later) with a count of four bytes where one is meant.
    request: { name: `${name} request`, ...range, allowsTrailing: true, fields: request },
    response: { name: `${name} response`, ...range, allowsTrailing: false, fields: response },
  };
}

/** A schema that travels as opaque bytes inside other messages. */
export function embedded<F extends Fields>(
  name: string,
  versions: ApiVersionRange,
  fields: F,
): Message<F> {
  return {
    name,
    versionMin: versions.min,
    versionMax: versions.max,
    flexibleSince: versions.flexible ?? Number.POSITIVE_INFINITY,
    allowsTrailing: true,
    fields,
  };
}

// A layout is a message with one version applied: what the interpreter runs and the compiler prints.

export interface Layout {
  readonly message: Message;
  readonly version: number;
  readonly isFlexible: boolean;
  readonly slots: readonly Slot[];
}

export type Shape =
  | { readonly kind: ScalarKind }
  | { readonly kind: "array"; readonly element: Shape; readonly elementBytesMin: number }
  | { readonly kind: "struct"; readonly slots: readonly Slot[] };

export interface Slot {
  readonly name: string;
  /** From the message down, as error messages name it. */
  readonly path: string;
  readonly shape: Shape;
  readonly isPresent: boolean;
  readonly isNullable: boolean;
  readonly tag: number | undefined;
  readonly isEssential: boolean;
  readonly preset: unknown;
  /** What decoding gives when the bytes do not say. Frozen where it is an object. */
  readonly initial: unknown;
}

export function layoutOf(message: Message, version: number): Layout {
  invariant(
    version >= message.versionMin && version <= message.versionMax,
    `${message.name} has no version ${version}`,
  );
  const isFlexible = version >= message.flexibleSince;
  return {
    message,
    version,
    isFlexible,
    slots: slotsOf(message.fields, "", { version, isFlexible }),
  };
}

interface At {
  readonly version: number;
  readonly isFlexible: boolean;
}

function slotsOf(fields: Fields, prefix: string, at: At): Slot[] {
  return Object.entries(fields).map(([name, { spec }]) => {
    const path = prefix + name;
    const shape = shapeOf(spec.type, path, at);
    const isPresent = at.version >= spec.since && at.version <= spec.until;
    const tag = at.isFlexible ? spec.tag : undefined;
    invariant(spec.tag === undefined || at.isFlexible || !isPresent, `${path} needs tagged fields`);
    return {
      name,
      path,
      shape,
      isPresent,
      isNullable: at.version >= spec.nullableSince,
      tag,
      isEssential: spec.isEssential,
      preset: spec.preset,
      initial: initialOf(spec, shape),
    };
  });
}

function shapeOf(type: FieldType, path: string, at: At): Shape {
  if (type.kind === "struct") {
    return { kind: "struct", slots: slotsOf(type.fields, `${path}.`, at) };
  }
  if (type.kind === "array") {
    const element = shapeOf(type.element, path, at);
    return { kind: "array", element, elementBytesMin: bytesMinOf(element, false, at.isFlexible) };
  }
  return type;
}

const emptyList: readonly unknown[] = Object.freeze([]);
const emptyBytes = new Uint8Array(0);

const zeros: Readonly<Record<ScalarKind, unknown>> = {
  bool: false,
  int8: 0,
  int16: 0,
  int32: 0,
  int64: 0,
  uuid: NIL_UUID,
  string: "",
  bytes: emptyBytes,
  records: emptyBytes,
};

function initialOf(spec: FieldSpec, shape: Shape): unknown {
  if (Array.isArray(spec.preset) && spec.preset.length === 0) return emptyList;
  if (spec.preset !== undefined) return spec.preset;
  if (Number.isFinite(spec.nullableSince)) return undefined;
  if (shape.kind === "array") return emptyList;
  if (shape.kind === "struct") {
    return Object.freeze(Object.fromEntries(shape.slots.map((slot) => [slot.name, slot.initial])));
  }
  return zeros[shape.kind];
}

const fixedBytes = { bool: 1, int8: 1, int16: 2, int32: 4, int64: 8, uuid: 16 } as const;

export type FixedKind = keyof typeof fixedBytes;

export function isFixed(kind: Shape["kind"]): kind is FixedKind {
  return kind in fixedBytes;
}

/** Bytes of a kind of value that always takes the same. */
export function fixedBytesOf(kind: FixedKind): number {
  return fixedBytes[kind];
}

/** Bytes that a value takes at least: bounds how many elements the rest of a message can hold. */
function bytesMinOf(shape: Shape, isNullable: boolean, isFlexible: boolean): number {
  if (isFixed(shape.kind)) return fixedBytesOf(shape.kind);
  if (shape.kind !== "struct") return isFlexible ? 1 : shape.kind === "string" ? 2 : 4;
  if (isNullable) return 1;
  const sizes = shape.slots
    .filter((slot) => slot.isPresent && slot.tag === undefined)
    .map((slot) => bytesMinOf(slot.shape, slot.isNullable, isFlexible));
  const sum = sizes.reduce((left, right) => left + right, isFlexible ? 1 : 0);
  return Math.max(1, sum);
}

/** A value of the kind struct, whatever its fields. */
export type Struct = Readonly<Record<string, unknown>>;

export function isStruct(value: unknown): value is Struct {
  return typeof value === "object" && value !== null;
}

/** Whether a tagged or versioned value is what the other side assumes without it. */
export function isInitial(slot: Slot, value: unknown): boolean {
  if (value === undefined || value === slot.initial) return true;
  if (slot.shape.kind === "array") return Array.isArray(value) && value.length === 0;
  if (slot.shape.kind === "struct" && slot.initial !== undefined && isStruct(value)) {
    return slot.shape.slots.every((inner) => isInitial(inner, value[inner.name]));
  }
  return value instanceof Uint8Array && value.length === 0;
}
