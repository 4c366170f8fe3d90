import assert from "node:assert/strict";
import { test } from "node:test";

import { openScene } from "./http-scene.test.ts";

interface Parameter {
  readonly name: string;
  readonly in: string;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly parameters: readonly Parameter[] }>>>
  >;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** Those that answer whatever the query says. */
const withoutQuery = new Set(["/health/live", "/health/ready", "/metrics", "/openapi.json"]);

test("every route is described, and every description has its route, with the parameters it takes", async (context) => {
  const scene = await openScene(context);
  await scene.createTopic("t");
  const answer = await scene.ask("GET", "/openapi.json");
  assert.equal(answer.headers.get("content-type"), "application/json");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- looked at field by field
  const document = answer.json as Document;
  assert.equal(document.openapi, "3.1.0");
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = scene.door.routes.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(new Set(described), new Set(served));
  for (const [path, methods] of Object.entries(document.paths)) {
    if (withoutQuery.has(path)) continue;
    for (const [method, { parameters }] of Object.entries(methods)) {
      const names = (place: string): Set<string> =>
        new Set(parameters.filter((each) => each.in === place).map(({ name }) => name));
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      assert.deepEqual(names("path"), new Set(inPath), path);
      assert.deepEqual(names("query"), await taken(scene, method, path), `${method} ${path}`);
    }
  }
});

const filled: Readonly<Record<string, string>> = {
  topic: "t",
  partition: "0",
  offset: "0",
  key: "k",
  group: "g",
};

/** The parameters that a route says it takes when it is given one that it does not. */
async function taken(
  scene: Awaited<ReturnType<typeof openScene>>,
  method: string,
  path: string,
): Promise<Set<string>> {
  const known = new Set<string>();
  for (const type of ["application/json", "application/x-ndjson", "application/octet-stream"]) {
    const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => filled[name] ?? "");
    const answer = await scene.ask(method.toUpperCase(), `${place}?surely-unknown=1`, {
      headers: { "content-type": type },
      ...(method === "get" || method === "delete" ? {} : { body: "{}" }),
    });
    assert.equal(answer.status, 400, `${method} ${path} takes any query`);
    const [, names = ""] = /known are ([\w, ]+)/.exec(answer.text) ?? [];
    for (const name of names.split(", ")) if (name !== "") known.add(name);
  }
  return known;
}

test("every schema that is named is there, and every one that is there is named", async (context) => {
  const scene = await openScene(context);
  const { text, json } = await scene.ask("GET", "/openapi.json");
  const named = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- looked at field by field
  const { schemas } = (json as Document).components;
  assert.deepEqual(new Set(named), new Set(Object.keys(schemas)));
});
