import { paint } from "./paint.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** One result; `undefined` members are left out of JSON and are empty in a table. */
export type Row = Readonly<Record<string, Json | undefined>>;

export const outputFormats = ["table", "json", "ndjson", "raw"] as const;

export type OutputFormat = (typeof outputFormats)[number];

/** A table for people, a line of JSON each for programs. */
export function standardFormat(isTerminal: boolean): OutputFormat {
  return isTerminal ? "table" : "ndjson";
}

/** All rows as text with a line break at the end; nothing at all for no rows, but for `json`. */
export function formatRows(rows: readonly Row[], format: OutputFormat, hasColor = false): string {
  if (format === "json") return `${JSON.stringify(rows, undefined, 2)}\n`;
  if (format === "ndjson") return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  if (format === "raw") return rows.map((row) => `${cellsOf(row).join("\t")}\n`).join("");
  return formatTable(rows, hasColor);
}

/** Columns are the members of the rows, in their order; numbers stand to the right. */
export function formatTable(rows: readonly Row[], hasColor: boolean): string {
  if (rows.length === 0) return "";
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => {
    const title = titleOf(name);
    const cells = rows.map((row) => cellOf(row[name]));
    const isNumeric = rows.every(({ [name]: value }) => isNumberOrNone(value));
    const width = cells.reduce((widest, cell) => Math.max(widest, cell.length), title.length);
    return { title, cells, width, isNumeric };
  });
  const line = (cellAt: (column: (typeof columns)[number]) => string): string =>
    columns
      .map((column) => pad(cellAt(column), column.width, column.isNumeric))
      .join("  ")
      .trimEnd();
  const head = paint(
    line(({ title }) => title),
    "bold",
    hasColor,
  );
  const body = rows.map((_, index) => line(({ cells }) => cells[index] ?? ""));
  return `${[head, ...body].join("\n")}\n`;
}

/** Control characters would move the terminal's cursor, or worse. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (control) =>
    control === "\t" ? " " : `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function cellsOf(row: Row): string[] {
  return Object.values(row).map((value) =>
    value === undefined || value === null
      ? ""
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value),
  );
}

function cellOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return printable(typeof value === "object" ? JSON.stringify(value) : String(value));
}

function isNumberOrNone(value: Json | undefined): boolean {
  return value === undefined || value === null || typeof value === "number";
}

function pad(text: string, width: number, isRight: boolean): string {
  return isRight ? text.padStart(width) : text.padEnd(width);
}

/** `firstOffset` is FIRST OFFSET. */
function titleOf(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, "$1 $2").toUpperCase();
}
