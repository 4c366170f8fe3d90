import type { IncomingMessage, Server, ServerResponse } from "node:http";

import type { HttpAnswer, HttpQuestion } from "../env.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than the idle time of common load balancers, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;

type Answer = (question: HttpQuestion) => Promise<HttpAnswer>;

/**
 * A server that asks `answer` for each request. `answer` turns what may go wrong into an answer;
 * when it rejects all the same, the client gets 500 and the rejection is left unhandled.
 */
export function serveHttp(options: { readonly bodyBytesMax: number }, answer: Answer): Server {
  const limits = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    noDelay: true,
  };
  // An import would make Node load everything that the module exports: 12 MB against 3.
  const { createServer } = process.getBuiltinModule("node:http");
  return createServer(limits, (request, response) => {
    // A client that hangs up is no failure of ours.
    response.on("error", () => {});
    const handled = handle(request, response, options.bodyBytesMax, answer);
    handled.catch((error: unknown) => {
      send(response, failed, request.method);
      throw error;
    });
  });
}

const tooLarge: HttpAnswer = {
  status: 413,
  headers: { "content-type": "text/plain; charset=utf-8", connection: "close" },
  body: "The body is larger than this server takes.\n",
};
const failed: HttpAnswer = {
  status: 500,
  headers: { "content-type": "text/plain; charset=utf-8", connection: "close" },
  body: "The server failed.\n",
};

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  bodyBytesMax: number,
  answer: Answer,
): Promise<void> {
  const body = await readBody(request, bodyBytesMax);
  if (body === "gone") return;
  if (body === "too large") {
    send(response, tooLarge, request.method);
    return;
  }
  const url = request.url ?? "/";
  const queryStart = url.indexOf("?");
  const question: HttpQuestion = {
    method: request.method ?? "GET",
    path: queryStart < 0 ? url : url.slice(0, queryStart),
    query: new URLSearchParams(queryStart < 0 ? "" : url.slice(queryStart + 1)),
    headers: request.headers,
    body,
  };
  send(response, await answer(question), request.method);
}

/** What comes after the limit is read and dropped, so that the client gets to read its answer. */
async function readBody(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Uint8Array | "too large" | "gone"> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) {
    request.resume();
    return "too large";
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= bytesMax) chunks.push(chunk);
      else resolve("too large");
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", () => resolve("gone"));
    request.on("close", () => resolve("gone"));
  });
}

function send(response: ServerResponse, answer: HttpAnswer, method: string | undefined): void {
  if (response.destroyed || response.headersSent) return;
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  response.writeHead(answer.status, { ...answer.headers, "content-length": body.length });
  response.end(method === "HEAD" ? undefined : body);
}
