// One contract, every scheme.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { open } from "../src/index.ts";
import { type RunningServer, startServer } from "../src/server/index.ts";
import { storeContract } from "./contract/store-contract.ts";

const root = mkdtempSync(join(tmpdir(), "cordwood-contract-"));
let server: RunningServer | undefined;
after(async () => {
  await server?.close();
  rmSync(root, { recursive: true, force: true });
});
let count = 0;

/** Retention is waited for. */
const settings = { "log.retention.check.interval.ms": "20" };

storeContract({ name: "memory:", open: () => open("memory:", { settings }) });
storeContract({
  name: "file:",
  open: () => open(`file:${join(root, String(count++))}`, { settings }),
});
storeContract({
  name: "http:",
  open: async () => {
    await server?.close();
    server = await startServer({
      directory: join(root, String(count++)),
      durability: "os",
      settings: new Map(Object.entries(settings)),
      kafka: { port: 0 },
      http: { port: 0 },
    });
    return open(`http://127.0.0.1:${server.httpPort}`);
  },
});
