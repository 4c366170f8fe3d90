import { destination, pino } from "pino";

import type { EventLog } from "../env/index.ts";

type Fields = Parameters<EventLog["info"]>[1];

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Events as lines of JSON on stderr, each written before the call returns: the last one before an end counts most. */
export function jsonEvents(level: LogLevel = "info"): EventLog {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const log = pino(options, destination({ fd: 2, sync: true }));
  return {
    debug: (message: string, fields?: Fields) => log.debug(fields ?? {}, message),
    info: (message: string, fields?: Fields) => log.info(fields ?? {}, message),
    warn: (message: string, fields?: Fields) => log.warn(fields ?? {}, message),
    error: (message: string, fields?: Fields) => log.error(fields ?? {}, message),
  };
}
