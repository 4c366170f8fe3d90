// The contract of proglog, byte for byte: the status line's code, the type of the answer and its body.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openScene } from "./http-scene.test.ts";

const text = "text/plain; charset=utf-8";

test("a program of proglog appends and reads as it always did", async (context) => {
  const scene = await openScene(context, { proglogTopic: "book" });
  const said = async (method: string, body?: unknown, path = "/"): Promise<unknown[]> => {
    // A body in a GET is what proglog's clients send, and fetch does not.
    const answer =
      method === "GET" ? await scene.get(path, body) : await scene.ask(method, path, { body });
    return [answer.status, answer.headers.get("content-type"), answer.text];
  };
  const value = Buffer.from("hello world").toString("base64");
  const missing = [404, text, "offset not found\n"];
  assert.deepEqual(await said("GET", { offset: 0 }), missing);
  assert.deepEqual(await said("POST", { record: { value } }), [200, text, '{"offset":0}\n']);
  assert.deepEqual(await said("POST", { record: { value: "" } }), [200, text, '{"offset":1}\n']);
  assert.deepEqual(await said("POST", {}), [200, text, '{"offset":2}\n']);
  const first = [200, text, `{"record":{"value":"${value}","offset":0}}\n`];
  assert.deepEqual(await said("GET", { offset: 0 }), first);
  assert.deepEqual(await said("GET"), first);
  assert.deepEqual(await said("GET", undefined, "/?offset=0"), first);
  const empty = [200, text, '{"record":{"value":"","offset":1}}\n'];
  assert.deepEqual(await said("GET", { offset: 1 }), empty);
  assert.deepEqual(await said("GET", { offset: 3 }), missing);
  assert.deepEqual(await said("POST", "{"), [400, text, "the body is no JSON\n"]);
  assert.equal((await said("POST", { record: { value: "a" } }))[0], 400);
  assert.equal((await said("GET", { offset: -1 }))[0], 400);
  assert.deepEqual(await said("PUT"), [
    405,
    "application/problem+json",
    (await scene.ask("PUT", "/")).text,
  ]);
});

test("a browser's page at / is left free, and / is nothing where no topic is given", async (context) => {
  const scene = await openScene(context, { proglogTopic: "book" });
  const page = await scene.ask("GET", "/", { headers: { accept: "text/html,*/*" } });
  assert.equal(page.headers.get("content-type"), "application/problem+json");
  const other = await openScene(context);
  assert.equal((await other.ask("POST", "/", { body: {} })).status, 404);
});
