import type { Address, Env, HttpAnswerHeaders, HttpExchange, HttpListener } from "../env/index.ts";
import { type MetricRegistry, prometheusContentType, prometheusText } from "../metrics/index.ts";

export interface HttpDoorOptions {
  readonly at: Address;
  /** Whether the server takes requests of its clients now. */
  readonly isReady: () => boolean;
  readonly metrics: MetricRegistry;
}

/** Serves health and metrics. Rejects with the network's own error. */
export function openHttpDoor(env: Env, options: HttpDoorOptions): Promise<HttpListener> {
  return env.network.serveHttp(options.at, {
    handle: (exchange) => {
      const { status, headers, body } = answer(exchange, options);
      exchange.answer(status, headers, body);
    },
  });
}

interface HttpAnswer {
  readonly status: number;
  readonly headers: HttpAnswerHeaders;
  readonly body: string;
}

function answer(question: HttpExchange, { isReady, metrics }: HttpDoorOptions): HttpAnswer {
  const page = pages.get(question.path);
  if (page === undefined) {
    return problem(
      404,
      `There is nothing at ${question.path}; try ${[...pages.keys()].join(", ")}`,
    );
  }
  if (question.method !== "GET" && question.method !== "HEAD") {
    const refused = problem(405, `${question.path} can only be read`);
    return { ...refused, headers: { ...refused.headers, allow: "GET, HEAD" } };
  }
  return page({ isReady: isReady(), metrics });
}

interface Seen {
  readonly isReady: boolean;
  readonly metrics: MetricRegistry;
}

const pages: ReadonlyMap<string, (seen: Seen) => HttpAnswer> = new Map([
  // That this is answered at all is what it tells.
  ["/health/live", () => json(200, { status: "live" })],
  [
    "/health/ready",
    ({ isReady }: Seen) =>
      isReady ? json(200, { status: "ready" }) : problem(503, "The server starts or ends."),
  ],
  [
    "/metrics",
    ({ metrics }: Seen) => ({
      status: 200,
      headers: { "content-type": prometheusContentType, ...uncached },
      body: prometheusText(metrics),
    }),
  ],
]);

const uncached = { "cache-control": "no-store" } as const;

const titles: ReadonlyMap<number, string> = new Map([
  [404, "Not found"],
  [405, "Method not allowed"],
  [503, "Not ready"],
]);

function problem(status: number, detail: string): HttpAnswer {
  const body = { type: "about:blank", title: titles.get(status), status, detail };
  const answered = json(status, body);
  return {
    ...answered,
    headers: { ...answered.headers, "content-type": "application/problem+json" },
  };
}

function json(status: number, body: object): HttpAnswer {
  return {
    status,
    headers: { "content-type": "application/json", ...uncached },
    body: `${JSON.stringify(body)}\n`,
  };
}
