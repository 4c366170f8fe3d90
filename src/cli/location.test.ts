import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../errors/index.ts";
import { locationOf } from "./location.ts";

function server(host: string, port: number): unknown {
  return { kind: "server", address: { host, port } };
}

test("servers and directories are told apart", () => {
  assert.deepEqual(locationOf("kafka://127.0.0.1:9092"), server("127.0.0.1", 9092));
  assert.deepEqual(locationOf("kafka://broker"), server("broker", 9092));
  assert.deepEqual(locationOf("broker:19092"), server("broker", 19092));
  assert.deepEqual(locationOf("kafka://[::1]:9092"), server("::1", 9092));
  const secure = "https://logs.example/cordwood";
  assert.deepEqual(locationOf("http://host:80"), { kind: "http", url: "http://host:80" });
  assert.deepEqual(locationOf(secure), { kind: "http", url: secure });
  assert.deepEqual(locationOf("file:./data"), { kind: "directory", path: "./data" });
  assert.deepEqual(locationOf("file:data"), { kind: "directory", path: "data" });
  assert.deepEqual(locationOf("file:///var/a%20b"), { kind: "directory", path: "/var/a b" });
  assert.deepEqual(locationOf("./data"), { kind: "directory", path: "./data" });
  assert.deepEqual(locationOf("/var/data"), { kind: "directory", path: "/var/data" });
});

test("what is neither is refused", () => {
  const wrong = ["", "ftp://host:80", "s3://bucket/prefix", "file:", "file://host/path", "a:b"];
  for (const url of [...wrong, "host:0", "host:99999", "kafka://"]) {
    assert.throws(
      () => locationOf(url),
      (error) => error instanceof LogError && error.code === "invalid_argument",
      url,
    );
  }
});
