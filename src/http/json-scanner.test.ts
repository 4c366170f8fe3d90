import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { JsonFault, JsonScanner } from "./json-scanner.ts";

/** Whether all of `text` is one JSON value. */
function isJson(text: string): boolean {
  const scanner = new JsonScanner();
  const bytes = Buffer.from(text);
  scanner.reset(bytes, 0, bytes.length);
  try {
    scanner.value();
    return scanner.peek() === -1;
  } catch (error) {
    assert.ok(error instanceof JsonFault, String(error));
    assert.ok(error.position >= 0 && error.position <= bytes.length);
    return false;
  }
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // That it cannot be parsed is the answer.
    return false;
  }
}

test("every value is passed whole, wherever white space is", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(8), (value, indent) => {
      const text = ` ${JSON.stringify(value, undefined, indent)}\r\n\t`;
      assert.ok(isJson(text), text);
    }),
  );
});

test("what is damaged is judged as JSON.parse does", () => {
  const change = fc.record({
    at: fc.nat(200),
    put: fc.constantFrom(
      "",
      " ",
      ",",
      ":",
      '"',
      "[",
      "]",
      "{",
      "}",
      "\\",
      "-",
      ".",
      "e",
      "0",
      "1",
      "\n",
      "u",
      "t",
    ),
  });
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (value, changes) => {
        let text = JSON.stringify(value);
        for (const { at, put } of changes) {
          const place = at % (text.length + 1);
          text = text.slice(0, place) + put + text.slice(place + (put === "" ? 1 : 0));
        }
        assert.equal(isJson(text), isParsed(text), text);
      },
    ),
    { numRuns: 5_000 },
  );
});

const cases: readonly (readonly [text: string, why: string])[] = [
  ["", "nothing"],
  ["01", "a leading zero"],
  ["1.", "no digit behind the point"],
  ["1e", "no digit in the exponent"],
  ["+1", "a plus"],
  [".5", "no digit before the point"],
  ["NaN", "no number of JSON"],
  ['"\t"', "a control character"],
  ['"\\x"', "no such escape"],
  ['"\\u12"', "an escape cut short"],
  ['"\\', "an escape at the end"],
  ["{a:1}", "a name without quotes"],
  ["{'a':1}", "single quotes"],
  ["[1,]", "a comma too many"],
  ['{"a":1,}', "a comma too many in an object"],
  ["[1 2]", "a comma too few"],
  ["tru", "a word cut short"],
  ["[}", "the wrong end"],
  ["[".repeat(257) + "]".repeat(257), "too deep"],
];
for (const [text, why] of cases) {
  test(`no JSON: ${why}`, () => assert.equal(isJson(text), false));
}

test("so many levels as are allowed are passed, and nothing is recursive", () => {
  assert.ok(isJson("[".repeat(256) + "]".repeat(256)));
});

test("bytes above 127 are noticed", () => {
  const scanner = new JsonScanner();
  for (const [text, hasNonAscii] of [
    ['"plain"', false],
    ['"ä"', true],
  ] as const) {
    const bytes = Buffer.from(text);
    scanner.reset(bytes, 0, bytes.length);
    scanner.value();
    assert.equal(scanner.hasNonAscii, hasNonAscii);
  }
});
