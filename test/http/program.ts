// A client that is a program of its own: installed, run against a fresh server, its steps told.
import { spawn, spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

import { startServer } from "../servers.ts";

const msMax = 300_000;
const install = join(import.meta.dirname, "../clients/install.sh");

/** Where installed programs are. */
export const cache =
  process.env["CORDWOOD_CLIENTS_CACHE"] ?? join(homedir(), ".cache/cordwood-clients");

/** Brings what the client needs; does nothing where it is there. */
export function installed(name: string): void {
  const { status } = spawnSync(install, [name], { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`${install} ${name} ended with ${status}`);
}

/** Runs `command` with the address of a server behind it. The program tells its steps, and by its exit code how it went. */
export async function runProgram(
  name: string,
  commandIn: (cache: string) => readonly string[],
): Promise<void> {
  installed(name);
  const [file = "", ...args] = commandIn(cache);
  await using server = await startServer({ args: ["--http.proglog", "proglog"] });
  const address = new URL(server.httpUrl).host;
  const child = spawn(file, [...args, address], { stdio: "inherit", timeout: msMax });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("error", reject).on("close", resolve);
  process.exitCode = (await promise) ?? 1;
}
