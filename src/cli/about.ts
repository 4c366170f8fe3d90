import type { Command } from "commander";

import { type OutputFlags, printed } from "./options.ts";
import { formatRows, standardFormat } from "./rows.ts";
import { version } from "./version.ts";

const examples = `
Examples:
  cordwood version
  cordwood version -o json
  cordwood version -o raw | cut -f1`;

export function registerVersion(program: Command): void {
  printed(program.command("version").description("print the version of this program, and of Node"))
    .addHelpText("after", examples)
    .action(({ output }: OutputFlags) => {
      const row = {
        version,
        node: process.version,
        platform: `${process.platform} ${process.arch}`,
      };
      const format = output ?? standardFormat(process.stdout.isTTY);
      process.stdout.write(formatRows([row], format));
    });
}
