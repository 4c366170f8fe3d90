import type { Address, Connection, Env, Listener, Timer } from "../env/index.ts";
import { ClientConnection, type ConnectionHost } from "./connection.ts";
import { type Handlers, type Peer, peerOf } from "./exchange.ts";
import { SlabPool } from "./frames.ts";
import {
  type KafkaLimits,
  defaultLimits,
  pooledBytesMax,
  reportsPerSecondMax,
  sweepMs,
} from "./limits.ts";

/** What a listener has at hand at one moment. */
export interface KafkaListenerStats {
  readonly connections: number;
  /** Connections accepted and refused since the start. */
  readonly connectionsAccepted: number;
  readonly connectionsRefused: number;
  readonly requestsInFlight: number;
  /** Bytes of requests in memory, unanswered. */
  readonly requestBytes: number;
}

export interface KafkaListenOptions {
  readonly at: Address;
  readonly handlers: Handlers;
  /** Where they differ from {@link defaultLimits}. */
  readonly limits?: Partial<KafkaLimits>;
}

/** The Kafka port: accepts clients, and holds what they share. */
export class KafkaListener implements ConnectionHost {
  readonly env: Env;
  readonly limits: KafkaLimits;
  readonly handlers: Handlers;
  readonly pool = new SlabPool(pooledBytesMax);
  turn = 0;
  isEnding = false;
  #listener: Listener | undefined = undefined;
  readonly #connections = new Set<ClientConnection>();
  readonly #connectionsByAddress = new Map<string, number>();
  /** Connections to come back to at the end of this turn, and once memory for requests is free. */
  #atTurnEnd = new Set<ClientConnection>();
  readonly #atRelief = new Set<ClientConnection>();
  #isTurnEndDue = false;
  #requestBytes = 0;
  #accepted = 0;
  #refused = 0;
  #sweepTimer: Timer | undefined = undefined;
  #reports = 0;
  #reportsDropped = 0;
  #whenEmpty: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  /** Listens, or rejects with the network's own error. */
  static async listen(env: Env, options: KafkaListenOptions): Promise<KafkaListener> {
    const listener = new KafkaListener(env, options);
    listener.#listener = await env.network.listen(options.at, (connection) => {
      listener.#accept(connection);
    });
    return listener;
  }

  private constructor(env: Env, options: KafkaListenOptions) {
    this.env = env;
    this.limits = { ...defaultLimits, ...options.limits };
    this.handlers = options.handlers;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  stats(): KafkaListenerStats {
    let requestsInFlight = 0;
    for (const connection of this.#connections) requestsInFlight += connection.requestsInFlight;
    return {
      connections: this.#connections.size,
      connectionsAccepted: this.#accepted,
      connectionsRefused: this.#refused,
      requestsInFlight,
      requestBytes: this.#requestBytes,
    };
  }

  /**
   * Starts no further request, gives those in flight up to `graceMs` to be answered, then closes
   * every connection. Idempotent.
   */
  async close(graceMs = 5_000): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  // What connections call.

  get isOverBudget(): boolean {
    return this.#requestBytes > this.limits.requestBytesInMemoryMax;
  }

  charge(bytes: number): void {
    this.#requestBytes += bytes;
    if (this.#atRelief.size === 0 || this.isOverBudget) return;
    for (const connection of this.#atRelief) this.atTurnEnd(connection);
    this.#atRelief.clear();
  }

  atRelief(connection: ClientConnection): void {
    this.#atRelief.add(connection);
  }

  atTurnEnd(connection: ClientConnection): void {
    this.#atTurnEnd.add(connection);
    if (this.#isTurnEndDue) return;
    this.#isTurnEndDue = true;
    this.env.timers.soon(() => this.#endTurn());
  }

  report(level: "debug" | "warn" | "error", message: string, peer: Peer, reason: string): void {
    // A flood of strangers must not become a flood of events.
    if (this.#reports >= reportsPerSecondMax) {
      this.#reportsDropped += 1;
      return;
    }
    this.#reports += 1;
    const { remote, softwareName, softwareVersion } = peer;
    const software = softwareName === "" ? undefined : `${softwareName} ${softwareVersion}`;
    this.env.events[level](message, { remote, software, reason });
  }

  closed(connection: ClientConnection): void {
    this.#connections.delete(connection);
    this.#atTurnEnd.delete(connection);
    this.#atRelief.delete(connection);
    const { host } = connection.peer;
    const left = (this.#connectionsByAddress.get(host) ?? 1) - 1;
    if (left === 0) this.#connectionsByAddress.delete(host);
    else this.#connectionsByAddress.set(host, left);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #accept(connection: Connection): void {
    const peer = peerOf(this.#accepted + 1, connection.remote);
    const fromThere = this.#connectionsByAddress.get(peer.host) ?? 0;
    const reason = this.#refusalOf(fromThere);
    if (reason !== undefined) {
      this.#refused += 1;
      this.report("warn", "kafka connection refused", peer, reason);
      connection.destroy();
      return;
    }
    this.#accepted += 1;
    const client = new ClientConnection(peer, connection, this);
    this.#connections.add(client);
    this.#connectionsByAddress.set(peer.host, fromThere + 1);
    this.#sweepTimer ??= this.env.timers.after(sweepMs, () => this.#sweep());
    client.start();
  }

  #refusalOf(fromThere: number): string | undefined {
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    if (this.isEnding) return "the server ends";
    if (this.#connections.size >= connectionsMax) return `there are ${connectionsMax} already`;
    if (fromThere < connectionsPerAddressMax) return undefined;
    return `there are ${connectionsPerAddressMax} from this address already`;
  }

  #endTurn(): void {
    this.turn += 1;
    this.#isTurnEndDue = false;
    const connections = this.#atTurnEnd;
    this.#atTurnEnd = new Set();
    for (const connection of connections) connection.endTurn();
  }

  #sweep(): void {
    if (this.#reportsDropped > 0) {
      this.env.events.warn("kafka connection events left out", { count: this.#reportsDropped });
    }
    this.#reports = 0;
    this.#reportsDropped = 0;
    const nowMs = this.env.clock.monotonicMs();
    for (const connection of this.#connections) connection.sweep(nowMs);
    // Without connections there is nothing to look at, and no timer keeps the process awake.
    this.#sweepTimer =
      this.#connections.size === 0
        ? undefined
        : this.env.timers.after(sweepMs, () => this.#sweep());
  }

  async #close(graceMs: number): Promise<void> {
    this.isEnding = true;
    for (const connection of this.#connections) connection.endTurn();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.env.timers.after(graceMs, resolve);
        this.#whenEmpty = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#sweepTimer?.cancel();
    for (const connection of this.#connections) connection.destroy();
    await this.#listener?.close();
  }
}
