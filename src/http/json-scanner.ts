/** Finds where JSON values begin and end in bytes, and whether they are well-formed (RFC 8259). */

/** Arrays and objects within one another. */
const DEPTH_MAX = 256;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** Where a text stops to be JSON. */
export class JsonFault extends Error {
  override readonly name = "JsonFault";
  /** Bytes from the start of the memory that was scanned. */
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/**
 * Walks over JSON without making anything of it: what is stored is what was sent, to the byte, and
 * nothing is allocated for a value. Whether strings are UTF-8 is for the caller to check, at once for
 * all of a text; {@link JsonScanner.hasNonAscii} says whether there is something to check.
 */
// hot: once for every byte that is appended or read as JSON; guarded by bench/http.
export class JsonScanner {
  bytes: Uint8Array = new Uint8Array(0);
  /** Next byte to look at. */
  position = 0;
  /** Whether a byte above 127 was passed since the last {@link JsonScanner.reset}. */
  hasNonAscii = false;
  #end = 0;
  /** For each open array or object, its closing byte. */
  readonly #closing = new Uint8Array(DEPTH_MAX);

  reset(bytes: Uint8Array, position: number, end: number): void {
    this.bytes = bytes;
    this.position = position;
    this.#end = end;
    this.hasNonAscii = false;
  }

  /** The next byte that is no white space, not passed; -1 at the end. */
  peek(): number {
    const { bytes } = this;
    let at = this.position;
    while (at < this.#end) {
      const byte = bytes[at] ?? 0;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        this.position = at;
        return byte;
      }
      at++;
    }
    this.position = at;
    return -1;
  }

  /** Whether the next byte is one that a value begins with. */
  canBegin(): boolean {
    const byte = this.peek();
    return byte >= 0 && '{["-0123456789tfn'.includes(String.fromCharCode(byte));
  }

  /** Passes `byte` where it is the next one. */
  takes(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.position++;
    return true;
  }

  /** Passes white space and `byte`. @throws JsonFault where something else is there. */
  expect(byte: number): void {
    if (!this.takes(byte)) throw this.fault(`"${String.fromCharCode(byte)}" is expected`);
  }

  /** Passes white space and a string; `position` is behind it, and the answer is where it begins, with its quote. @throws JsonFault */
  string(): number {
    if (this.peek() !== QUOTE) throw this.fault("a string is expected");
    const start = this.position;
    this.#string();
    return start;
  }

  /** Passes white space and one value of any kind; answers where it begins. @throws JsonFault */
  value(): number {
    this.peek();
    const start = this.position;
    let depth = 0;
    for (;;) {
      const byte = this.peek();
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (depth === DEPTH_MAX) throw this.fault(`more than ${DEPTH_MAX} levels`);
        const closing = byte === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
        this.position++;
        if (!this.takes(closing)) {
          this.#closing[depth++] = closing;
          this.#nameWithin(closing);
          continue;
        }
      } else {
        this.#scalar(byte);
      }
      // Behind a value: what is open ends or goes on.
      while (depth > 0) {
        const closing = this.#closing[depth - 1] ?? 0;
        if (this.takes(COMMA)) {
          this.#nameWithin(closing);
          break;
        }
        this.expect(closing);
        depth--;
      }
      if (depth === 0) return start;
    }
  }

  fault(message: string): JsonFault {
    return new JsonFault(message, this.position);
  }

  /** In an object, the name of the next value. */
  #nameWithin(closing: number): void {
    if (closing !== CLOSE_OBJECT) return;
    this.string();
    this.expect(COLON);
  }

  #scalar(byte: number): void {
    if (byte === QUOTE) this.#string();
    else if (byte === MINUS || (byte >= ZERO && byte <= NINE)) this.#number();
    else if (byte === 0x74) this.#word("true");
    else if (byte === 0x66) this.#word("false");
    else if (byte === 0x6e) this.#word("null");
    else throw this.fault(byte < 0 ? "it ends too early" : "a value is expected");
  }

  #string(): void {
    const { bytes } = this;
    const end = this.#end;
    let at = this.position + 1;
    let all = 0;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE) {
        this.position = at + 1;
        if (all >= 0x80) this.hasNonAscii = true;
        return;
      }
      if (byte === BACKSLASH) {
        at = this.#escape(at);
      } else if (byte < 0x20) {
        this.position = at;
        throw this.fault("a control character in a string");
      } else {
        all |= byte;
        at++;
      }
    }
    this.position = end;
    throw this.fault("a string does not end");
  }

  /** Position behind the escape at `at`. */
  #escape(at: number): number {
    const kind = this.bytes[at + 1] ?? 0;
    if (at + 1 >= this.#end) return at + 1;
    if (kind !== 0x75) {
      if ('"\\/bfnrt'.includes(String.fromCharCode(kind))) return at + 2;
      this.position = at;
      throw this.fault("no such escape in a string");
    }
    for (let digit = at + 2; digit < at + 6; digit++) {
      if (digit < this.#end && isHex(this.bytes[digit] ?? 0)) continue;
      this.position = at;
      throw this.fault("four hexadecimal digits follow \\u");
    }
    return at + 6;
  }

  #number(): void {
    if (this.bytes[this.position] === MINUS) this.position++;
    if (this.#byte() === ZERO) this.position++;
    else this.#digits();
    if (this.#byte() === DOT) {
      this.position++;
      this.#digits();
    }
    const byte = this.#byte();
    if (byte !== 0x65 && byte !== 0x45) return;
    this.position++;
    const sign = this.#byte();
    if (sign === PLUS || sign === MINUS) this.position++;
    this.#digits();
  }

  #digits(): void {
    const start = this.position;
    for (let byte = this.#byte(); byte >= ZERO && byte <= NINE; byte = this.#byte()) {
      this.position++;
    }
    if (this.position === start) throw this.fault("a digit is expected");
  }

  #byte(): number {
    return this.position < this.#end ? (this.bytes[this.position] ?? 0) : -1;
  }

  #word(word: string): void {
    for (let index = 0; index < word.length; index++) {
      if (this.#byte() !== word.charCodeAt(index)) throw this.fault("a value is expected");
      this.position++;
    }
  }
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20;
  return (byte >= ZERO && byte <= NINE) || (lower >= 0x61 && lower <= 0x66);
}
