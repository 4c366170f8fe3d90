// The package as it is published: small to load, and what its documents show is what it does.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { linkDependencies, pack, readmeOutput, readmeProgram } from "./package/packed.ts";

const { project, [Symbol.dispose]: end } = pack();
after(end);

const node = (args: readonly string[]): string =>
  execFileSync(process.execPath, args, { cwd: project, encoding: "utf8" });

test("the program of the README runs in an empty project", () => {
  const program = readmeProgram();
  const lines = program.split("\n").filter((line) => line.trim() !== "");
  assert.ok(lines.length > 10 && lines.length <= 20, `${lines.length} lines`);
  writeFileSync(join(project, "program.js"), program);
  assert.equal(node(["program.js"]), readmeOutput);
});

test("every example of docs/library.md has the right types and prints what stands below it", () => {
  const document = readFileSync("docs/library.md", "utf8");
  // What the example of protobuf needs: messages made of the text that stands there.
  const generated = "test/library/proto";
  assert.ok(document.includes(readFileSync(join(generated, "order.proto"), "utf8")));
  cpSync(join(generated, "order_pb.ts"), join(project, "order_pb.ts"));
  linkDependencies(project);
  const blocks = [...document.matchAll(/```ts\n(.*?)```\n+(?:```\n(.*?)```)?/gs)];
  assert.ok(blocks.length > 8);
  const programs = blocks.map(([, source = ""], index) => {
    const path = join(project, `example-${index}.ts`);
    writeFileSync(path, source);
    return path;
  });
  const config = {
    extends: join(import.meta.dirname, "../tsconfig.json"),
    compilerOptions: {
      types: ["node"],
      typeRoots: [join(import.meta.dirname, "../node_modules/@types")],
    },
    include: ["example-*.ts"],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(import.meta.dirname, "../node_modules/.bin/tsc");
  execFileSync(tsc, ["-p", join(project, "tsconfig.json")], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const runner = join(import.meta.dirname, "package/examples.ts");
  const printed = node([runner, ...programs])
    .trimEnd()
    .split("\n");
  for (const [index, [, source, expected = ""]] of blocks.entries()) {
    assert.equal(JSON.parse(printed[index] ?? '"nothing"'), expected, source);
  }
});

test("importing the package loads next to nothing, and the first store no server", (context) => {
  const entry = pathToFileURL(join(project, "node_modules/cordwood/dist/index.js")).href;
  const runner = join(import.meta.dirname, "package/loaded.ts");
  const { imported, opened } = JSON.parse(node([runner, entry]));
  const timed = `
    const start = performance.now();
    const { openLog } = await import(${JSON.stringify(entry)});
    const imported = performance.now() - start;
    await (await openLog("memory:")).close();
    console.log(JSON.stringify([imported, performance.now() - start]));`;
  const times = Array.from({ length: 5 }, () =>
    JSON.parse(node(["--input-type=module", "-e", timed])),
  );
  const [importMs = 0, openMs = 0] = [0, 1].map((at) => Math.min(...times.map((one) => one[at])));
  context.diagnostic(
    `import "cordwood": ${kib(imported)} KiB of JavaScript, ${importMs.toFixed(1)} ms; ` +
      `with the first store open: ${kib(opened)} KiB, ${openMs.toFixed(0)} ms`,
  );
  assert.ok(imported < 400 * 1024, `${imported} bytes at the import`);
  assert.ok(importMs < 40, `${importMs} ms`);
  // The loader of the native checksum, which is not installed here, is 28 KiB more.
  assert.ok(opened < 372 * 1024, `${opened} bytes with the first store`);
});

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}
