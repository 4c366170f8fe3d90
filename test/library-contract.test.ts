// One contract, every scheme.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { open } from "../src/index.ts";
import { storeContract } from "./contract/store-contract.ts";

const root = mkdtempSync(join(tmpdir(), "cordwood-contract-"));
after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

storeContract({ name: "memory:", open: () => open("memory:") });
storeContract({
  name: "file:",
  open: () => open(`file:${join(root, String(count++))}`),
});
