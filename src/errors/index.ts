/**
 * What can go wrong, in one closed list.
 *
 * An operational error is a {@link LogError} with a code of {@link outcomes}; every door (Kafka,
 * HTTP, command line) answers from that one table. A broken invariant is not an operational error:
 * {@link invariant} stops the work before wrong bytes are written.
 */

interface Outcome {
  /** Error code of the Kafka protocol. */
  readonly kafka: number;
  /** Canonical code of Connect and gRPC. */
  readonly connect: string;
  readonly http: number;
  /** Exit code of the command line: 1 error, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 unreachable, 7 timeout. */
  readonly exit: number;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly isRetriable: boolean;
}

const fails = (kafka: number, connect: string, http: number, exit: number): Outcome => ({
  kafka,
  connect,
  http,
  exit,
  isRetriable: false,
});
const retries = (kafka: number, connect: string, http: number, exit: number): Outcome => ({
  ...fails(kafka, connect, http, exit),
  isRetriable: true,
});

/** Every code, and what it is on each door. */
// oxfmt-ignore
export const outcomes = {
  // The call is wrong.
  invalid_argument: fails(42, "invalid_argument", 400, 2),
  invalid_config: fails(40, "invalid_argument", 400, 2),
  invalid_partitions: fails(37, "invalid_argument", 400, 2),
  invalid_replication_factor: fails(38, "invalid_argument", 400, 2),
  invalid_topic_name: fails(17, "invalid_argument", 400, 2),
  invalid_timestamp: fails(32, "invalid_argument", 400, 2),
  unsupported: fails(35, "unimplemented", 501, 1),
  not_allowed: fails(31, "permission_denied", 403, 5),
  // Records.
  batch_corrupt: fails(2, "data_loss", 400, 1),
  batch_invalid: fails(87, "invalid_argument", 400, 1),
  record_too_large: fails(10, "resource_exhausted", 413, 1),
  schema_mismatch: fails(87, "invalid_argument", 422, 1),
  unsupported_compression: fails(76, "invalid_argument", 400, 1),
  unsupported_format: fails(43, "invalid_argument", 400, 1),
  // Topics, partitions, offsets.
  topic_not_found: retries(3, "not_found", 404, 3),
  topic_id_not_found: retries(100, "not_found", 404, 3),
  topic_exists: fails(36, "already_exists", 409, 4),
  partition_not_found: retries(3, "not_found", 404, 3),
  offset_out_of_range: fails(1, "out_of_range", 416, 3),
  offset_conflict: fails(42, "failed_precondition", 412, 4),
  leader_epoch_fenced: retries(74, "aborted", 409, 4),
  leader_epoch_unknown: retries(75, "unavailable", 503, 1),
  fetch_session_not_found: retries(70, "not_found", 404, 1),
  fetch_session_epoch_invalid: retries(71, "aborted", 409, 1),
  // Idempotent producers.
  sequence_out_of_order: fails(45, "failed_precondition", 409, 4),
  sequence_duplicate: fails(46, "already_exists", 409, 4),
  producer_fenced: fails(47, "aborted", 409, 4),
  // Groups.
  group_id_invalid: fails(24, "invalid_argument", 400, 2),
  group_not_found: fails(69, "not_found", 404, 3),
  group_not_empty: fails(68, "failed_precondition", 409, 4),
  group_full: fails(81, "resource_exhausted", 429, 1),
  group_protocol_mismatch: fails(23, "failed_precondition", 409, 4),
  generation_illegal: fails(22, "failed_precondition", 409, 4),
  member_unknown: fails(25, "failed_precondition", 409, 4),
  member_id_required: fails(79, "failed_precondition", 409, 4),
  member_fenced: fails(82, "aborted", 409, 4),
  session_timeout_invalid: fails(26, "invalid_argument", 400, 2),
  rebalance_in_progress: retries(27, "aborted", 409, 4),
  offset_metadata_too_large: fails(12, "resource_exhausted", 413, 1),
  coordinator_loading: retries(14, "unavailable", 503, 1),
  coordinator_unavailable: retries(15, "unavailable", 503, 1),
  // The store and its directory.
  storage_full: retries(56, "resource_exhausted", 507, 1),
  storage_failed: retries(56, "unavailable", 503, 1),
  directory_in_use: fails(-1, "failed_precondition", 409, 4),
  directory_not_writable: fails(-1, "permission_denied", 403, 5),
  format_unknown: fails(-1, "failed_precondition", 500, 1),
  format_newer: fails(-1, "failed_precondition", 500, 1),
  data_corrupt: fails(2, "data_loss", 500, 1),
  // The process and the network.
  closed: retries(5, "unavailable", 503, 1),
  limit_exceeded: retries(89, "resource_exhausted", 429, 1),
  timeout: retries(7, "deadline_exceeded", 504, 7),
  cancelled: fails(-1, "canceled", 499, 1),
  handler_failed: fails(-1, "aborted", 500, 1),
  address_in_use: fails(-1, "failed_precondition", 409, 4),
  unreachable: retries(13, "unavailable", 503, 6),
  protocol_violation: fails(42, "invalid_argument", 400, 1),
  internal: fails(-1, "internal", 500, 1),
} as const satisfies Record<string, Outcome>;

export type ErrorCode = keyof typeof outcomes;

/** An operational error. The message names the values that matter and what to do. */
export class LogError extends Error {
  override readonly name = "LogError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get isRetriable(): boolean {
    return outcomes[this.code].isRetriable;
  }

  /** Whatever was thrown, as a LogError: a foreign error becomes `internal` with its cause. */
  static from(thrown: unknown): LogError {
    if (thrown instanceof LogError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new LogError("internal", message, { cause: thrown });
  }
}

/** A broken invariant: a mistake of the program, never of its user. Only the last handler catches it. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * States what must hold, also in production.
 * @throws InvariantError when it does not.
 */
export function invariant(condition: boolean, mustHold: string): asserts condition {
  if (!condition) throw new InvariantError(mustHold);
}
