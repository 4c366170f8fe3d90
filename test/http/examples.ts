// The examples of docs/http.md: commands of a shell, each with what it prints.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export interface Example {
  readonly command: string;
  /** Without what differs from run to run. */
  readonly printed: string;
}

/** In the order of the page: later ones work on what earlier ones have made. */
export function examplesOfHttp(): Example[] {
  const page = readFileSync(join(import.meta.dirname, "../../docs/http.md"), "utf8");
  const blocks = [...page.matchAll(/```console\n(.*?)```/gs)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((each) => {
        const end = each.indexOf("\n");
        return { command: each.slice(0, end), printed: settled(each.slice(end + 1)) };
      }),
  );
}

/** What the command prints when it is run against the server on that port of loopback. */
export async function printedBy(
  command: string,
  port: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const here = command.replaceAll("localhost:8080", `localhost:${port}`);
  const child = spawn("bash", ["-c", here], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  return settled(await text(child.stdout));
}

/** What differs from run to run is no part of what the page promises. */
const volatile: readonly (readonly [RegExp, string])[] = [
  [/"timestamp":\d+/g, '"timestamp":0'],
  [/"sizeBytes":\d+/g, '"sizeBytes":0'],
  [/"topicId":"[\w-]+"/g, '"topicId":""'],
  [/\r/g, ""],
];

function settled(printed: string): string {
  return volatile.reduce((all, [form, fixed]) => all.replaceAll(form, fixed), printed);
}
