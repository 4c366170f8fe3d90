import type { Broker } from "../broker/index.ts";
import type { Address, Env, HttpExchange, HttpListener } from "../env/index.ts";
import {
  type Counter,
  type MetricRegistry,
  prometheusContentType,
  prometheusText,
} from "../metrics/index.ts";
import { ClusterRoutes } from "./cluster-routes.ts";
import { FollowRoutes } from "./follow-routes.ts";
import { Gate, type GateOptions } from "./gate.ts";
import { GroupRoutes } from "./group-routes.ts";
import { openApiText } from "./openapi.ts";
import { refuse, uncached } from "./problem.ts";
import { ProglogRoutes, wantsPage } from "./proglog-routes.ts";
import { RecordRoutes } from "./record-routes.ts";
import { type Route, Router } from "./router.ts";
import { RpcDoor } from "./rpc/index.ts";
import { TopicRoutes } from "./topic-routes.ts";

export interface HttpDoorOptions extends Omit<GateOptions, "host"> {
  readonly broker: Broker;
  /** Whether the server takes requests of its clients now. */
  readonly isReady: () => boolean;
  readonly metrics: MetricRegistry;
  /** Of the product, as its description says. */
  readonly version?: string | undefined;
  /** The topic behind proglog's contract; where absent `/` is nothing. */
  readonly proglogTopic?: string | undefined;
}

/** Everything over HTTP, on one port. */
export class HttpDoor {
  readonly #env: Env;
  readonly #options: HttpDoorOptions;
  readonly #router: Router;
  readonly #rpc: RpcDoor;
  readonly #follow: FollowRoutes;
  readonly #requests: Counter;
  #listener: HttpListener | undefined;
  #host = "";

  /** Registers its metrics; listens to nobody before {@link HttpDoor.listen}. */
  constructor(env: Env, options: HttpDoorOptions) {
    this.#env = env;
    this.#options = options;
    const { broker, metrics, proglogTopic, isReady } = options;
    const address = (): string => `${this.#host}:${this.port}`;
    this.#rpc = new RpcDoor({ env, broker, isReady, proglogTopic, address });
    this.#follow = new FollowRoutes({ env, broker, metrics });
    this.#router = new Router([
      ...healthRoutes(options),
      ...new RecordRoutes({ env, broker }).routes,
      ...this.#follow.routes,
      ...new TopicRoutes({ env, broker }).routes,
      ...new GroupRoutes(broker).routes,
      ...new ClusterRoutes(broker).routes,
      openApiRoute(options.version ?? "0"),
      ...(proglogTopic === undefined ? [] : new ProglogRoutes(broker, proglogTopic).routes),
    ]);
    this.#requests = metrics.counter("cordwood_http_requests_total", "Requests over HTTP.");
    const gauge = (name: string, help: string, of: () => number | undefined): void => {
      metrics.gauge(`cordwood_http_${name}`, help, () => of() ?? 0);
    };
    const stats = () => this.#listener?.stats();
    gauge("connections", "Open connections.", () => stats()?.connections);
    gauge("connections_accepted", "Since the start.", () => stats()?.connectionsAccepted);
    gauge("connections_refused", "Since the start.", () => stats()?.connectionsRefused);
    gauge("received_bytes", "Since the start.", () => stats()?.receivedBytes);
    gauge("sent_bytes", "Since the start.", () => stats()?.sentBytes);
    gauge("requests_in_flight", "Requests not answered yet.", () => stats()?.requestsInFlight);
  }

  /** What is served, by method and path. */
  get routes(): readonly Route[] {
    return this.#router.routes;
  }

  /** The port listened on; 0 before. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Rejects with the network's own error. */
  async listen(at: Address): Promise<void> {
    this.#host = at.host;
    const gate = new Gate({ ...this.#options, host: at.host });
    this.#listener = await this.#env.network.serveHttp(at, {
      handle: (asked) => {
        this.#requests.add();
        const exchange = gate.admit(asked);
        if (exchange !== undefined) this.#answer(exchange);
      },
    });
  }

  /** Ends followers, lets what is in flight end within `graceMs`, closes the port. Idempotent. */
  async close(graceMs = 0): Promise<void> {
    this.#rpc.close();
    this.#follow.close();
    await this.#listener?.close(graceMs);
  }

  #answer(exchange: HttpExchange): void {
    const isPage = exchange.path === "/" && wantsPage(exchange);
    if (this.#rpc.take(exchange)) return;
    if (!isPage && this.#router.answer(exchange)) return;
    const places = this.#router.routes.map(({ path }) => path);
    const known = [...new Set(places)].join(", ");
    refuse(exchange, 404, `There is nothing at ${exchange.path.slice(0, 200)}; try ${known}`);
  }
}

function openApiRoute(version: string): Route {
  const text = openApiText(version);
  return {
    method: "GET",
    path: "/openapi.json",
    handle: ({ exchange }) => exchange.answer(200, { "content-type": "application/json" }, text),
  };
}

function healthRoutes({ isReady, metrics }: HttpDoorOptions): readonly Route[] {
  const json = { "content-type": "application/json", ...uncached };
  return [
    {
      // That this is answered at all is what it tells.
      method: "GET",
      path: "/health/live",
      handle: ({ exchange }) => exchange.answer(200, json, '{"status":"live"}\n'),
    },
    {
      method: "GET",
      path: "/health/ready",
      handle: ({ exchange }) => {
        if (isReady()) exchange.answer(200, json, '{"status":"ready"}\n');
        else refuse(exchange, 503, "The server starts or ends.");
      },
    },
    {
      method: "GET",
      path: "/metrics",
      handle: ({ exchange }) => {
        const headers = { "content-type": prometheusContentType, ...uncached };
        exchange.answer(200, headers, prometheusText(metrics));
      },
    },
  ];
}
