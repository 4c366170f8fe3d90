/**
 * The HTTP door: whether the server lives and serves, and what it counted.
 *
 * Promises an answer to every request, and for what goes wrong a problem document (RFC 9457).
 * Knows nothing of Kafka. Start reading at {@link openHttpDoor}.
 */
export { type HttpDoorOptions, openHttpDoor } from "./door.ts";
