// cordwood/client, bundled, in real Chromium.
import { join } from "node:path";

import { runInChromium } from "../chromium.ts";

const failures = await runInChromium(join(import.meta.dirname, "../browser/cordwood.ts"));
process.exitCode = failures === 0 ? 0 : 1;
