// Runs programs one after another in one process, each in a directory of its own, and prints what
// each of them printed as one line of JSON.
import { mkdirSync } from "node:fs";
import { format } from "node:util";
import { pathToFileURL } from "node:url";

for (const program of process.argv.slice(2)) {
  const directory = `${program}.d`;
  mkdirSync(directory);
  process.chdir(directory);
  let printed = "";
  // oxlint-disable-next-line no-console -- the examples print
  console.log = (...parts: unknown[]): void => {
    printed += `${format(...parts)}\n`;
  };
  await import(pathToFileURL(program).href);
  process.stdout.write(`${JSON.stringify(printed)}\n`);
}
