/** What went wrong, as a problem document (RFC 9457). */
import type { HttpAnswerHeaders, HttpExchange } from "../env/index.ts";
import { type ErrorCode, LogError, outcomes } from "../errors/index.ts";

/** What a problem says beside its sentence. */
export interface ProblemDetails {
  /** The field, parameter or header that is wrong. */
  readonly field?: string | undefined;
  /** The limit that was passed. */
  readonly limit?: number | undefined;
  /** In place of what the code stands for. */
  readonly status?: number | undefined;
  /** Line of the body, from 1 on. */
  readonly line?: number | undefined;
  /** Records that are in the log all the same. */
  readonly acknowledged?: number | undefined;
}

/** A request that cannot be served, with what its sender needs to put it right. */
export class RequestFault extends LogError {
  readonly details: ProblemDetails;

  constructor(code: ErrorCode, message: string, details: ProblemDetails = {}) {
    super(code, message);
    this.details = details;
  }
}

export function invalid(field: string, message: string): RequestFault {
  return new RequestFault("invalid_argument", message, { field });
}

export const uncached = { "cache-control": "no-store" } as const;

const problemType = "application/problem+json";

/** Status codes that say more than the code of an error does. */
export type ExtraStatus = 403 | 404 | 405 | 415 | 421 | 503;

const titles: Readonly<Record<ExtraStatus, string>> = {
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  415: "Unsupported media type",
  421: "Misdirected request",
  503: "Not ready",
};

/** A problem that the request has before any verb is called. */
export function refuse(
  exchange: HttpExchange,
  status: ExtraStatus,
  detail: string,
  headers: HttpAnswerHeaders = {},
): void {
  const title = titles[status];
  const body = { type: "about:blank", title, status, detail };
  exchange.answer(status, { ...uncached, ...headers, "content-type": problemType }, line(body));
}

/** Answers with what was thrown; anything but a LogError goes on up. */
export function answerProblem(exchange: HttpExchange, thrown: unknown): void {
  const problem = problemOf(operational(thrown));
  const { status, isRetriable } = problem;
  const retry = isRetriable && status >= 429 ? { "retry-after": 1 } : {};
  exchange.answer(status, { ...uncached, ...retry, "content-type": problemType }, line(problem));
}

/** The same as a line of an answer that has begun. */
export function problemLine(thrown: unknown): string {
  return line({ problem: problemOf(operational(thrown)) });
}

interface Problem extends ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly isRetriable: boolean;
}

function problemOf(error: LogError): Problem {
  const { code, message } = error;
  const words = code.replaceAll("_", " ");
  const { status, ...details } = error instanceof RequestFault ? error.details : {};
  // Nothing here waits for others but for the body of a client.
  const standard = code === "timeout" ? 408 : outcomes[code].http;
  return {
    type: `urn:cordwood:problem:${code}`,
    title: words.charAt(0).toUpperCase() + words.slice(1),
    status: status ?? standard,
    detail: message,
    code,
    isRetriable: error.isRetriable,
    ...details,
  };
}

function operational(thrown: unknown): LogError {
  if (thrown instanceof LogError) return thrown;
  throw thrown;
}

function line(body: object): string {
  return `${JSON.stringify(body)}\n`;
}
