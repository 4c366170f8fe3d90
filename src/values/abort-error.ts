import { LogError } from "../errors/index.ts";

/** What a reader that was ended by `signal` says. */
export function abortError(signal: AbortSignal): LogError {
  const { reason } = signal as { readonly reason: unknown };
  if (reason instanceof LogError) return reason;
  return new LogError("cancelled", "reading was cancelled", { cause: reason });
}
