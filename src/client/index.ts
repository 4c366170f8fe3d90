/**
 * A store behind HTTP, in a browser or wherever fetch is.
 *
 * Promises the interface and the meaning of the embedded store, that a server which was away is gone
 * on with where it was left, without gap or repeat, and that nothing here needs Node. Refuses to
 * know Kafka, files and sockets. Start reading at `remote-store.ts`; the package's door is
 * `src/client.ts`, and the command line comes in below it, at {@link Server}.
 */
export { compactTopic } from "./compaction.ts";
export { RemoteStore } from "./remote-store.ts";
export { type OutgoingRecord, RemoteWriter } from "./remote-writer.ts";
export { type RemoteStoreOptions, Server } from "./server.ts";
export { TopicStream } from "./topic-stream.ts";
