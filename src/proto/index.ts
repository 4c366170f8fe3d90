/**
 * The shapes of messages on the wire, made from `proto/` by `npm run proto`; nothing else.
 *
 * Promises to be what the `.proto` files say, and to run in a browser. Knows no log and no server.
 * What is Cordwood's own is here by name; the contracts of others each have a name of their own.
 */
export * from "./generated/cordwood/v1/cluster_pb.ts";
export * from "./generated/cordwood/v1/error_pb.ts";
export * from "./generated/cordwood/v1/group_pb.ts";
export * from "./generated/cordwood/v1/log_pb.ts";
export * from "./generated/cordwood/v1/record_pb.ts";
export * from "./generated/cordwood/v1/topic_pb.ts";
export * as health from "./generated/grpc/health/v1/health_pb.ts";
export * as reflection from "./generated/grpc/reflection/v1/reflection_pb.ts";
export * as reflectionAlpha from "./generated/grpc/reflection/v1alpha/reflection_pb.ts";
export * as proglog from "./generated/log/v1/log_pb.ts";
