import { isIPv4 } from "node:net";

import { InvalidArgumentError } from "commander";

import type { Address } from "../env/index.ts";

/** `HOST:PORT` or a port alone; an address of IPv6 goes into brackets. */
export function parseAddress(text: string): Address {
  const match = /^(?:(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]+))?:)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new InvalidArgumentError("Expected HOST:PORT, such as 127.0.0.1:9092.");
  }
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
}

/** The text that {@link parseAddress} reads. */
export function addressText({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only programs of this machine can reach the host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
