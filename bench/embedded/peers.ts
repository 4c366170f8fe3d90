// Installs the stores that programs use today into a directory of their own, outside the repository.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

const packages = ["better-sqlite3@12", "lmdb@3", "classic-level@3"];

/** Where they are; undefined where npm could not get them. */
export function peersDirectory(): string | undefined {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  // Native addons are made for one version of Node's binary interface.
  const directory = join(cache, `cordwood-bench-embedded-${process.versions.modules}`);
  if (existsSync(join(directory, "installed"))) return directory;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "package.json"), '{ "name": "peers", "private": true }\n');
  let isAny = false;
  for (const name of packages) {
    try {
      const options = ["--no-audit", "--no-fund", "--silent"];
      execFileSync("npm", ["install", ...options, name], {
        cwd: directory,
        // Their install scripts ask the first Node on the path what to make or fetch.
        env: {
          ...process.env,
          PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"]}`,
        },
        stdio: ["ignore", "inherit", "inherit"],
      });
      isAny = true;
    } catch {
      // Without a binary for this machine, or a registry, the others are measured without it.
      process.stderr.write(`${name} cannot be installed here\n`);
    }
  }
  if (!isAny) return undefined;
  writeFileSync(join(directory, "installed"), "");
  return directory;
}
