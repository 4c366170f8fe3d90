// grpcurl, which knows nothing of the services but what reflection tells it.
import { spawnSync } from "node:child_process";

import { startServer } from "../../servers.ts";
import { cache, installed } from "../program.ts";

installed("grpcurl");
await using server = await startServer();
const address = new URL(server.httpUrl).host;

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function grpcurl(...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(`${cache}/grpcurl/grpcurl`, args, {
    encoding: "utf8",
    timeout: 60_000,
  });
  return { code: status, output: `${stdout}${stderr}` };
}

function call(method: string, request: object): Ended {
  const named = `cordwood.v1.${method}`;
  return grpcurl("-plaintext", "-d", JSON.stringify(request), address, named);
}

function step(name: string, { code, output }: Ended, wanted: readonly (RegExp | number)[]): void {
  const missing = wanted.filter((one) =>
    typeof one === "number" ? one !== code : !one.test(output),
  );
  if (missing.length === 0) {
    process.stdout.write(`ok ${name}\n`);
    return;
  }
  process.exitCode = 1;
  const said = output.replaceAll("\n", " ");
  process.stdout.write(`FAILED ${name}: ${missing.join(", ")} is not in ${code}: ${said}\n`);
}

step("list", grpcurl("-plaintext", address, "list"), [0, /^cordwood\.v1\.LogService$/m]);
step("describe", grpcurl("-plaintext", address, "describe", "cordwood.v1.AppendRequest"), [
  0,
  /repeated \.cordwood\.v1\.NewRecord records = 3;/,
]);
step("create", call("TopicService/CreateTopic", { topic: "orders", partitionCount: 1 }), [
  0,
  /"partitionCount": 1/,
]);
const record = { key: Buffer.from("o-1").toString("base64"), value: "e30=" };
step("append", call("LogService/Append", { topic: "orders", records: [record] }), [
  0,
  /"count": 1/,
]);
step("read", call("LogService/Read", { topic: "orders" }), [0, /"key": "by0x"/, /"value": "e30="/]);
step("refused", call("LogService/Tail", { topic: "nowhere" }), [
  69,
  /Code: NotFound/,
  /"code": "topic_not_found"/,
]);
step("health", grpcurl("-plaintext", address, "grpc.health.v1.Health/Check"), [0, /SERVING/]);
