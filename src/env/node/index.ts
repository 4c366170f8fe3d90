/**
 * The machine under the environment: Node's clocks, timers, files and sockets.
 *
 * This folder alone touches the machine; `server`, `cli` and tests take {@link nodeEnv} from it and
 * hand it down, the embedded library takes `localEnv` of `local.ts`, which loads no sockets. It
 * decides nothing: it makes Node's calls have the meaning that `env.ts` states. Start reading at
 * {@link nodeEnv}.
 */
import type { Env } from "../env.ts";
import { localEnv, type LocalEnvOptions } from "./local.ts";
import { nodeNetwork } from "./network.ts";

/** The real environment. Events go nowhere unless `events` takes them. */
export function nodeEnv(options: Pick<LocalEnvOptions, "events"> = {}): Env {
  return { ...localEnv(options), network: nodeNetwork };
}
