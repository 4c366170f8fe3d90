/** What one listener allows; every number has a default in {@link defaultLimits}. */
export interface KafkaLimits {
  /** Largest request, without its size. */
  readonly requestBytesMax: number;
  /** Largest first request of whoever does not begin with an API and a version that are spoken here. */
  readonly firstRequestBytesMax: number;
  /** Requests of one connection that are being answered at the same time. */
  readonly requestsInFlightMax: number;
  /** Bytes of responses of one connection that the other side has not taken yet. */
  readonly unsentBytesMax: number;
  /** Request bytes of one connection handled before others get their turn. */
  readonly turnBytesMax: number;
  /** Request bytes of all connections in memory, unanswered. */
  readonly requestBytesInMemoryMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** A connection without traffic and without a request in flight is closed after this. */
  readonly idleMsMax: number;
  /** A frame that started has this long to arrive, and one second more for each {@link frameBytesPerSecondMin}. */
  readonly frameMsMax: number;
}

export const defaultLimits: KafkaLimits = {
  requestBytesMax: 100 * 1024 * 1024,
  firstRequestBytesMax: 64 * 1024,
  requestsInFlightMax: 512,
  unsentBytesMax: 8 * 1024 * 1024,
  turnBytesMax: 512 * 1024,
  requestBytesInMemoryMax: 512 * 1024 * 1024,
  connectionsMax: 10_000,
  connectionsPerAddressMax: Number.POSITIVE_INFINITY,
  idleMsMax: 600_000,
  frameMsMax: 30_000,
};

/** The slowest sender that may still finish a large frame. */
export const frameBytesPerSecondMin = 1_048_576;

/** How long a connection that was told to close may take to hear its last answers. */
export const lingerMsMax = 2_000;

/** Free receive memory kept for the next connection. */
export const pooledBytesMax = 64 * 1024 * 1024;

/** How often connections are looked over for their deadlines. */
export const sweepMs = 1_000;

/** Events about single connections that are written each second; the rest is only counted. */
export const reportsPerSecondMax = 20;
