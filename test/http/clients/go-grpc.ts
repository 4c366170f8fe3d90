// google.golang.org/grpc, with messages that protoc-gen-go makes.
import { runProgram } from "../program.ts";

await runProgram("go-grpc", (cache) => [`${cache}/go-grpc/client`]);
