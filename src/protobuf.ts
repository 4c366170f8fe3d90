/**
 * Topics of protobuf messages, with the code that protoc-gen-es makes of a `.proto` file.
 *
 * @example
 * import { open } from "cordwood";
 * import { protobuf } from "cordwood/protobuf";
 * import { OrderSchema } from "./gen/order_pb.js";
 *
 * const orders = await store.topic("orders", { codec: protobuf(OrderSchema), key: (order) => order.id });
 */
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

import type { ValueCodec } from "./values/index.ts";

/** A codec of the messages that `schema` describes, in protobuf's binary form. What has other fields keeps them. */
export function protobuf<Desc extends DescMessage>(schema: Desc): ValueCodec<MessageShape<Desc>> {
  return {
    encode: (message) => toBinary(schema, message),
    decode: (bytes) => fromBinary(schema, bytes),
  };
}
