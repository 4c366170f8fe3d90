#!/usr/bin/env node
// The command line's entry: sets up the compile cache before anything else is loaded, then says
// which commands there are. What a command needs beyond its options it loads when it runs.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

enableCompileCache(cacheDirectory());

const { Command } = await import("commander");
const commands = await import("./index.ts");
const { version } = await import("./version.ts");

const program = new Command("cordwood")
  .description("A commit log: a server that speaks the Kafka protocol, and its tools.")
  .version(version, "-V, --version", "print the version")
  .helpOption("-h, --help", "print this")
  .showHelpAfterError("(--help shows what there is)")
  .exitOverride();
commands.registerServe(program);
commands.registerProduce(program);
commands.registerConsume(program);
commands.registerTopic(program);
commands.registerGroup(program);
commands.registerStorage(program);
commands.registerStorageCare(program);
commands.registerStorageCompact(program);
commands.registerVersion(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = commands.exitCodeOf(error);
}

/** Within the sources' own modules where they are run, else where the user's caches are. */
function cacheDirectory(): string {
  const modules = join(import.meta.dirname, "../../node_modules");
  if (existsSync(modules)) return join(modules, ".cache/cordwood");
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "cordwood/compiled");
}
