/**
 * A whole server in one call: the store in a directory, the Kafka port and the HTTP port, wired for
 * production on this machine.
 *
 * Promises that {@link startServer} resolves when both ports answer, and that closing leaves a clean
 * end. Decides nothing that a room below decides. Start reading at {@link startServer}.
 */
export { jsonEvents, type LogLevel, logLevels } from "./events.ts";
export { type RunningServer, type ServerOptions, startServer } from "./server.ts";
