/** What an error of the log is on the wire. */
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";

import { LogError, outcomes } from "../../errors/index.ts";
import { ErrorDetailSchema } from "../../proto/index.ts";

/** The error with its code of the closed list as a detail. A broken invariant is `internal`, and its own words stay here. */
export function connectErrorOf(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const error = thrown instanceof LogError ? thrown : new LogError("internal", "the server failed");
  const code = codeFromString(outcomes[error.code].connect) ?? Code.Unknown;
  const value = { code: error.code, isRetriable: error.isRetriable };
  return new ConnectError(error.message, code, undefined, [{ desc: ErrorDetailSchema, value }]);
}
