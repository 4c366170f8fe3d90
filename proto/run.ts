// Makes src/proto/generated from the .proto files here: npm run proto
// Or looks whether it is what they give, and whether they keep the rules of buf.yaml: npm run proto -- --check
//
// Or makes messages for another language: --template FILE --output DIRECTORY
//
// The compiler lies outside of the repository, because its package has an install script; it is installed without
// running that into $CORDWOOD_PROTO_CACHE or ~/.cache/cordwood-proto.
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const packages = ["@bufbuild/buf@1.75.0", "@bufbuild/protoc-gen-es@2.17.0"];
const here = fileURLToPath(new URL(".", import.meta.url));
const generated = fileURLToPath(new URL("../src/proto/generated", import.meta.url));

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    template: { type: "string" },
    output: { type: "string" },
  },
});
const bin = installed();
if (values.check) check();
else if (values.template !== undefined) generate(values.template, values.output ?? ".");
else buf("generate");

/** Where the programs are. */
function installed(): string {
  const cache = process.env["CORDWOOD_PROTO_CACHE"] ?? join(homedir(), ".cache/cordwood-proto");
  const directory = join(cache, packages.join("+").replaceAll("/", "-"));
  const programs = join(directory, "node_modules/.bin");
  if (!existsSync(join(programs, "protoc-gen-es"))) {
    mkdirSync(directory, { recursive: true });
    const flags = ["--prefix", directory, "--no-save", "--no-package-lock", "--ignore-scripts"];
    execFileSync("npm", ["install", ...flags, ...packages], { stdio: "inherit" });
  }
  return programs;
}

function buf(...args: string[]): void {
  const path = `${bin}${delimiter}${process.env["PATH"] ?? ""}`;
  execFileSync(join(bin, "buf"), args, {
    cwd: here,
    env: { ...process.env, PATH: path },
    stdio: "inherit",
  });
}

/** The services that clients call; others bring the messages of health and reflection themselves. */
function generate(template: string, output: string): void {
  const paths = ["--path", "cordwood", "--path", "log"];
  buf("generate", "--template", template, "--output", output, ...paths);
}

function check(): void {
  buf("lint");
  buf("format", "--diff", "--exit-code");
  const fresh = mkdtempSync(join(tmpdir(), "cordwood-proto-"));
  try {
    // buf.gen.yaml writes beside this folder, so here beside a folder of the same name.
    buf("generate", "--output", join(fresh, "proto"));
    const made = contents(join(fresh, "src/proto/generated"));
    const committed = contents(generated);
    const differing = [...new Set([...made.keys(), ...committed.keys()])].filter(
      (path) => made.get(path) !== committed.get(path),
    );
    if (made.size === 0) throw new Error("nothing was generated");
    if (differing.length === 0) {
      process.stdout.write(`${made.size} generated files are what the .proto files give\n`);
      return;
    }
    process.stderr.write(
      `not what the .proto files give (npm run proto): ${differing.join(", ")}\n`,
    );
    process.exitCode = 1;
  } finally {
    rmSync(fresh, { recursive: true });
  }
}

function contents(directory: string): ReadonlyMap<string, string> {
  const paths = globSync("**/*.ts", { cwd: directory });
  return new Map(paths.map((path) => [path, readFileSync(join(directory, path), "utf8")]));
}
