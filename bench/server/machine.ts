// What the figures depend on: the machine, what else it does, what a process has.
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";

/** Others may use this share of all cores before a run is called disturbed. */
const othersShareMax = 0.15;

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  /** Over the last minute, before anything of this benchmark ran. */
  readonly loadAverage: number;
  /** Share of all cores that was in use during one second before anything ran. */
  readonly busyShare: number;
}

export async function lookAtMachine(): Promise<Machine> {
  const before = processorTimes();
  await delay(1_000);
  const after = processorTimes();
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
    busyShare: 1 - (after.idle - before.idle) / (after.all - before.all),
  };
}

export function describeMachine(machine: Machine): string {
  const { processor, cores, memoryGb, kernel, node, loadAverage, busyShare } = machine;
  const lines = [
    `load average ${loadAverage.toFixed(2)}, ${Math.round(busyShare * 100)} % of the cores in use`,
    `${cores} cores of ${processor}, ${memoryGb} GiB, Linux ${kernel}, Node ${node}`,
  ];
  if (busyShare > othersShareMax) {
    lines.push(
      "WARNING: the machine is busy with other work: read CPU per MB rather than rates, and measure again",
    );
  }
  return lines.join("\n");
}

function processorTimes(): { readonly idle: number; readonly all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { idle, all };
}

export interface Memory {
  readonly rssMb: number;
  readonly rssMbMax: number;
}

/** Resident memory of a process, now and at its most, in units of 10^6 bytes. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
    if (match?.[1] === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
    return (Number(match[1]) * 1_024) / 1e6;
  };
  return { rssMb: field("VmRSS"), rssMbMax: field("VmHWM") };
}
