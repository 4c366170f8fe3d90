// grpcio, with messages that grpcio-tools makes.
import { runProgram } from "../program.ts";

await runProgram("python-grpcio", (cache) => [
  `${cache}/python-grpcio/bin/python`,
  `${cache}/python-grpcio/client/client.py`,
]);
