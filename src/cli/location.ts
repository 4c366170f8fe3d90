import type { Address } from "../env/index.ts";
import { LogError } from "../errors/index.ts";

export type Location =
  | { readonly kind: "http"; readonly url: string }
  | { readonly kind: "server"; readonly address: Address }
  | { readonly kind: "directory"; readonly path: string };

/** Where commands go when nobody says otherwise. */
export const standardUrl = "http://127.0.0.1:8080";

const KAFKA_PORT = 9092;

/**
 * What `--at` names: `http://HOST:PORT` or `https://HOST` is a server, `kafka://HOST:PORT` or
 * `HOST:PORT` is one by Kafka's protocol, `file:PATH` or a path that begins
 * with a dot or a slash is a directory.
 * @throws LogError invalid_argument
 */
export function locationOf(url: string): Location {
  if (/^\.{0,2}\//.test(url) || url === "." || url === "..")
    return { kind: "directory", path: url };
  if (url.startsWith("file:")) return { kind: "directory", path: pathOf(url) };
  const scheme = /^([a-z][a-z0-9+]*):\/\//i.exec(url)?.[1];
  if (scheme !== undefined && /^https?$/i.test(scheme)) return { kind: "http", url };
  if (scheme !== undefined && scheme !== "kafka") throw unexpected(url);
  const address = /^(?:kafka:\/\/)?(?:\[([0-9a-fA-F:]+)\]|([^:/[\]\s]+))(?::(\d{1,5}))?\/?$/.exec(
    url,
  );
  const host = address?.[1] ?? address?.[2];
  const port = Number(address?.[3] ?? KAFKA_PORT);
  if (host === undefined || port > 65_535 || port === 0) {
    throw unexpected(url);
  }
  return { kind: "server", address: { host, port } };
}

function unexpected(url: string): LogError {
  const known = "http://HOST:PORT, kafka://HOST:PORT or file:PATH";
  return new LogError("invalid_argument", `--at ${url}: expected ${known}`);
}

/** `file:./data` and `file:/data` as they stand, `file:///data` without its empty host. */
function pathOf(url: string): string {
  const path = url.slice("file:".length);
  const isWithHost = path.startsWith("//");
  if (isWithHost && !path.startsWith("///")) {
    throw new LogError("invalid_argument", `--at ${url}: expected file:PATH`);
  }
  if (path === "") throw new LogError("invalid_argument", `--at ${url}: a path is missing`);
  return isWithHost ? decodeURIComponent(path.slice(2)) : path;
}
