/** One request as its route sees it: parameters by name, and what its body is. */
import type { HttpExchange } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { invalid } from "./problem.ts";

/** Numbers in paths and queries. */
const numberForm = /^\d{1,16}$/;

const noQuery = new URLSearchParams();

export class Request {
  readonly exchange: HttpExchange;
  readonly #names: readonly string[];
  readonly #values: readonly string[];
  #query: URLSearchParams | undefined;

  constructor(exchange: HttpExchange, names: readonly string[], values: readonly string[]) {
    this.exchange = exchange;
    this.#names = names;
    this.#values = values;
  }

  /** A parameter of the path. */
  param(name: string): string {
    return this.#values[this.#names.indexOf(name)] ?? "";
  }

  /** @throws RequestFault invalid_argument */
  numberParam(name: string): number {
    return numberOf(name, this.param(name));
  }

  /** A parameter of the query; undefined where it is absent. */
  query(name: string): string | undefined {
    return this.#params.get(name) ?? undefined;
  }

  /** @throws RequestFault invalid_argument */
  numberQuery(name: string): number | undefined {
    const text = this.query(name);
    return text === undefined ? undefined : numberOf(name, text);
  }

  /** @throws RequestFault invalid_argument where the query has others, or one of them twice. */
  allow(...names: readonly string[]): void {
    if (this.exchange.query === "") return;
    for (const name of this.#params.keys()) {
      if (!names.includes(name)) {
        const known = names.length === 0 ? "none is taken here" : `known are ${names.join(", ")}`;
        throw invalid(name, `unknown query parameter "${name.slice(0, 100)}"; ${known}`);
      }
      if (this.#params.getAll(name).length > 1) {
        throw invalid(name, `the query parameter "${name}" is given twice`);
      }
    }
  }

  header(name: string): string | undefined {
    const value = this.exchange.headers[name];
    return typeof value === "string" ? value : undefined;
  }

  /** The media type of the body, without its parameters; empty where there is none. */
  get contentType(): string {
    return mediaType(this.header("content-type") ?? "");
  }

  /** Whether the client would rather have `type` than JSON. */
  accepts(type: string): boolean {
    const accept = this.header("accept");
    return accept !== undefined && accept.split(",").some((each) => mediaType(each) === type);
  }

  /** @throws LogError as `HttpExchange.readBody` answers. */
  async body(bytesMax: number): Promise<Uint8Array> {
    const body = await new Promise<Uint8Array | LogError>((resolve) => {
      this.exchange.readBody(bytesMax, resolve);
    });
    if (body instanceof LogError) throw body;
    return body;
  }

  get #params(): URLSearchParams {
    if (this.exchange.query === "") return noQuery;
    this.#query ??= new URLSearchParams(this.exchange.query);
    return this.#query;
  }
}

function mediaType(text: string): string {
  const end = text.indexOf(";");
  return (end < 0 ? text : text.slice(0, end)).trim().toLowerCase();
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (numberForm.test(text) && Number.isSafeInteger(value)) return value;
  throw invalid(name, `"${name}" is a number from 0 on, not "${text.slice(0, 100)}"`);
}
