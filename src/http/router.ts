/** Finds what answers a request by its method and its path. */
import type { HttpExchange } from "../env/index.ts";
import { invariant } from "../errors/index.ts";
import { answerProblem, refuse } from "./problem.ts";
import { Request } from "./request.ts";

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Segments in braces are parameters: `/topics/{topic}`. */
  readonly path: string;
  /** Answers, or throws, or rejects with, a LogError. */
  readonly handle: (request: Request) => void | Promise<void>;
}

interface Place {
  /** By the text of the next segment. */
  readonly next: Map<string, Place>;
  /** Where the next segment may be anything. */
  any: Place | undefined;
  readonly routes: Map<string, { readonly route: Route; readonly names: readonly string[] }>;
}

export class Router {
  readonly routes: readonly Route[];
  readonly #root: Place = place();

  constructor(routes: readonly Route[]) {
    this.routes = routes;
    for (const route of routes) this.#add(route);
  }

  /** False where nothing is at that path. */
  answer(exchange: HttpExchange): boolean {
    const values: string[] = [];
    const found = this.#find(exchange.path, values);
    if (found === undefined || found.routes.size === 0) return false;
    const { method } = exchange;
    const entry = found.routes.get(method === "HEAD" ? "GET" : method);
    if (entry === undefined) {
      const allow = [...found.routes.keys()].flatMap((each) =>
        each === "GET" ? ["GET", "HEAD"] : [each],
      );
      const detail = `${exchange.path} does not take ${method.slice(0, 20)}, but ${allow.join(", ")}`;
      refuse(exchange, 405, detail, { allow: allow.join(", ") });
      return true;
    }
    run(entry.route, new Request(exchange, entry.names, values));
    return true;
  }

  #add(route: Route): void {
    let at = this.#root;
    const names: string[] = [];
    for (const segment of segmentsOf(route.path)) {
      if (segment.startsWith("{")) {
        names.push(segment.slice(1, -1));
        at.any ??= place();
        at = at.any;
        continue;
      }
      const next = at.next.get(segment) ?? place();
      at.next.set(segment, next);
      at = next;
    }
    invariant(!at.routes.has(route.method), "a path has one route for a method");
    at.routes.set(route.method, { route, names });
  }

  #find(path: string, values: string[]): Place | undefined {
    let at: Place | undefined = this.#root;
    for (const segment of segmentsOf(path)) {
      const known: Place | undefined = at.next.get(segment);
      if (known === undefined) {
        const value = decoded(segment);
        if (value === undefined || value === "") return undefined;
        values.push(value);
      }
      at = known ?? at.any;
      if (at === undefined) return undefined;
    }
    return at;
  }
}

function run(route: Route, request: Request): void {
  try {
    const answering = route.handle(request);
    if (answering === undefined) return;
    answering.catch((thrown: unknown) => answerProblem(request.exchange, thrown));
  } catch (thrown) {
    answerProblem(request.exchange, thrown);
  }
}

function place(): Place {
  return { next: new Map(), any: undefined, routes: new Map() };
}

function segmentsOf(path: string): string[] {
  const segments = path.split("/");
  segments.shift();
  return segments;
}

/** Undefined where it is not encoded as it should be. */
function decoded(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    // A segment that cannot be decoded names nothing.
    return undefined;
  }
}
