// curl on every example of docs/http.md, each against a server of its own, over HTTP/1.1 and HTTP/2.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startServer } from "../../servers.ts";
import { examplesOfHttp, printedBy } from "../examples.ts";
import { installed } from "../program.ts";

installed("curl");
const home = mkdtempSync(join(tmpdir(), "cordwood-curl-"));
const environment = { CURL_HOME: home, HOME: home };
try {
  for (const [version, option] of [
    ["HTTP/1.1", "http1.1"],
    ["HTTP/2", "http2-prior-knowledge"],
  ] as const) {
    // curl reads it before its arguments.
    writeFileSync(join(home, ".curlrc"), `${option}\n`);
    await using server = await startServer({ args: ["--http.proglog", "book"] });
    const port = Number(new URL(server.httpUrl).port);
    const asked = "curl -s -o /dev/null -w '%{http_version}' http://localhost:8080/health/live";
    const spoken = await printedBy(asked, port, environment);
    tell(`${version} is spoken`, version.endsWith(spoken) ? undefined : `it was ${spoken}`);
    for (const { command, printed } of examplesOfHttp()) {
      const found = await printedBy(command, port, environment);
      tell(`${version}: ${command}`, found === printed ? undefined : `printed ${found}`);
    }
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}

function tell(step: string, failure: string | undefined): void {
  if (failure === undefined) {
    process.stdout.write(`ok ${step}\n`);
    return;
  }
  process.exitCode = 1;
  process.stdout.write(`FAILED ${step}: ${failure.replaceAll("\n", " ")}\n`);
}
