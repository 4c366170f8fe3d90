// Makes few files of the command line and the server: `npm run build` ends with it.
//
// A start would load some 400 files, half of them other people's. The files that the compiler wrote
// stay beside these: `cordwood/server` loads them, and so do profiles, where a function's folder is
// its room.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type Plugin, rolldown } from "rolldown";

/** Loaded by a `require` of their own from where they are installed: they have a binary for each platform. */
const native = [/^@node-rs\//, "lz4-napi", "snappy"];

/** The licences of other people's code that came in, as they ask for. */
const notices: Plugin = {
  name: "notices",
  generateBundle() {
    const places = Array.from(this.getModuleIds(), (id) => {
      return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? "";
    });
    const packages = [...new Set(places)].filter((place) => place !== "").toSorted();
    const source = packages.map(noticeOf).join("\n\n");
    this.emitFile({ type: "asset", fileName: "THIRD-PARTY.txt", source });
  },
};

function noticeOf(place: string): string {
  const { name, version, license }: Record<string, string> = JSON.parse(
    readFileSync(join(place, "package.json"), "utf8"),
  );
  const file = readdirSync(place).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? "" : readFileSync(join(place, file), "utf8");
  return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
}

const [directory = "dist"] = process.argv.slice(2);
const bundle = await rolldown({
  // From the sources: what a copy of dist needs of others may not lie beside it.
  input: { cordwood: fileURLToPath(new URL("../src/cli/main.ts", import.meta.url)) },
  platform: "node",
  external: native,
  plugins: [notices],
  onLog(level, log) {
    throw new Error(`${level}: ${log.message}`);
  },
});
await bundle.write({
  dir: join(directory, "bin"),
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
  sourcemap: true,
  cleanDir: true,
});
await bundle.close();
