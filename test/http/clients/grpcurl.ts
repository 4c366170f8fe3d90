// grpcurl, which knows nothing of the services but what reflection tells it, and every example of docs/grpc.md.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { startServer } from "../../servers.ts";
import { cache, installed } from "../program.ts";

const grpcurlPath = join(cache, "grpcurl");
const docs = join(import.meta.dirname, "../../../docs/grpc.md");

installed("grpcurl");
await using server = await startServer();
const address = new URL(server.httpUrl).host;

for (const service of ["cordwood.v1.LogService", "grpc.health.v1.Health", "cordwood.v1.Record"]) {
  const described = run(`grpcurl -plaintext ${address} describe ${service}`);
  step(`describe ${service}`, described, new RegExp(`^${service} is a (service|message):`));
}
const examples = Array.from(
  readFileSync(docs, "utf8").matchAll(/^```console\n\$ (.+)\n([^]*?)^```$/gm),
  ([, command = "", output = ""]) => ({ command, output }),
);
for (const { command, output } of examples) {
  step(command, run(command.replaceAll("localhost:8080", address)).trim(), output.trim());
}
if (examples.length === 0) step("examples", "none in docs/grpc.md", /an example/);

function run(command: string): string {
  const { stdout, stderr } = spawnSync("bash", ["-c", command], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, PATH: `${grpcurlPath}:${process.env["PATH"]}` },
  });
  return `${stdout}${stderr}`;
}

function step(name: string, output: string, wanted: RegExp | string): void {
  const isRight = typeof wanted === "string" ? output === wanted : wanted.test(output);
  if (!isRight) process.exitCode = 1;
  const said = `: ${JSON.stringify(output)} is not ${JSON.stringify(String(wanted))}`;
  process.stdout.write(`${isRight ? "ok" : "FAILED"} ${name}${isRight ? "" : said}\n`);
}
