/**
 * The command line.
 *
 * Promises results on stdout and talk on stderr, exit codes from the one table of errors, and that a
 * command loads only what it needs. Knows nothing that a program could not do with the rooms below.
 * Start reading at `main.ts`, the entry; each command is a file with a `register` function.
 */
export { registerVersion } from "./about.ts";
export { registerConsume } from "./consume.ts";
export { exitCodeOf } from "./failure.ts";
export { registerGroup } from "./group.ts";
export { registerProduce } from "./produce.ts";
export { registerServe } from "./serve.ts";
export { registerStorage } from "./storage.ts";
export { registerStorageCare } from "./storage-care.ts";
export { registerStorageCompact } from "./storage-compact.ts";
export { registerTopic } from "./topic.ts";
