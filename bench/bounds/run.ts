// What must not grow without end, measured: npm run bench:bounds [-- --only NAME]. See docs/performance.md.
import { parseArgs } from "node:util";

import { describeMachine, lookAtMachine } from "../server/machine.ts";
import { buildLoad, buildServer, runOrExplain } from "../server/programs.ts";
import { say } from "../server/report.ts";
import { type Bound, describe, isHeld } from "./bound.ts";
import { restartCurve, restartTails } from "./restart.ts";
import { manySegments } from "./segments.ts";
import { largeBesideSmall, manyConnections, manyPartitions, stalledConsumers } from "./server.ts";

const { values: given } = parseArgs({
  options: {
    only: { type: "string" },
    "no-build": { type: "boolean", default: false },
  },
});

const checks: Readonly<Record<string, (load: string) => Promise<Bound[]>>> = {
  partitions: manyPartitions,
  connections: manyConnections,
  "stalled-consumers": stalledConsumers,
  "large-beside-small": largeBesideSmall,
  "restart-tails": restartTails,
  "restart-curve": (load) => restartCurve(load, say),
  segments: () => manySegments(say),
};

const names = given.only?.split(",") ?? Object.keys(checks);
const unknown = names.filter((name) => checks[name] === undefined);
if (unknown.length > 0) {
  throw new Error(`--only ${unknown.join(",")}: the bounds are ${Object.keys(checks).join(", ")}`);
}

await runOrExplain(async () => {
  say(describeMachine(await lookAtMachine()));
  const load = buildLoad();
  if (!given["no-build"]) buildServer();
  let broken = 0;
  for (const name of names) {
    const bounds = (await checks[name]?.(load)) ?? [];
    for (const bound of bounds) say(describe(bound));
    broken += bounds.filter((bound) => !isHeld(bound)).length;
  }
  say(broken === 0 ? "all bounds are held" : `${broken} bounds are broken`);
  process.exitCode = broken === 0 ? 0 : 1;
});
