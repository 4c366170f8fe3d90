// Makes one file of all that `import "cordwood"` loads when a store is opened: `npm run build` ends with it.
//
// The compiler writes a file for each source, and a program would load 138 of them before its first
// append. The declarations stay as they are, and so does what `cordwood/server` and the command line
// load. Errors are left outside, so that a LogError is one class whichever door it comes from; so is
// the client of a server, which is `cordwood/client` as well.
import { join } from "node:path";

import { rolldown } from "rolldown";

const [directory = "dist"] = process.argv.slice(2);
const entry = join(directory, "index.js");
const bundle = await rolldown({
  input: entry,
  platform: "node",
  external: /\/(errors|client)\/index\.js$/,
  onLog(level, log) {
    throw new Error(`${level}: ${log.message}`);
  },
});
await bundle.write({
  dir: directory,
  entryFileNames: "index.js",
  chunkFileNames: "embedded/[name].js",
  sourcemap: true,
  comments: false,
  // The names of classes, functions and methods stay, for stack traces; --enable-source-maps has the rest.
  minify: { mangle: { keepNames: true }, compress: false, codegen: { removeWhitespace: true } },
});
await bundle.close();
