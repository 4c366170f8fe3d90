// The programs that a run needs, built or fetched into a cache outside the repository.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
export const repository = fileURLToPath(new URL("../..", import.meta.url));

const kafkaVersion = "4.3.1";

/** Where built programs and Kafka's jars are kept from run to run. */
function cacheDirectory(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const directory = join(base, "cordwood-bench");
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** The load generator: Go, its standard library only. */
export function buildLoad(): string {
  return buildGo("load");
}

/** A producer on franz-go, whose modules Go fetches. */
export function buildFranz(): string {
  return buildGo("franz");
}

/** The Go program in `directory`, which is called `name`. */
export function buildGo(name: string, directory = join(here, name)): string {
  need("go", "Go 1.26 or newer (https://go.dev/dl), which builds the load generator");
  const program = join(cacheDirectory(), name);
  run(["go", "build", "-o", program, "."], directory);
  return program;
}

/** A producer on librdkafka, which is installed where it is missing. */
export function buildRdkafka(): string {
  need("cc", "a C compiler, which builds the producer on librdkafka");
  const headers = ["/usr/include", "/usr/local/include"];
  if (!headers.some((place) => existsSync(join(place, "librdkafka/rdkafka.h")))) installRdkafka();
  const program = join(cacheDirectory(), "rdkafka");
  const source = join(here, "rdkafka", "rdkafka.c");
  run(["cc", "-O2", "-o", program, source, "-lrdkafka", "-lpthread"], here);
  return program;
}

function installRdkafka(): void {
  need("apt-get", "librdkafka with its headers; there is no apt-get here that could install it");
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  run([...asRoot, "apt-get", "update", "-qq"], here);
  run([...asRoot, "apt-get", "install", "-y", "-qq", "librdkafka-dev"], here);
}

/** The class path of a released Apache Kafka. */
export function kafkaClassPath(): string {
  need("java", "Java 17 or newer, which runs Apache Kafka");
  const directory = join(cacheDirectory(), `kafka-${kafkaVersion}`);
  const isComplete =
    existsSync(directory) && readdirSync(directory).includes(`kafka_2.13-${kafkaVersion}.jar`);
  if (!isComplete) {
    need("mvn", "Maven, which fetches the jars of Apache Kafka");
    const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"];
    const values = [`-Dkafka.version=${kafkaVersion}`, `-DoutputDirectory=${directory}`];
    run(["mvn", "-q", "-B", ...goal, ...values], join(here, "kafka"));
  }
  return join(directory, "*");
}

export function buildServer(): void {
  run(["npm", "run", "--silent", "build"], repository);
}

/** What the machine lacks for a run: told without a stack. */
class CannotPrepare extends Error {}

/** Runs a benchmark; where a program is missing or cannot be built, says which and ends with exit code 1. */
export async function runOrExplain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof CannotPrepare)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

function need(command: string, what: string): void {
  const found = spawnSync("which", [command], { stdio: "ignore" });
  if (found.status === 0) return;
  throw new CannotPrepare(`"${command}" is missing. Needed is ${what}.`);
}

function run([command = "", ...args]: readonly string[], cwd: string): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status === 0) return;
  const said = error?.message ?? `${stdout}${stderr}`;
  throw new CannotPrepare(`${command} ${args.join(" ")} failed in ${cwd}:\n${said}`);
}

/** What a load program prints; a program leaves out what it does not know. */
export interface LoadResult {
  readonly secs: number;
  readonly requests: number;
  readonly records: number;
  readonly bytes: number;
  readonly loadCpu: number;
  readonly serverCpu?: number;
  /** The measured window on the machine's monotonic clock, in microseconds. */
  readonly beginUs: number;
  readonly endUs: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly p999?: number;
  readonly max?: number;
}

const loadMsMax = 180_000;

/** Runs a load program to its end and returns the JSON of its last line. */
export async function runLoad(program: string, args: readonly string[]): Promise<LoadResult> {
  return parseResult(await runProgram(program, args));
}

/** Runs a load program to its end and returns what it printed. */
export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.timeout(loadMsMax),
    killSignal: "SIGKILL",
  });
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("error", reject).on("close", resolve);
  const code = await promise;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${complaint}`);
  return output;
}

export function parseResult(output: string): LoadResult {
  const line = output.trimEnd().split("\n").at(-1) ?? "";
  // The programs are this benchmark's own: what they print is what the interface says.
  const result: LoadResult = JSON.parse(line);
  return result;
}
