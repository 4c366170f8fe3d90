// The codec of one message and version as closures over its layout. It is the reference that the
// compiled codec is tested against, and takes its place where code may not be made from strings.

import type { Codec } from "./codec.ts";
import { type Faults, elementsMax, faultsOf, reasons } from "./faults.ts";
import {
  type FixedKind,
  type Layout,
  type RecordChunks,
  type Shape,
  type Slot,
  fixedBytesOf,
  isFixed,
  isInitial,
  isStruct,
} from "./schema.ts";
import {
  type MessageWriter,
  type Source,
  putCompactString,
  putString,
  putUnsigned,
  putUuid,
  stringBytesMax,
  uuidAt,
} from "./writer.ts";

type Read = (cursor: Cursor) => unknown;
type Write = (writer: MessageWriter, value: unknown) => void;

export function interpret(layout: Layout): Codec<unknown, unknown> {
  const faults = faultsOf(layout);
  const read = readStruct(layout.slots, layout.isFlexible);
  const write = writeStruct(layout.slots, layout.isFlexible, faults);
  return {
    decode(source, start, end) {
      const cursor = new Cursor(source, start, end, faults);
      const value = read(cursor);
      if (cursor.position !== end && !layout.message.allowsTrailing)
        faults.bad("", reasons.trailing);
      return value;
    },
    encode: write,
  };
}

class Cursor {
  readonly source: Source;
  position: number;
  end: number;
  elements = 0;
  readonly faults: Faults;

  constructor(source: Source, position: number, end: number, faults: Faults) {
    this.source = source;
    this.position = position;
    this.end = end;
    this.faults = faults;
  }

  /** Steps over `count` bytes, and answers where they begin. */
  take(count: number, path: string): number {
    if (count > this.end - this.position) this.faults.short(path);
    const at = this.position;
    this.position += count;
    return at;
  }

  unsigned(path: string): number {
    let value = 0;
    for (let index = 0; index < 5; index++) {
      const byte = this.source.bytes[this.take(1, path)] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value > 0xffff_ffff ? this.faults.bad(path, reasons.wide) : value;
    }
    return this.faults.bad(path, reasons.wide);
  }

  /** An integer that turned out not to be safe. */
  integer(path: string): never {
    return this.faults.bad(path, reasons.integer);
  }

  /** A length or a count, -1 for null: as a varint, or as an integer of `size` bytes. */
  length(path: string, isFlexible: boolean, size: 2 | 4): number {
    if (isFlexible) return this.unsigned(path) - 1;
    const { view } = this.source;
    return size === 2 ? view.getInt16(this.take(2, path)) : view.getInt32(this.take(4, path));
  }
}

function readStruct(slots: readonly Slot[], isFlexible: boolean): Read {
  const initial: Record<string, unknown> = Object.fromEntries(
    slots.map((slot) => [slot.name, slot.initial]),
  );
  const present = slots.filter((slot) => slot.isPresent);
  const readers = present.map((slot) => ({ slot, read: readSlot(slot, isFlexible) }));
  const plain = readers.filter(({ slot }) => slot.tag === undefined);
  const tagged = new Map(
    readers.flatMap((entry) => (entry.slot.tag === undefined ? [] : [[entry.slot.tag, entry]])),
  );
  return (cursor) => {
    const value: Record<string, unknown> = { ...initial };
    for (const { slot, read } of plain) value[slot.name] = read(cursor);
    if (!isFlexible) return value;
    for (let left = cursor.unsigned("tagged fields"); left > 0; left--) {
      const tag = cursor.unsigned("tagged fields");
      const size = cursor.unsigned("tagged fields");
      const at = cursor.take(size, "tagged fields");
      const known = tagged.get(tag);
      if (known === undefined) continue;
      const { end } = cursor;
      cursor.position = at;
      cursor.end = at + size;
      value[known.slot.name] = known.read(cursor);
      if (cursor.position !== at + size) cursor.faults.bad(known.slot.path, reasons.tagSize);
      cursor.end = end;
    }
    return value;
  };
}

function readSlot({ shape, path, isNullable }: Slot, isFlexible: boolean): Read {
  return readShape(shape, { path, isNullable, isFlexible });
}

interface Place {
  readonly path: string;
  readonly isNullable: boolean;
  readonly isFlexible: boolean;
}

function readShape(shape: Shape, place: Place): Read {
  if (isFixed(shape.kind)) {
    const { path } = place;
    const read = fixedReads[shape.kind];
    const size = fixedBytesOf(shape.kind);
    return (cursor) => read(cursor.source, cursor.take(size, path)) ?? cursor.integer(path);
  }
  if (shape.kind === "array") return readArray(shape.element, shape.elementBytesMin, place);
  if (shape.kind === "struct") return readNested(shape.slots, place);
  if (shape.kind === "string") {
    return readSized(place, 2, ({ bytes }, at, size) => bytes.toString("utf8", at, at + size));
  }
  if (shape.kind === "bytes") {
    return readSized(place, 4, ({ bytes }, at, size) => bytesAt(bytes, at, size).slice());
  }
  return readSized(place, 4, ({ bytes }, at, size) => bytesAt(bytes, at, size));
}

/** Values of a fixed size; undefined for an integer that is not safe. */
const fixedReads: Readonly<Record<FixedKind, (source: Source, at: number) => unknown>> = {
  bool: ({ view }, at) => view.getInt8(at) !== 0,
  int8: ({ view }, at) => view.getInt8(at),
  int16: ({ view }, at) => view.getInt16(at),
  int32: ({ view }, at) => view.getInt32(at),
  int64: ({ view }, at) => {
    const value = Number(view.getBigInt64(at));
    return Number.isSafeInteger(value) ? value : undefined;
  },
  uuid: ({ bytes }, at) => uuidAt(bytes, at),
};

function readNested(slots: readonly Slot[], { path, isNullable, isFlexible }: Place): Read {
  const read = readStruct(slots, isFlexible);
  if (!isNullable) return read;
  return (cursor) => {
    const sign = cursor.source.view.getInt8(cursor.take(1, path));
    if (sign === -1) return undefined;
    return sign === 1 ? read(cursor) : cursor.faults.bad(path, reasons.presence);
  };
}

function bytesAt(bytes: Uint8Array, at: number, size: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, size);
}

function readSized(
  { path, isNullable, isFlexible }: Place,
  size: 2 | 4,
  make: (source: Source, at: number, size: number) => unknown,
): Read {
  return (cursor) => {
    const length = cursor.length(path, isFlexible, size);
    if (length >= 0) return make(cursor.source, cursor.take(length, path), length);
    return noValue(cursor, path, length, isNullable);
  };
}

function readArray(element: Shape, elementBytesMin: number, place: Place): Read {
  const { path, isNullable, isFlexible } = place;
  const read = readShape(element, { ...place, isNullable: false });
  return (cursor) => {
    const count = cursor.length(path, isFlexible, 4);
    if (count < 0) return noValue(cursor, path, count, isNullable);
    if (count * elementBytesMin > cursor.end - cursor.position) {
      cursor.faults.bad(path, reasons.count);
    }
    cursor.elements += count;
    if (cursor.elements > elementsMax) cursor.faults.bad(path, reasons.elements);
    return Array.from({ length: count }, () => read(cursor));
  };
}

// oxlint-disable-next-line max-params
function noValue(cursor: Cursor, path: string, length: number, isNullable: boolean): undefined {
  if (length !== -1) cursor.faults.bad(path, reasons.length);
  if (!isNullable) cursor.faults.bad(path, reasons.isNull);
  return undefined;
}

function writeStruct(slots: readonly Slot[], isFlexible: boolean, faults: Faults): Write {
  const present = slots.filter((slot) => slot.isPresent);
  const plain = present.filter((slot) => slot.tag === undefined).map(writerOf);
  const tagged = present
    .filter((slot) => slot.tag !== undefined)
    .toSorted((left, right) => (left.tag ?? 0) - (right.tag ?? 0))
    .map(writerOf);
  const essential = slots.filter((slot) => !slot.isPresent && slot.isEssential);

  function writerOf(slot: Slot): { slot: Slot; write: Write } {
    const { shape, path, isNullable } = slot;
    return { slot, write: writeShape(shape, { path, isNullable, isFlexible }, faults) };
  }

  return (writer, value) => {
    if (!isStruct(value)) return faults.wrong("a struct", value);
    for (const slot of essential) {
      if (!isInitial(slot, value[slot.name])) faults.lost(slot.path);
    }
    for (const { slot, write } of plain) write(writer, value[slot.name] ?? slot.preset);
    if (!isFlexible) return undefined;
    const sent = tagged.filter(({ slot }) => !isInitial(slot, value[slot.name]));
    writeUnsigned(writer, sent.length);
    for (const { slot, write } of sent) {
      writeUnsigned(writer, slot.tag ?? 0);
      const at = take(writer, 1);
      const mark = at - writer.start;
      write(writer, value[slot.name]);
      writer.position = writer.seal(mark, writer.position);
    }
    return undefined;
  };
}

/** Room for `count` bytes; answers where they begin. */
function take(writer: MessageWriter, count: number): number {
  const at = writer.grow(writer.position, count);
  writer.position = at + count;
  return at;
}

function writeUnsigned(writer: MessageWriter, value: number): void {
  const at = writer.grow(writer.position, 5);
  writer.position = putUnsigned(writer.bytes, at, value);
}

function writeShape(shape: Shape, at: Place, faults: Faults): Write {
  const { path, isNullable, isFlexible } = at;
  if (isFixed(shape.kind)) return writeFixed(shape.kind, path, faults);
  if (shape.kind === "string") return writeString(at, faults);
  if (shape.kind === "array") {
    const write = writeShape(shape.element, { ...at, isNullable: false }, faults);
    return writeArray(write, at, faults);
  }
  if (shape.kind === "struct") return writeNested(writeStruct(shape.slots, isFlexible, faults), at);
  const isBytes = shape.kind === "bytes";
  return (writer, value) => {
    if (isNull(value, isNullable)) {
      writer.position = writer.bytesField(writer.position, undefined, isFlexible);
    } else if (isBytes && value instanceof Uint8Array) {
      writer.position = writer.bytesField(writer.position, value, isFlexible);
    } else if (!isBytes && isChunks(value)) {
      writer.position = writer.records(writer.position, value, isFlexible);
    } else faults.wrong(path, value);
  };
}

function isChunks(value: unknown): value is RecordChunks {
  return value instanceof Uint8Array || Array.isArray(value);
}

function isNull(value: unknown, isNullable: boolean): boolean {
  return isNullable && value === undefined;
}

function writeNested(write: Write, { isNullable }: Place): Write {
  if (!isNullable) return write;
  return (writer, value) => {
    const position = take(writer, 1);
    writer.view.setInt8(position, value === undefined ? -1 : 1);
    if (value !== undefined) write(writer, value);
  };
}

function writeFixed(kind: FixedKind, path: string, faults: Faults): Write {
  if (kind === "uuid") {
    return (writer, value) => {
      if (typeof value !== "string") return faults.wrong(path, value);
      const position = take(writer, 16);
      return putUuid(writer.bytes, position, value);
    };
  }
  if (kind === "bool") {
    return (writer, value) => {
      if (typeof value !== "boolean") return faults.wrong(path, value);
      const position = take(writer, 1);
      return writer.view.setInt8(position, value ? 1 : 0);
    };
  }
  const size = fixedBytesOf(kind);
  const bound = kind === "int64" ? 2 ** 53 : 2 ** (size * 8 - 1);
  return (writer, value) => {
    const isRight = typeof value === "number" && Number.isSafeInteger(value);
    if (!isRight || value < -bound || value >= bound) return faults.wrong(path, value);
    const position = take(writer, size);
    const { view } = writer;
    if (size === 1) return view.setInt8(position, value);
    if (size === 2) return view.setInt16(position, value);
    return size === 4 ? view.setInt32(position, value) : view.setBigInt64(position, BigInt(value));
  };
}

function writeString({ path, isNullable, isFlexible }: Place, faults: Faults): Write {
  return (writer, value) => {
    if (isNull(value, isNullable)) {
      if (isFlexible) return writeUnsigned(writer, 0);
      const position = take(writer, 2);
      return writer.view.setInt16(position, -1);
    }
    if (typeof value !== "string") return faults.wrong(path, value);
    const at = writer.grow(writer.position, stringBytesMax(value));
    const put = isFlexible ? putCompactString : putString;
    const next = put(writer.bytes, at, value);
    writer.position = next < 0 ? faults.tooLong(path) : next;
    return undefined;
  };
}

function writeArray(write: Write, { path, isNullable, isFlexible }: Place, faults: Faults): Write {
  return (writer, value) => {
    const list: readonly unknown[] | undefined = Array.isArray(value) ? value : undefined;
    if (list === undefined && !isNull(value, isNullable)) faults.wrong(path, value);
    const count = list === undefined ? -1 : list.length;
    if (isFlexible) writeUnsigned(writer, count + 1);
    else {
      const position = take(writer, 4);
      writer.view.setInt32(position, count);
    }
    for (const element of list ?? []) write(writer, element);
  };
}
