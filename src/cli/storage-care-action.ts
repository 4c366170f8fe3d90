import { resolve } from "node:path";

import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import {
  backupStore,
  type Damage,
  findDamage,
  repairStore,
  restoreStore,
} from "../storage/index.ts";
import type { OutputFlags } from "./options.ts";
import type { Row } from "./rows.ts";
import { counted, withOutput } from "./session.ts";
import type { RepairFlags } from "./storage-care.ts";

export async function backupStorage(
  directory: string,
  backup: string,
  flags: OutputFlags,
): Promise<void> {
  await withOutput(async (speaking) => {
    const report = await backupStore(nodeEnv().disk, resolve(directory), resolve(backup));
    speaking.print([{ ...report }], flags.output);
  });
}

export async function restoreStorage(
  backup: string,
  directory: string,
  flags: OutputFlags,
): Promise<void> {
  await withOutput(async (speaking) => {
    const report = await restoreStore(nodeEnv().disk, resolve(backup), resolve(directory));
    speaking.print([{ ...report }], flags.output);
  });
}

/** Ends like `verify` where there is damage and none of it was given up. */
export async function repairStorage(directory: string, flags: RepairFlags): Promise<void> {
  await withOutput(async (speaking) => {
    const env = nodeEnv();
    const path = resolve(directory);
    if (flags.giveUp !== undefined) {
      const { keptIn, ...damage } = await repairStore(env, path, flags.giveUp);
      speaking.print(rowsOf(damage), flags.output);
      speaking.say(`the damaged bytes and a report are in ${keptIn}`);
      return;
    }
    const found = findDamage(env.disk, path);
    speaking.print(found.flatMap(rowsOf), flags.output);
    for (const { path: where, what } of found) speaking.say(`${where}: ${what}`);
    if (found.length > 0) throw new LogError("data_corrupt", counted(found.length, "damage"));
    speaking.say("nothing is damaged");
  });
}

/** One row for each range of offsets that is lost; one without offsets where none is. */
function rowsOf({ range, lost }: Pick<Damage, "range" | "lost">): Row[] {
  if (lost.length === 0) return [{ range }];
  return lost.map((one) => ({ range, ...one }));
}
