/** Errors as they come over the wire. */
import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";

import { type ErrorCode, LogError, outcomes } from "../errors/index.ts";
import { ErrorDetailSchema } from "../proto/index.ts";

/** The error object of the Connect protocol. */
export interface WireFault {
  /** Of Connect's own list. */
  readonly code: string;
  readonly message: string;
  readonly details: readonly WireDetail[];
}

interface WireDetail {
  readonly type: string;
  /** Base64 without padding. */
  readonly value: string;
}

/** The fault that JSON tells of, in its member `member` where one is named; undefined where it tells none. */
export function parsedFault(json: Uint8Array, member?: string): WireFault | undefined {
  const parsed = parsedJson(json);
  const fault = member === undefined ? parsed : fieldOf(parsed, member);
  const code = fieldOf(fault, "code");
  if (typeof code !== "string") return undefined;
  const message = fieldOf(fault, "message");
  const details = fieldOf(fault, "details");
  return {
    code,
    message: typeof message === "string" ? message : code,
    details: Array.isArray(details) ? details.flatMap(detailOf) : [],
  };
}

/** The error that a server meant. */
export function errorOf({ code, message, details }: WireFault, url: string): LogError {
  const detail = details.find(({ type }) => type === ErrorDetailSchema.typeName);
  const told = detail === undefined ? undefined : codeIn(detail);
  if (told !== undefined) return new LogError(told, message);
  return new LogError(codesOfConnect[code] ?? "internal", `${url}: ${message} (${code})`);
}

/** For what comes without a code of our own: from a proxy, or from a server that is newer. */
const codesOfConnect: Readonly<Record<string, ErrorCode>> = {
  unavailable: "unreachable",
  deadline_exceeded: "timeout",
  canceled: "cancelled",
  not_found: "topic_not_found",
  invalid_argument: "invalid_argument",
  permission_denied: "not_allowed",
  unauthenticated: "not_allowed",
  unimplemented: "unsupported",
  resource_exhausted: "limit_exceeded",
  data_loss: "data_corrupt",
};

function codeIn({ value }: WireDetail): ErrorCode | undefined {
  try {
    const { code } = fromBinary(ErrorDetailSchema, base64Decode(value));
    return isErrorCode(code) ? code : undefined;
  } catch {
    // A detail that cannot be read is none; the code of Connect stays.
    return undefined;
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(outcomes, code);
}

function detailOf(detail: unknown): WireDetail[] {
  const type = fieldOf(detail, "type");
  const value = fieldOf(detail, "value");
  return typeof type === "string" && typeof value === "string" ? [{ type, value }] : [];
}

function parsedJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // What is no JSON is no fault of ours.
    return undefined;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
