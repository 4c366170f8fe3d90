/** Answers that are small objects. */
import type { HttpAnswerHeaders } from "../env/index.ts";
import { uncached } from "./problem.ts";
import type { Request } from "./request.ts";

export function sendJson(
  { exchange }: Request,
  body: object,
  {
    status = 200,
    headers = {},
  }: { readonly status?: number; readonly headers?: HttpAnswerHeaders } = {},
): void {
  const all = { ...uncached, ...headers, "content-type": "application/json" };
  exchange.answer(status, all, `${JSON.stringify(body)}\n`);
}
