// The client libraries of the matrix: how the program of each is started. install.sh makes the programs.
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Library {
  readonly command: readonly string[];
  /** What the library cannot do at all. */
  readonly lacks?: readonly ("idempotence" | "deleting records")[];
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
/** Where install.sh puts what it makes. */
const cache =
  process.env["CORDWOOD_CLIENTS_CACHE"] ?? join(homedir(), ".cache", "cordwood-clients");

const python = (program: string): readonly string[] => [
  join(cache, "python", "bin", "python"),
  "-B",
  here(program),
];
const java = (version: string): readonly string[] => [
  "java",
  "-Xmx256m",
  "-XX:TieredStopAtLevel=1",
  "-cp",
  [join(cache, `java-${version}`, "classes"), join(cache, `java-${version}`, "jars", "*")].join(
    ":",
  ),
  "Client",
];
const node = (library: string): readonly string[] => [
  process.execPath,
  here("./node/client.ts"),
  library,
];

/** By name; one run of the matrix goes through them in this order. */
export const libraries: Readonly<Record<string, Library>> = {
  librdkafka: { command: [join(cache, "c", "client")] },
  "kafka-python": { command: python("./python/kafka_python.py") },
  "confluent-kafka": { command: python("./python/confluent.py") },
  "franz-go": { command: [join(cache, "go-franz", "franz")] },
  segmentio: {
    command: [join(cache, "go-segmentio", "segmentio")],
    lacks: ["idempotence", "deleting records"],
  },
  "java-4.3.1": { command: java("4.3.1") },
  "java-2.8.2": { command: java("2.8.2") },
  kafkajs: { command: node("kafkajs") },
  platformatic: { command: node("platformatic") },
};
