import { existsSync } from "node:fs";
import { resolve } from "node:path";

import { LogError } from "../errors/index.ts";
import { locationOf } from "./location.ts";

/**
 * The path of a directory that is there. Takes what `--at` takes, but for servers.
 * @throws LogError invalid_argument, topic_not_found
 */
export function directoryPath(text: string): string {
  const location = /^(file|kafka|https?):/.test(text) ? locationOf(text) : undefined;
  if (location !== undefined && location.kind !== "directory") {
    throw new LogError("invalid_argument", `${text}: a directory is needed, not a server`);
  }
  const path = resolve(location?.path ?? text);
  if (!existsSync(path)) throw new LogError("topic_not_found", `${path}: no such directory`);
  return path;
}
