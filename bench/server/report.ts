// What is printed: one line for each workload as soon as it is measured.
import type { Durability } from "./brokers.ts";
import type { Measured } from "./measure.ts";
import {
  type Figures,
  type Goal,
  goalsFor,
  isMet,
  shareOfKafkaMax,
  type Workload,
} from "./workloads.ts";

const nameWidth = 19;

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function sayHead(durability: Durability): void {
  say(`\ndurability ${durability}`);
  const columns = ["rate", "CPU", "p50 ms", "p99 ms", "p99.9 ms", "server", "load", "RSS MB"];
  say(row("workload", [...columns, "spread"], "goals"));
}

/** Server and load are cores in use during the window. */
export function sayMeasured(measured: Measured): void {
  const { workload, durability, medians, spread } = measured;
  const { rate, cost, p50, p99, p999, serverCores, loadCores, rssMb, startMs } = medians;
  const first =
    startMs === undefined ? withUnit(rate, `${workload.unit}/s`) : withUnit(startMs, "ms");
  const cells = [
    first,
    withUnit(cost, workload.costOf),
    ...[p50, p99, p999, serverCores, loadCores, rssMb].map((value) => number(value)),
    spread === undefined ? "-" : `x${spread.toFixed(2)}`,
  ];
  const goals = goalsFor(workload, durability).map((goal) => goalText(workload, goal, medians));
  say(row(workload.name, cells, goals.join(", ")));
}

function row(name: string, cells: readonly string[], rest: string): string {
  const widths = [14, 14, 8, 8, 9, 7, 6, 7, 7];
  const padded = cells.map((cell, index) => cell.padStart(widths[index] ?? 8));
  return `${name.padEnd(nameWidth)}${padded.join(" ")}  ${rest}`.trimEnd();
}

function goalText(workload: Workload, goal: Goal, figures: Figures): string {
  const limit = goal.atLeast ?? goal.atMost;
  const sign = goal.atLeast === undefined ? "≤" : "≥";
  const met = isMet(goal, figures);
  const verdict = met === undefined ? "unknown" : met ? "met" : "MISSED";
  return `${goal.figure} ${sign} ${number(limit)}${unitOf(workload, goal.figure)}: ${verdict}`;
}

function unitOf(workload: Workload, figure: keyof Figures): string {
  if (figure === "rate") return ` ${workload.unit}/s`;
  if (figure === "cost") return ` ${workload.costOf}`;
  return figure === "rssMb" ? " MB" : " ms";
}

export function sayKafkaHead(durability: Durability): void {
  say(`\ndurability ${durability}, beside Kafka: Cordwood / Kafka, and how many times better`);
  const widths = ["rate", "CPU", "p50 ms", "p99 ms", "RSS MB"];
  say(`${"workload".padEnd(nameWidth)}${widths.map((name) => name.padEnd(31)).join("")}goals`);
}

export function sayCompared(ours: Measured, kafka: Measured): void {
  const { workload } = ours;
  const pair = (figure: keyof Figures, unit: string): string => {
    const [a, b] = [ours.medians[figure], kafka.medians[figure]];
    const times = timesBetter(figure, a, b);
    const text = `${number(a)} / ${number(b)}${unit === "" ? "" : ` ${unit}`}`;
    return `${(times === undefined ? text : `${text}  x${times.toFixed(1)}`).padEnd(30)} `;
  };
  const first = workload.driver === "start" ? "startMs" : "rate";
  const cells = [
    pair(first, first === "rate" ? `${workload.unit}/s` : "ms"),
    pair("cost", workload.costOf),
    pair("p50", ""),
    pair("p99", ""),
    pair("rssMb", ""),
  ];
  say(
    `${workload.name.padEnd(nameWidth)}${cells.join("")}${ratioVerdicts(ours, kafka).join(", ")}`,
  );
}

/** Above 1 is better than Kafka, whether the figure is to be high or low. */
function timesBetter(
  figure: keyof Figures,
  ours: number | undefined,
  kafka: number | undefined,
): number | undefined {
  if (ours === undefined || kafka === undefined || ours === 0 || kafka === 0) return undefined;
  return figure === "rate" ? ours / kafka : kafka / ours;
}

function ratioVerdicts(ours: Measured, kafka: Measured): string[] {
  const { workload } = ours;
  const wanted: [keyof Figures, number, string][] = [
    [workload.headline, workload.timesGoal, workload.headline],
    ["rssMb", 1 / shareOfKafkaMax, "memory"],
  ];
  if (workload.costOf === "ms/MB") wanted.push(["cost", 1 / shareOfKafkaMax, "CPU"]);
  return wanted.flatMap(([figure, goal, what]) => {
    const times = timesBetter(figure, ours.medians[figure], kafka.medians[figure]);
    if (times === undefined) return [];
    const isEnough = goal === 1 ? times > 1 : times >= goal;
    return [`${what} x${goal.toFixed(1)}: ${isEnough ? "met" : "MISSED"}`];
  });
}

function withUnit(value: number | undefined, unit: string): string {
  return value === undefined ? "-" : `${number(value)} ${unit}`;
}

/** Three digits that count; thousands as they are. */
function number(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(value < 1 ? 2 : 3);
}
