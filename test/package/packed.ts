// The package as npm would publish it, in the node_modules of an empty project.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const repository = new URL("../..", import.meta.url).pathname;

export interface Packed extends Disposable {
  readonly tarball: string;
  /** An empty project whose node_modules hold the package and nothing it depends on. */
  readonly project: string;
}

/** Builds and packs what the repository holds now. */
export function pack(): Packed {
  const root = mkdtempSync(join(tmpdir(), "cordwood-package-"));
  const staged = join(root, "staged");
  const project = join(root, "project");
  const installed = join(project, "node_modules", "cordwood");
  for (const directory of [staged, installed]) mkdirSync(directory, { recursive: true });
  const config = join(repository, "tsconfig.build.json");
  run(join(repository, "node_modules/.bin/tsc"), ["-p", config, "--outDir", join(staged, "dist")]);
  for (const part of ["library", "program"]) {
    run(process.execPath, [join(repository, "build", `${part}.ts`), join(staged, "dist")]);
  }
  for (const name of ["README.md", "CHANGELOG.md", "LICENSE"]) {
    cpSync(join(repository, name), join(staged, name));
  }
  const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  // The workspace is for those who work on the repository.
  delete manifest.workspaces;
  writeFileSync(join(staged, "package.json"), JSON.stringify(manifest));
  run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", root], staged);
  const tarball = join(root, `cordwood-${manifest.version}.tgz`);
  run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  writeFileSync(join(project, "package.json"), '{ "name": "project", "type": "module" }\n');
  const end = (): void => rmSync(root, { recursive: true, force: true });
  return { tarball, project, [Symbol.dispose]: end };
}

/** Puts beside the package what it depends on, as the repository has it: a server needs some of that. */
export function linkDependencies(project: string): void {
  const { dependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    const link = join(project, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(repository, "node_modules", name), link);
  }
}

/** The program of the README's section on programs. */
export function readmeProgram(): string {
  const readme = readFileSync(join(repository, "README.md"), "utf8");
  const [, section = ""] = readme.split("## In your program\n");
  const [, program = ""] = /```js\n(.*?)```/s.exec(section) ?? [];
  return program;
}

/** What the program prints. */
export const readmeOutput = "1 o-2 7\n2 o-1 15\n15\nhello\n";

function run(file: string, args: readonly string[], cwd?: string): void {
  execFileSync(file, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
}
