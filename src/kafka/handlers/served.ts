import type { Broker, ClientIdentity } from "../../broker/index.ts";
import type { Env } from "../../env/index.ts";
import type { Exchange } from "../exchange.ts";
import type { ApiName, RequestOf, ResponseBody } from "../registry.ts";
import type { FetchSessions } from "./fetch-sessions.ts";

/** What the handlers of one server share. */
export interface Served {
  readonly env: Env;
  readonly broker: Broker;
  readonly fetchSessions: FetchSessions;
}

/** Answers one kind of request for one server; see `Handler` for what the answer may be. */
export type Answer<K extends ApiName> = (
  served: Served,
  request: RequestOf<K>,
  exchange: Exchange<K>,
) => ResponseBody<K> | Promise<ResponseBody<K>> | undefined;

/** Who sent a request, as the members of a group are shown to tools. */
export function clientOf({ clientId, peer }: Exchange): ClientIdentity {
  return { clientId: clientId ?? "", clientHost: `/${peer.host}` };
}
