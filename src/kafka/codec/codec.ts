import { compile } from "./compiler.ts";
import { interpret } from "./interpreter.ts";
import { type Decoded, type Encodable, type Fields, type Message, layoutOf } from "./schema.ts";
import { MessageWriter, type Source, sourceOf } from "./writer.ts";

/** Both directions of one message in one version. */
export interface Codec<Out, In> {
  /**
   * The value in `[start, end)`. Views in it are valid as long as the memory of `source` is.
   * @throws LogError `protocol_violation` naming message, version and field.
   */
  decode(source: Source, start: number, end: number): Out;
  /**
   * Appends the value to the writer's open message.
   * @throws LogError `unsupported` when the version lacks a field that the value needs,
   *   `protocol_violation` when a text is too long for the wire.
   */
  encode(writer: MessageWriter, value: In): void;
}

const codecs = new WeakMap<Message, Codec<unknown, unknown>[]>();

/** The codec of `message` in `version`, compiled at first use. */
export function codecOf<F extends Fields>(
  message: Message<F>,
  version: number,
): Codec<Decoded<F>, Encodable<F>> {
  let byVersion = codecs.get(message);
  if (byVersion === undefined) {
    byVersion = [];
    codecs.set(message, byVersion);
  }
  byVersion[version] ??= makeCodec(message, version);
  // The table is keyed by the message, so the codec found is the one of its fields.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return byVersion[version] as Codec<Decoded<F>, Encodable<F>>;
}

function makeCodec(message: Message, version: number): Codec<unknown, unknown> {
  const layout = layoutOf(message, version);
  try {
    return compile(layout);
  } catch (error) {
    // Node started with --disallow-code-generation-from-strings: slower, with the same results.
    if (error instanceof EvalError) return interpret(layout);
    throw error;
  }
}

/** A message alone as bytes: for schemas that travel inside others, and for tests. */
export function encodeAlone<F extends Fields>(
  message: Message<F>,
  version: number,
  value: Encodable<F>,
): Uint8Array {
  const writer = new MessageWriter(256);
  writer.beginBare();
  codecOf(message, version).encode(writer, value);
  return Buffer.concat(writer.finishBare());
}

/** The inverse of {@link encodeAlone}. */
export function decodeAlone<F extends Fields>(
  message: Message<F>,
  version: number,
  bytes: Uint8Array,
): Decoded<F> {
  return codecOf(message, version).decode(sourceOf(bytes), 0, bytes.length);
}
