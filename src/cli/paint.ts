import type { WriteStream } from "node:tty";

const codes = { bold: 1, dim: 2, red: 31, yellow: 33, cyan: 36 } as const;

export type Color = keyof typeof codes;

/** Whether a stream shows colors: a terminal that was not told otherwise (no-color.org). */
export function showsColor(
  stream: Pick<WriteStream, "isTTY">,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  const isRefused = (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb";
  return stream.isTTY && !isRefused;
}

export function paint(text: string, color: Color, hasColor: boolean): string {
  return hasColor ? `\u001b[${codes[color]}m${text}\u001b[0m` : text;
}
