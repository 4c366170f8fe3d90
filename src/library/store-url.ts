/** Where a store is. */
import { LogError } from "../errors/index.ts";

export type StorePlace =
  | { readonly kind: "memory" }
  | { readonly kind: "directory"; readonly path: string };

/**
 * `memory:` lives and ends with its store; `file:./data`, `file:/data` and `file:///data` are
 * directories, as is a plain path.
 * @throws LogError invalid_argument, unsupported.
 */
export function storePlace(url: string): StorePlace {
  if (url === "memory:") return { kind: "memory" };
  if (url.startsWith("file:")) return { kind: "directory", path: pathOf(url) };
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1];
  if (scheme !== undefined) {
    throw new LogError(
      "unsupported",
      `${url}: stores at "${scheme}:" are not there yet; "memory:" and "file:DIRECTORY" are`,
    );
  }
  if (url === "") throw new LogError("invalid_argument", "the URL of the store is empty");
  return { kind: "directory", path: url };
}

function pathOf(url: string): string {
  const path = url.slice("file:".length);
  const hasHost = path.startsWith("//") && !path.startsWith("///");
  if (hasHost || path === "") {
    throw new LogError("invalid_argument", `${url}: expected file:DIRECTORY, such as file:./data`);
  }
  return path.startsWith("//") ? decodeURIComponent(path.slice(2)) : path;
}
