// The program of the README, and one of cordwood/client, in an empty project that installs the packed
// tarball, on every Node that is supported: `npm run test:package`. Needs the registry.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { pack, readmeOutput, readmeProgram } from "./packed.ts";

const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

/** A project that has nothing but the client, and a server to speak to. */
const clientProgram = `
import { LogError, open } from "cordwood/client";
import { startServer } from "cordwood/server";

const free = { port: 0 };
const server = await startServer({ directory: "./served", kafka: free, http: free });
const store = await open("http://127.0.0.1:" + server.httpPort);
const orders = await store.topic("orders", { codec: "json", key: (order) => order.id });
await orders.appendMany([{ id: "o-1", total: 12 }, { id: "o-2", total: 7 }]);
for await (const { offset, key, value } of orders.read()) console.log(offset, key, value.total);
try {
  await orders.append({ id: "o-3", total: 1 }, { expectedOffset: 0 });
} catch (error) {
  console.log(error instanceof LogError, error.code);
}
await store.close();
await server.close();
`;
const clientOutput = "0 o-1 12\n1 o-2 7\ntrue offset_conflict\n";

using packed = pack();
let failures = 0;
for (const version of ["22", "24", "26"]) {
  const project = join(packed.project, "..", `node-${version}`);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "name": "project", "type": "module" }\n');
  writeFileSync(join(project, "program.js"), readmeProgram());
  writeFileSync(join(project, "client.js"), clientProgram);
  const install = ["install", "--no-audit", "--no-fund", "--silent"];
  execFileSync("npm", [...install, packed.tarball, `${platform}@${version}`], { cwd: project });
  const node = join(project, "node_modules", platform, "bin", "node");
  const runs = (args: readonly string[]): string =>
    execFileSync(node, args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const name = runs(["--version"]).trim();
  for (const data of ["data", "served"]) {
    rmSync(join(project, data), { recursive: true, force: true });
  }
  check(`node ${name}, the README's program`, runs(["program.js"]), readmeOutput);
  check(`node ${name}, cordwood/client`, runs(["client.js"]), clientOutput);
}
process.exitCode = failures === 0 ? 0 : 1;

function check(what: string, printed: string, expected: string): void {
  const isRight = printed === expected;
  if (!isRight) failures++;
  process.stdout.write(`${isRight ? "ok  " : "FAIL"} ${what}${isRight ? "" : `: ${printed}`}\n`);
}
