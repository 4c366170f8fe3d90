/**
 * The HTTP door: records in and out as JSON, lines of it or bytes, the services of `proto/` over
 * Connect, gRPC and gRPC-Web, and what the server says of itself.
 *
 * Promises an answer to every request, and for what goes wrong a problem document (RFC 9457) that
 * names the field and the limit; that nothing is half-written; and that memory is bounded whatever a
 * client sends or does not read. Decides nothing of topics and records that the broker decides.
 * Knows nothing of Kafka. Start reading at {@link HttpDoor}, for calls at `rpc/index.ts`; `docs/http.md`
 * and `docs/grpc.md` are the contracts.
 */
export { HttpDoor, type HttpDoorOptions } from "./door.ts";
