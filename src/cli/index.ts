/**
 * The command line.
 *
 * Promises results on stdout and talk on stderr, exit codes from the one table of errors, and that a
 * command loads only what it needs. Knows nothing that a program could not do with the rooms below.
 * Start reading at `main.ts`, the entry; each command is a file with a `register` function.
 */
export { exitCodeOf } from "./failure.ts";
export { registerServe } from "./serve.ts";
