// Requests that clients of other makers sent over a socket, one line for one field.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { decodeAlone } from "./codec/codec.ts";
import { MessageWriter, sourceOf } from "./codec/writer.ts";
import { RequestHeader, encodeRequest } from "./header.ts";
import { consumerAssignment, consumerSubscription } from "./messages/consumer-protocol.ts";
import { type ApiName, type RequestOf, apiNameOf, apis, requestCodec } from "./registry.ts";

const directory = new URL("../../test/golden/kafka-requests/", import.meta.url);

interface Golden {
  readonly bytes: Buffer;
  /** What the lines say: `topics[0].name` and the value as JSON. */
  readonly claims: readonly (readonly [path: string, json: string])[];
}

function goldenOf(text: string): Golden {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const hex = lines.map((line) => line.split(/ {2,}/)[0]).join("");
  const claims = lines.flatMap((line) => {
    const [, path, json] = / {2,}([\w.[\]]+) = (.*)$/.exec(line) ?? [];
    return path === undefined || json === undefined ? [] : [[path, json] as const];
  });
  return { bytes: Buffer.from(hex.replaceAll(" ", ""), "hex"), claims };
}

function decode(bytes: Buffer): { api: ApiName; header: RequestHeader; body: RequestOf<ApiName> } {
  const source = sourceOf(bytes);
  const header = new RequestHeader();
  header.readFixed(source, 0, bytes.length);
  const api = apiNameOf(header.apiKey);
  assert.ok(api !== undefined);
  header.readRest(source, bytes.length, header.version >= apis[api].flexibleSince);
  const codec = requestCodec(api, header.version);
  return { api, header, body: codec.decode(source, header.bodyStart, bytes.length) };
}

/** The value at a path, as a golden file writes it. */
function claimAt(body: object, path: string): string {
  let value: unknown = body;
  for (const name of path.split(/[.[\]]+/)) {
    if (name !== "") value = Reflect.get(Object(value), name);
  }
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value === undefined ? "null" : JSON.stringify(value);
}

for (const file of readdirSync(directory)) {
  test(`the request ${file} says what its lines say, and is written again byte for byte`, () => {
    const { bytes, claims } = goldenOf(readFileSync(new URL(file, directory), "utf8"));
    const { api, header, body } = decode(bytes);
    assert.ok(claims.length > 0 || api === "ApiVersions");
    for (const [path, json] of claims) assert.equal(claimAt(body, path), json, path);
    const { version, correlationId, clientId } = header;
    const options = { version, correlationId, clientId };
    const frame = Buffer.concat(encodeRequest(new MessageWriter(), api, options, body));
    assert.equal(frame.subarray(4).toString("hex"), bytes.toString("hex"));
    assert.equal(frame.readInt32BE(0), bytes.length);
  });
}

test("every client's subscription and assignment are read", () => {
  const read = (file: string): RequestOf<ApiName> =>
    decode(goldenOf(readFileSync(new URL(file, directory), "utf8")).bytes).body;
  const files = readdirSync(directory);
  let count = 0;
  for (const file of files) {
    const body = read(file);
    if ("protocols" in body) {
      const [{ metadata } = { metadata: new Uint8Array(0) }] = body.protocols;
      const version = Math.min(3, Buffer.from(metadata).readInt16BE(0));
      const wish = decodeAlone(consumerSubscription, version, metadata.subarray(2));
      assert.deepEqual(wish.topics, ["t"], file);
      count += 1;
    }
    if ("assignments" in body) {
      const [{ assignment } = { assignment: new Uint8Array(0) }] = body.assignments;
      const version = Math.min(3, Buffer.from(assignment).readInt16BE(0));
      const { assignedPartitions } = decodeAlone(
        consumerAssignment,
        version,
        assignment.subarray(2),
      );
      assert.deepEqual(assignedPartitions, [{ topic: "t", partitions: [0] }], file);
      count += 1;
    }
  }
  assert.equal(count, 8, "four clients, each with both");
});
