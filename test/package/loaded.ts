// Says how much JavaScript a program loads: at the import, and with the first store.
import { statSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

const [entry = ""] = process.argv.slice(2);
let bytes = 0;
const hooks = registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (url.startsWith("file:")) bytes += statSync(fileURLToPath(url)).size;
    return loaded;
  },
});
const { open, openLog } = await import(entry);
const imported = bytes;
await (await openLog("memory:")).close();
await (await open("memory:")).close();
hooks.deregister();
process.stdout.write(JSON.stringify({ imported, opened: bytes }));
