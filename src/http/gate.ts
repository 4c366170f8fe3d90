/** Who may ask at all: no other site's pages through a browser of this machine. */
import type { HttpAnswerHeaders, HttpExchange } from "../env/index.ts";
import { refuse } from "./problem.ts";

/** How long a browser may remember what it was told of another origin's rights. */
const preflightSecondsMax = 600;

export interface GateOptions {
  /** Where the door listens. */
  readonly host: string;
  /** Origins whose pages may use the API, as `https://console.example`; `*` for all. None by default. */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Further names by which clients reach a door that listens on loopback. */
  readonly allowedHosts?: readonly string[] | undefined;
}

/**
 * Against DNS rebinding: a page of another site, whose name is made to point to this machine, sends
 * that name as the host. Against forged requests: browsers say from which origin they come.
 */
export class Gate {
  readonly #isLoopback: boolean;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ host, corsOrigins = [], allowedHosts = [] }: GateOptions) {
    this.#isLoopback = isLoopback(host);
    this.#hosts = new Set(allowedHosts.map((each) => each.toLowerCase()));
    this.#origins = new Set(corsOrigins);
  }

  /** The exchange to go on with; undefined where it was answered. */
  // hot: once for every request.
  admit(exchange: HttpExchange): HttpExchange | undefined {
    const { headers } = exchange;
    const host = textOf(headers["host"]);
    if (this.#isLoopback && !this.#isHostAllowed(host)) {
      const detail = `"${host.slice(0, 100)}" is no name of a server that listens on this machine alone; ask for localhost, or start it with --http.allowed-host`;
      refuse(exchange, 421, detail);
      return undefined;
    }
    const origin = headers["origin"];
    if (typeof origin !== "string" || origin === `http://${host}`) return exchange;
    return this.#admitOrigin(exchange, origin);
  }

  #admitOrigin(exchange: HttpExchange, origin: string): HttpExchange | undefined {
    if (!this.#origins.has(origin) && !this.#origins.has("*")) {
      const detail = `pages of ${origin.slice(0, 100)} may not use this server; start it with --http.cors-origin to let them`;
      refuse(exchange, 403, detail);
      return undefined;
    }
    const allow = { "access-control-allow-origin": origin, vary: "origin" };
    if (exchange.method !== "OPTIONS") {
      const exposed = "etag, retry-after, grpc-status, grpc-message, grpc-status-details-bin";
      return withHeaders(exchange, { ...allow, "access-control-expose-headers": exposed });
    }
    const asked = textOf(exchange.headers["access-control-request-headers"]);
    const preflight: HttpAnswerHeaders = {
      ...allow,
      "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
      "access-control-max-age": preflightSecondsMax,
      ...(asked === "" ? {} : { "access-control-allow-headers": asked }),
    };
    exchange.answer(204, preflight, "");
    return undefined;
  }

  #isHostAllowed(host: string): boolean {
    const end = host.startsWith("[") ? host.indexOf("]") + 1 : host.lastIndexOf(":");
    const name = (end > 0 ? host.slice(0, end) : host).toLowerCase();
    return isLoopback(name) || this.#hosts.has(name);
  }
}

function isLoopback(host: string): boolean {
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "::1" ||
    host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host)
  );
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The same exchange, whose answers have `more` headers. */
function withHeaders(exchange: HttpExchange, more: HttpAnswerHeaders): HttpExchange {
  return new Proxy(exchange, {
    get(target, name) {
      if (name === "answer" || name === "begin") {
        // oxlint-disable-next-line max-params -- those of the method
        return (status: number, headers: HttpAnswerHeaders, ...rest: [never]): void =>
          target[name](status, { ...headers, ...more }, ...rest);
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
