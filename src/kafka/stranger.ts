const openings: readonly (readonly [pattern: RegExp, name: string])[] = [
  // oxlint-disable-next-line no-control-regex
  [/^\x16\x03/, "a TLS handshake; this port speaks plain Kafka"],
  [/^(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT) /, "an HTTP request; this port speaks Kafka"],
  [/^PRI \* HTTP\/2/, "an HTTP/2 preface; this port speaks Kafka"],
  [/^SSH-/, "an SSH client"],
];

/** Bytes that are enough to know a stranger by. */
export const openingBytes = 16;

/** What the first bytes of a connection look like, where they are not Kafka; undefined when unknown. */
export function strangerOf(opening: Uint8Array): string | undefined {
  const text = Buffer.from(opening).toString("latin1");
  return openings.find(([pattern]) => pattern.test(text))?.[1];
}
