import { type ErrorCode, LogError, outcomes } from "../../errors/index.ts";

/**
 * Codes that this product never sends and other servers do, by what they ask of a client. Where
 * {@link outcomes} has several codes for one number, the one that speaks of a client's call is here too.
 */
const foreign: Readonly<Record<number, ErrorCode>> = {
  3: "topic_not_found",
  // Leader not available, and the replica that was asked is not the leader: look again.
  5: "closed",
  6: "leader_epoch_unknown",
  9: "leader_epoch_unknown",
  11: "leader_epoch_unknown",
  16: "coordinator_unavailable",
  18: "record_too_large",
  19: "storage_failed",
  20: "storage_failed",
  29: "not_allowed",
  30: "not_allowed",
  33: "unsupported",
  34: "not_allowed",
  42: "invalid_argument",
  44: "invalid_config",
  53: "not_allowed",
  58: "not_allowed",
  72: "leader_epoch_unknown",
  90: "producer_fenced",
};

const codeByNumber = new Map<number, ErrorCode>();
for (const [code, { kafka }] of Object.entries(outcomes)) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
  if (kafka > 0 && !codeByNumber.has(kafka)) codeByNumber.set(kafka, code as ErrorCode);
}

/**
 * What a server answered with an error number, as an error of our own list. `what` names the call
 * and its subject, `detail` is the server's own message.
 */
export function answeredError(kafkaCode: number, what: string, detail?: string): LogError {
  const code = foreign[kafkaCode] ?? codeByNumber.get(kafkaCode);
  if (code === undefined) {
    const told = detail ?? "the server failed";
    return new LogError("internal", `${what}: ${told} (Kafka error ${kafkaCode})`);
  }
  const told = detail === undefined || detail === "" ? code.replaceAll("_", " ") : detail;
  return new LogError(code, `${what}: ${told}`);
}

/** @throws LogError unless the number is that of success. */
export function mustSucceed(kafkaCode: number, what: string, detail?: string): void {
  if (kafkaCode !== 0) throw answeredError(kafkaCode, what, detail);
}

const transientCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "closed",
  "coordinator_loading",
  "coordinator_unavailable",
  "leader_epoch_fenced",
  "leader_epoch_unknown",
  "limit_exceeded",
  "storage_failed",
  "timeout",
  "topic_id_not_found",
  "unreachable",
]);

/** Whether the same call, sent again to where the leader is then, may well succeed. */
export function isTransient(error: LogError): boolean {
  return transientCodes.has(error.code);
}
