import { monitorEventLoopDelay } from "node:perf_hooks";

import type { KafkaListenerStats } from "../kafka/index.ts";
import type { MetricRegistry } from "../metrics/index.ts";

const delayResolutionMs = 20;
const msPerNs = 1e-6;

/** Watches the process; stop it when the server ends. */
export interface ProcessWatch {
  stop(): void;
}

/** The metrics that belong to no room below: of the process, and what the Kafka port says of itself once it listens. */
export function observe(
  registry: MetricRegistry,
  kafkaStats: () => KafkaListenerStats | undefined,
): ProcessWatch {
  const kafka = (name: string, help: string, of: (stats: KafkaListenerStats) => number): void => {
    registry.gauge(`cordwood_kafka_${name}`, help, () => {
      const stats = kafkaStats();
      return stats === undefined ? 0 : of(stats);
    });
  };
  kafka("connections", "Open connections of clients.", (stats) => stats.connections);
  kafka(
    "connections_accepted",
    "Connections accepted since the start.",
    (stats) => stats.connectionsAccepted,
  );
  kafka(
    "connections_refused",
    "Connections refused since the start.",
    (stats) => stats.connectionsRefused,
  );
  kafka(
    "requests_in_flight",
    "Requests that are not answered yet.",
    (stats) => stats.requestsInFlight,
  );
  kafka("request_bytes", "Bytes of requests in memory, unanswered.", (stats) => stats.requestBytes);
  return observeProcess(registry);
}

function observeProcess(registry: MetricRegistry): ProcessWatch {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  const startSeconds = (Date.now() - performance.now()) / 1000;
  const gauge = (name: string, help: string, source: () => number): void => {
    registry.gauge(name, help, source);
  };
  gauge("process_start_time_seconds", "Start of the process since 1970.", () => startSeconds);
  gauge("process_resident_memory_bytes", "Memory of the process in use.", () =>
    process.memoryUsage.rss(),
  );
  gauge("nodejs_heap_used_bytes", "Heap in use.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_external_memory_bytes", "Memory outside the heap, buffers with it.", () => {
    const { external, arrayBuffers } = process.memoryUsage();
    return external + arrayBuffers;
  });
  gauge("process_cpu_seconds", "Processor time used, by user and system.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  gauge("nodejs_eventloop_lag_mean_seconds", "Mean delay of the event loop since the start.", () =>
    seconds(delay.mean),
  );
  gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of that delay.", () =>
    seconds(delay.percentile(99)),
  );
  gauge("nodejs_eventloop_lag_max_seconds", "Longest of those delays.", () => seconds(delay.max));
  return { stop: () => delay.disable() };
}

/** What lies above the resolution of the measurement; nothing was measured yet where it is no number. */
function seconds(delayNs: number): number {
  const ms = delayNs * msPerNs - delayResolutionMs;
  return Number.isFinite(ms) ? Math.max(0, ms) / 1000 : 0;
}
