// A figure and the limit that it is held to.

export interface Bound {
  readonly what: string;
  readonly figure: number;
  readonly limit: number;
  readonly unit: string;
}

export function isHeld({ figure, limit }: Bound): boolean {
  return figure <= limit;
}

export function describe(bound: Bound): string {
  const { what, figure, limit, unit } = bound;
  const verdict = isHeld(bound) ? "held" : "BROKEN";
  return `${what.padEnd(66)} ${show(figure).padStart(9)} ${unit.padEnd(6)} limit ${show(limit).padStart(7)}  ${verdict}`;
}

function show(value: number): string {
  return value >= 100
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}
