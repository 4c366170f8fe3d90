// The codec of one message and version as straight-line JavaScript, made from its layout at first
// use. Debuggers and profiles show the text by the name in its last line.

import type { Codec } from "./codec.ts";
import { elementsMax, faultsOf, reasons } from "./faults.ts";
import {
  type FixedKind,
  type Layout,
  type Shape,
  type Slot,
  fixedBytesOf,
  isFixed,
  isInitial,
} from "./schema.ts";
import {
  joinInt64,
  putCompactString,
  putString,
  putUnsigned,
  putUuid,
  stringBytesMax,
  uuidAt,
} from "./writer.ts";

type Make = (runtime: object, constants: readonly unknown[]) => Codec<unknown, unknown>;

/** Compiles, or throws EvalError where the process forbids code made from strings. */
export function compile(layout: Layout): Codec<unknown, unknown> {
  const { text, constants } = sourceOfCodec(layout);
  // The text holds names and numbers of our own schemas, nothing from outside.
  // oxlint-disable-next-line no-new-func, typescript/no-implied-eval, typescript/no-unsafe-type-assertion
  const make = new Function("runtime", "constants", text) as Make;
  const varint = { position: 0 };
  const { short, bad, wrong, tooLong, lost } = faultsOf(layout);
  return make(
    {
      short,
      bad,
      wrong,
      tooLong,
      lost,
      varint,
      wide: wideOf(varint, bad, short),
      joinInt64,
      putCompactString,
      putString,
      putUnsigned,
      putUuid,
      stringBytesMax,
      uuidAt,
      isInitial,
      elementsMax,
      reasons,
    },
    constants,
  );
}

/** The rest of a varint of more than one byte; its end goes to `varint.position`. */
function wideOf(
  varint: { position: number },
  bad: (path: string, reason: string) => never,
  short: (path: string) => never,
): (bytes: Uint8Array, at: number, end: number, path: string) => number {
  // oxlint-disable-next-line max-params
  return (bytes, at, end, path) => {
    let value = (bytes[at] ?? 0) & 0x7f;
    for (let index = 1; index < 5; index++) {
      if (at + index >= end) short(path);
      const byte = bytes[at + index] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        varint.position = at + index + 1;
        return value > 0xffff_ffff ? bad(path, reasons.wide) : value;
      }
    }
    return bad(path, reasons.wide);
  };
}

function sourceOfCodec(layout: Layout): {
  readonly text: string;
  readonly constants: readonly unknown[];
} {
  const constants: unknown[] = [];
  const decoder = new DecoderPrinter(layout, constants);
  const encoder = new EncoderPrinter(layout, constants);
  const name = `${layout.message.name.replaceAll(" ", "-")}-v${layout.version}`;
  const text = [
    '"use strict";',
    "const { short, bad, wrong, tooLong, lost, varint, wide, joinInt64, reasons } = runtime;",
    "const { putCompactString, putString, putUnsigned, putUuid, uuidAt } = runtime;",
    "const { stringBytesMax, isInitial, elementsMax } = runtime;",
    "return {",
    decoder.print(),
    encoder.print(),
    "};",
    `//# sourceURL=cordwood:kafka/${name}.js`,
  ].join("\n");
  return { text, constants };
}

class Printer {
  protected readonly layout: Layout;
  readonly #constants: unknown[];
  readonly #lines: string[] = [];
  #names = 0;

  constructor(layout: Layout, constants: unknown[]) {
    this.layout = layout;
    this.#constants = constants;
  }

  protected line(text: string): void {
    this.#lines.push(text);
  }

  protected fresh(stem: string): string {
    this.#names += 1;
    return `${stem}${this.#names}`;
  }

  /** An expression for a value that is known now. */
  protected constant(value: unknown): string {
    if (value === undefined) return "undefined";
    if (typeof value !== "object") return JSON.stringify(value);
    const known = this.#constants.indexOf(value);
    const index = known >= 0 ? known : this.#constants.push(value) - 1;
    return `constants[${index}]`;
  }

  protected text(): string {
    return this.#lines.join("\n");
  }
}

const quote = JSON.stringify;

class DecoderPrinter extends Printer {
  print(): string {
    this.line("decode(source, start, end) {");
    this.line("const bytes = source.bytes, view = source.view;");
    this.line("let p = start, elements = 0;");
    const value = this.#struct(this.layout.slots, "end");
    if (!this.layout.message.allowsTrailing) {
      this.line('if (p !== end) bad("", reasons.trailing);');
    }
    this.line(`return ${value};`);
    this.line("},");
    return this.text();
  }

  /** Prints what reads a struct, and answers the expression that makes it: one shape, one order. */
  #struct(slots: readonly Slot[], end: string): string {
    const names = new Map<Slot, string>();
    for (const slot of slots) {
      if (!slot.isPresent) names.set(slot, this.constant(slot.initial));
      else if (slot.tag === undefined) names.set(slot, this.#slot(slot, end));
    }
    if (this.layout.isFlexible) {
      const tagged = slots.filter((slot) => slot.isPresent && slot.tag !== undefined);
      for (const slot of tagged) {
        const name = this.fresh("t");
        this.line(`let ${name} = ${this.constant(slot.initial)};`);
        names.set(slot, name);
      }
      this.#tagged(tagged, names, end);
    }
    const entries = slots.map((slot) => `${slot.name}: ${names.get(slot)}`);
    return `{ ${entries.join(", ")} }`;
  }

  #tagged(tagged: readonly Slot[], names: ReadonlyMap<Slot, string>, end: string): void {
    const path = "tagged fields";
    const left = this.#unsigned(path, end);
    this.line(`for (; ${left} > 0; ${left}--) {`);
    const tag = this.#unsigned(path, end);
    const size = this.#unsigned(path, end);
    this.line(`if (${size} > ${end} - p) short(${quote(path)});`);
    const limit = this.fresh("limit");
    this.line(`const ${limit} = p + ${size};`);
    this.line(`switch (${tag}) {`);
    for (const slot of tagged) {
      this.line(`case ${slot.tag}: {`);
      this.line(`${names.get(slot)} = ${this.#slot(slot, limit)};`);
      this.line(`if (p !== ${limit}) bad(${quote(slot.path)}, reasons.tagSize);`);
      this.line("break; }");
    }
    this.line(`default: p = ${limit};`);
    this.line("} }");
  }

  #slot({ shape, path, isNullable }: Slot, end: string): string {
    return this.#value(shape, { path, isNullable, end });
  }

  /** Prints what reads a value, and answers an expression without effects for it. */
  #value(shape: Shape, at: { path: string; isNullable: boolean; end: string }): string {
    const { path, end } = at;
    if (isFixed(shape.kind)) {
      const name = this.#fixed(fixedBytesOf(shape.kind), fixedReads[shape.kind], path, end);
      if (shape.kind === "int64") {
        this.line(`if (!Number.isSafeInteger(${name})) bad(${quote(path)}, reasons.integer);`);
      }
      return name;
    }
    if (shape.kind === "array") return this.#array(shape.element, shape.elementBytesMin, at);
    if (shape.kind === "struct") {
      return at.isNullable ? this.#nested(shape.slots, path, end) : this.#struct(shape.slots, end);
    }
    if (shape.kind === "string") {
      return this.#sized(at, 2, (size) => `bytes.toString("utf8", p, p + ${size})`);
    }
    if (shape.kind === "bytes") return this.#sized(at, 4, (size) => `${viewOfBytes(size)}.slice()`);
    return this.#sized(at, 4, viewOfBytes);
  }

  #nested(slots: readonly Slot[], path: string, end: string): string {
    const sign = this.#fixed(1, fixedReads.int8, path, end);
    const name = this.fresh("s");
    this.line(`let ${name};`);
    this.line(`if (${sign} === 1) {`);
    this.line(`${name} = ${this.#struct(slots, end)};`);
    this.line(`} else if (${sign} !== -1) bad(${quote(path)}, reasons.presence);`);
    return name;
  }

  // oxlint-disable-next-line max-params
  #fixed(size: number, read: string, path: string, end: string): string {
    const name = this.fresh("f");
    this.line(`if (${end} - p < ${size}) short(${quote(path)});`);
    this.line(`const ${name} = ${read};`);
    this.line(`p += ${size};`);
    return name;
  }

  #unsigned(path: string, end: string): string {
    const name = this.fresh("u");
    this.line(`if (p >= ${end}) short(${quote(path)});`);
    this.line(`let ${name} = bytes[p++];`);
    this.line(`if (${name} > 127) {`);
    this.line(`${name} = wide(bytes, p - 1, ${end}, ${quote(path)}); p = varint.position; }`);
    return name;
  }

  #length(path: string, end: string, size: 2 | 4): string {
    if (!this.layout.isFlexible) return this.#fixed(size, `view.getInt${size * 8}(p)`, path, end);
    const name = this.#unsigned(path, end);
    this.line(`${name} -= 1;`);
    return name;
  }

  #sized(
    { path, isNullable, end }: { path: string; isNullable: boolean; end: string },
    size: 2 | 4,
    make: (size: string) => string,
  ): string {
    const length = this.#length(path, end, size);
    const name = this.fresh("v");
    this.line(`let ${name};`);
    this.line(`if (${length} >= 0) {`);
    this.line(`if (${length} > ${end} - p) short(${quote(path)});`);
    this.line(`${name} = ${make(length)}; p += ${length};`);
    this.#otherwise(length, path, isNullable);
    return name;
  }

  #otherwise(length: string, path: string, isNullable: boolean): void {
    this.line(`} else if (${length} !== -1) bad(${quote(path)}, reasons.length);`);
    if (!isNullable) this.line(`else bad(${quote(path)}, reasons.isNull);`);
  }

  #array(
    element: Shape,
    elementBytesMin: number,
    { path, isNullable, end }: { path: string; isNullable: boolean; end: string },
  ): string {
    const count = this.#length(path, end, 4);
    const name = this.fresh("a");
    const index = this.fresh("i");
    this.line(`let ${name};`);
    this.line(`if (${count} >= 0) {`);
    this.line(
      `if (${count} * ${elementBytesMin} > ${end} - p) bad(${quote(path)}, reasons.count);`,
    );
    this.line(`elements += ${count};`);
    this.line(`if (elements > elementsMax) bad(${quote(path)}, reasons.elements);`);
    this.line(`${name} = [];`);
    this.line(`for (let ${index} = 0; ${index} < ${count}; ${index}++) {`);
    this.line(`${name}.push(${this.#value(element, { path, isNullable: false, end })});`);
    this.line("}");
    this.#otherwise(count, path, isNullable);
    return name;
  }
}

function viewOfBytes(size: string): string {
  return `new Uint8Array(bytes.buffer, bytes.byteOffset + p, ${size})`;
}

const fixedReads: Readonly<Record<FixedKind, string>> = {
  bool: "view.getInt8(p) !== 0",
  int8: "view.getInt8(p)",
  int16: "view.getInt16(p)",
  int32: "view.getInt32(p)",
  int64: "joinInt64(view.getInt32(p), view.getUint32(p + 4))",
  uuid: "uuidAt(bytes, p)",
};

class EncoderPrinter extends Printer {
  /** Bytes that are known to be free behind `p` at this place of the text. */
  #free = 0;

  print(): string {
    this.line("encode(writer, value) {");
    this.line("let p = writer.position;");
    this.line("let bytes = writer.bytes, view = writer.view;");
    this.#struct(this.layout.slots, "value");
    this.line("writer.position = p;");
    this.line("},");
    return this.text();
  }

  #struct(slots: readonly Slot[], value: string): void {
    for (const slot of slots) {
      if (slot.isPresent || !slot.isEssential) continue;
      const test = `isInitial(${this.constant(slot)}, ${value}.${slot.name})`;
      this.line(`if (!${test}) lost(${quote(slot.path)});`);
    }
    const plain = slots.filter((slot) => slot.isPresent && slot.tag === undefined);
    for (const [index, slot] of plain.entries()) {
      // One check of the room serves all neighbours of a fixed size.
      if (this.#free < fixedSize(slot)) this.#room(runSize(plain.slice(index)));
      const name = this.fresh("x");
      this.line(`let ${name} = ${value}.${slot.name};`);
      if (slot.preset !== undefined) {
        this.line(`if (${name} === undefined) ${name} = ${this.constant(slot.preset)};`);
      }
      this.#value(slot.shape, name, slot);
    }
    if (this.layout.isFlexible) this.#tagged(slots, value);
  }

  #tagged(slots: readonly Slot[], value: string): void {
    const tagged = slots
      .filter((slot) => slot.isPresent && slot.tag !== undefined)
      .toSorted((left, right) => (left.tag ?? 0) - (right.tag ?? 0))
      .map((slot) => ({ slot, name: this.fresh("g"), has: this.fresh("has") }));
    for (const { slot, name, has } of tagged) {
      const known = `${name} === undefined || isInitial(${this.constant(slot)}, ${name})`;
      this.line(`const ${name} = ${value}.${slot.name}, ${has} = !(${known});`);
    }
    this.#room(5);
    const count = tagged.map(({ has }) => `(${has} ? 1 : 0)`).join(" + ");
    this.line(count === "" ? "bytes[p++] = 0;" : `bytes[p++] = ${count};`);
    this.#free -= 1;
    for (const { slot, name, has } of tagged) {
      this.line(`if (${has}) {`);
      this.#room(6);
      this.line(`p = putUnsigned(bytes, p, ${slot.tag}) + 1;`);
      this.#free = 0;
      const mark = this.fresh("mark");
      this.line(`const ${mark} = p - 1 - writer.start;`);
      this.#value(slot.shape, name, slot);
      this.line(`p = writer.seal(${mark}, p);`);
      this.#reload();
      this.line("}");
      this.#free = 0;
    }
  }

  #value(shape: Shape, name: string, place: { path: string; isNullable: boolean }): void {
    const path = quote(place.path);
    if (isFixed(shape.kind)) return this.#fixed(shape.kind, name, path);
    if (shape.kind === "string") return this.#string(name, place);
    if (shape.kind === "array") return this.#array(shape.element, name, place);
    if (shape.kind === "struct") return this.#nested(shape.slots, name, place);
    const method = shape.kind === "bytes" ? "bytesField" : "records";
    this.#check(`typeof ${name} !== "object"`, name, place);
    this.line(`p = writer.${method}(p, ${name}, ${this.layout.isFlexible});`);
    return this.#reload();
  }

  /** Prints the check of a value that is not of a fixed size; `test` is true for a wrong one. */
  #check(test: string, name: string, place: { path: string; isNullable: boolean }): void {
    const isNull = place.isNullable ? `${name} !== undefined && ` : "";
    this.line(`if (${isNull}${test}) wrong(${quote(place.path)}, ${name});`);
  }

  #fixed(kind: FixedKind, name: string, path: string): void {
    const size = fixedBytesOf(kind);
    this.#room(size);
    const wrong = (test: string): void => this.line(`if (${test}) wrong(${path}, ${name});`);
    switch (kind) {
      case "bool":
        wrong(`typeof ${name} !== "boolean"`);
        this.line(`bytes[p] = ${name} ? 1 : 0;`);
        break;
      case "int8":
      case "int16":
      case "int32": {
        const shift = 32 - size * 8;
        wrong(`(${name} << ${shift} >> ${shift}) !== ${name}`);
        this.line(`view.setInt${size * 8}(p, ${name});`);
        break;
      }
      case "int64":
        wrong(`!Number.isSafeInteger(${name})`);
        this.line(`view.setInt32(p, Math.floor(${name} / 4294967296));`);
        this.line(`view.setUint32(p + 4, ${name} >>> 0);`);
        break;
      case "uuid":
        wrong(`typeof ${name} !== "string"`);
        this.line(`putUuid(bytes, p, ${name});`);
        break;
    }
    this.line(`p += ${size};`);
    this.#free -= size;
  }

  #string(name: string, place: { path: string; isNullable: boolean }): void {
    const { path, isNullable } = place;
    this.#check(`typeof ${name} !== "string"`, name, place);
    const { isFlexible } = this.layout;
    if (isNullable) {
      this.#room(2);
      this.line(`if (${name} === undefined) {`);
      this.line(isFlexible ? "bytes[p++] = 0;" : "view.setInt16(p, -1); p += 2;");
      this.line("} else {");
    }
    this.#free = 0;
    const size = this.fresh("size");
    this.line(`const ${size} = stringBytesMax(${name});`);
    this.line(`if (bytes.length - p < ${size}) { p = writer.grow(p, ${size});`);
    this.#reload();
    this.line("}");
    const put = isFlexible ? "putCompactString" : "putString";
    this.line(`p = ${put}(bytes, p, ${name});`);
    this.line(`if (p < 0) tooLong(${quote(path)});`);
    if (isNullable) this.line("}");
    this.#free = 0;
  }

  #array(element: Shape, name: string, place: { path: string; isNullable: boolean }): void {
    this.#check(`!Array.isArray(${name})`, name, place);
    this.#room(5);
    const count = this.fresh("n");
    this.line(`const ${count} = ${name} === undefined ? -1 : ${name}.length;`);
    if (this.layout.isFlexible) this.line(`p = putUnsigned(bytes, p, ${count} + 1);`);
    else this.line(`view.setInt32(p, ${count}); p += 4;`);
    const index = this.fresh("i");
    const item = this.fresh("e");
    this.line(`for (let ${index} = 0; ${index} < ${count}; ${index}++) {`);
    this.#free = 0;
    this.line(`const ${item} = ${name}[${index}];`);
    this.#value(element, item, { path: place.path, isNullable: false });
    this.line("}");
    this.#free = 0;
  }

  #nested(
    slots: readonly Slot[],
    name: string,
    place: { path: string; isNullable: boolean },
  ): void {
    this.#check(`typeof ${name} !== "object"`, name, place);
    if (!place.isNullable) return this.#struct(slots, name);
    this.#room(1);
    this.line(`if (${name} === undefined) bytes[p++] = 255;`);
    this.line("else { bytes[p++] = 1;");
    this.#free = 0;
    this.#struct(slots, name);
    this.line("}");
    this.#free = 0;
  }

  #room(size: number): void {
    if (this.#free >= size) return;
    this.line(`if (bytes.length - p < ${size}) { p = writer.grow(p, ${size});`);
    this.#reload();
    this.line("}");
    this.#free = size;
  }

  #reload(): void {
    this.line("bytes = writer.bytes; view = writer.view;");
    this.#free = 0;
  }
}

function fixedSize({ shape }: Slot): number {
  return isFixed(shape.kind) ? fixedBytesOf(shape.kind) : 0;
}

/** Bytes of the fixed-size fields at the front of `slots`. */
function runSize(slots: readonly Slot[]): number {
  const end = slots.findIndex((slot) => fixedSize(slot) === 0);
  const run = end < 0 ? slots : slots.slice(0, end);
  return run.reduce((sum, slot) => sum + fixedSize(slot), 0);
}
