/** The health of the server, as gRPC clients and Kubernetes ask for it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";

import type { Env } from "../../env/index.ts";
import { health } from "../../proto/index.ts";

/** How often a watch looks. */
const WATCH_MS = 500;

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = health.HealthCheckResponse_ServingStatus;

type Status = MessageInitShape<typeof health.HealthCheckResponseSchema>;

export interface HealthParts {
  readonly env: Env;
  readonly isReady: () => boolean;
  /** Names of the services that can be asked about; the empty name is the server's. */
  readonly services: ReadonlySet<string>;
}

export function addHealthService(router: ConnectRouter, parts: HealthParts): void {
  router.service(health.Health, new HealthCalls(parts));
}

class HealthCalls implements ServiceImpl<typeof health.Health> {
  readonly #parts: HealthParts;

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  check({ service }: health.HealthCheckRequest): Status {
    if (!this.#isKnown(service)) {
      throw new ConnectError(`there is no service "${service}"`, Code.NotFound);
    }
    return { status: this.#status };
  }

  async *watch(
    { service }: health.HealthCheckRequest,
    { signal }: HandlerContext,
  ): AsyncGenerator<Status> {
    if (!this.#isKnown(service)) yield { status: SERVICE_UNKNOWN };
    let told: number | undefined = this.#isKnown(service) ? undefined : SERVICE_UNKNOWN;
    while (!signal.aborted) {
      if (this.#isKnown(service) && told !== this.#status) {
        told = this.#status;
        yield { status: this.#status };
      }
      await this.#pause(signal);
    }
  }

  get #status(): typeof SERVING | typeof NOT_SERVING {
    return this.#parts.isReady() ? SERVING : NOT_SERVING;
  }

  #isKnown(service: string): boolean {
    return service === "" || this.#parts.services.has(service);
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.env.timers.after(WATCH_MS, done);
      function done(): void {
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
      signal.addEventListener("abort", done);
    });
  }
}
