// Where time goes and what is allocated, by V8's own profilers.
import { Session } from "node:inspector/promises";

/** One function's share of a profile. */
interface Share {
  readonly name: string;
  readonly percent: number;
}

/** Waiting: for the device, or for a thread. */
const idle = "(idle)";
/** Not the work, but this profiler's own calls. */
const outside = "post node:inspector";

export interface CpuFigures {
  readonly idlePercent: number;
  /** The functions in which most of the rest is spent. */
  readonly shares: readonly Share[];
}

export async function cpuProfile(run: () => void | Promise<void>): Promise<CpuFigures> {
  using session = open();
  await session.of.post("Profiler.enable");
  await session.of.post("Profiler.setSamplingInterval", { interval: 200 });
  // Compiled by then, as it is when it is measured.
  await run();
  await session.of.post("Profiler.start");
  await run();
  const { profile } = await session.of.post("Profiler.stop");
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let total = 0;
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const name = names.get(id) ?? "";
    if (name === outside) continue;
    const delta = profile.timeDeltas?.[index] ?? 0;
    total += delta;
    times.set(name, (times.get(name) ?? 0) + delta);
  }
  const idlePercent = (100 * (times.get(idle) ?? 0)) / total;
  times.delete(idle);
  return { idlePercent, shares: largest(times) };
}

export interface HeapFigures {
  readonly bytes: number;
  readonly largest: readonly Share[];
}

/** What `run` allocates on the heap, what is garbage by now included: sampled, a sample for each KiB. */
export async function heapProfile(run: () => void | Promise<void>): Promise<HeapFigures> {
  using session = open();
  await session.of.post("HeapProfiler.enable");
  await session.of.post("HeapProfiler.startSampling", {
    samplingInterval: 1024,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  await run();
  const { profile } = await session.of.post("HeapProfiler.stopSampling");
  const sizes = new Map<string, number>();
  let bytes = 0;
  const left = [profile.head];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    const name = nameOf(node.callFrame);
    // What asking for the profile took is not the run's.
    if (!name.includes("inspector")) {
      sizes.set(name, (sizes.get(name) ?? 0) + node.selfSize);
      bytes += node.selfSize;
    }
    left.push(...node.children);
  }
  return { bytes, largest: largest(sizes) };
}

function open(): Disposable & { readonly of: Session } {
  const of = new Session();
  of.connect();
  return { of, [Symbol.dispose]: () => of.disconnect() };
}

function nameOf(frame: { readonly functionName: string; readonly url: string }): string {
  const [file = ""] = frame.url.split("/").slice(-1);
  return `${frame.functionName === "" ? "(anonymous)" : frame.functionName} ${file}`.trim();
}

function largest(parts: ReadonlyMap<string, number>): Share[] {
  const total = [...parts.values()].reduce((sum, part) => sum + part, 0);
  return [...parts]
    .map(([name, part]) => ({ name, percent: (100 * part) / total }))
    .toSorted((left, right) => right.percent - left.percent)
    .slice(0, 10);
}
