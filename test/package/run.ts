// The program of the README in an empty project that installs the packed tarball, on every Node that
// is supported: `npm run test:package`. Needs the registry.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { pack, readmeOutput, readmeProgram } from "./packed.ts";

const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

using packed = pack();
let failures = 0;
for (const version of ["22", "24", "26"]) {
  const project = join(packed.project, "..", `node-${version}`);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "name": "project", "type": "module" }\n');
  writeFileSync(join(project, "program.js"), readmeProgram());
  const install = ["install", "--no-audit", "--no-fund", "--silent"];
  execFileSync("npm", [...install, packed.tarball, `${platform}@${version}`], { cwd: project });
  const node = join(project, "node_modules", platform, "bin", "node");
  const runs = (args: readonly string[]): string =>
    execFileSync(node, args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const name = runs(["--version"]).trim();
  rmSync(join(project, "data"), { recursive: true, force: true });
  const printed = runs(["program.js"]);
  const isRight = printed === readmeOutput;
  if (!isRight) failures++;
  process.stdout.write(
    `${isRight ? "ok  " : "FAIL"} node ${name}${isRight ? "" : `: ${printed}`}\n`,
  );
}
process.exitCode = failures === 0 ? 0 : 1;
