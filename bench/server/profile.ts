// Where the server's time goes: self time by function, from a CPU profile that Node wrote.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
  /** Microseconds of the machine's monotonic clock. */
  readonly startTime: number;
}

export interface SelfTime {
  readonly name: string;
  /** Of the time in which the server did anything. */
  readonly share: number;
}

/**
 * Self times within a part of a profile, largest first, and the share of that part that was idle. The
 * profiler counts the event loop's wait as idle, and with it the reading of sockets, which libuv does there.
 */
export function selfTimes(
  directory: string,
  window: { readonly beginUs: number; readonly endUs: number },
): { readonly times: readonly SelfTime[]; readonly idleShare: number } {
  const name = readdirSync(directory).find((file) => file.endsWith(".cpuprofile"));
  if (name === undefined) throw new Error(`the server wrote no profile into ${directory}`);
  const profile: Profile = JSON.parse(readFileSync(join(directory, name), "utf8"));
  const labels = labelsOf(profile.nodes);
  const micros = new Map<string, number>();
  let at = profile.startTime;
  let all = 0;
  for (const [index, node] of profile.samples.entries()) {
    // A sample is the state at its time; it stands for the time until the next one.
    at += profile.timeDeltas[index] ?? 0;
    const length = profile.timeDeltas[index + 1] ?? 0;
    if (at < window.beginUs || at >= window.endUs) continue;
    const label = labels.get(node) ?? "unknown";
    micros.set(label, (micros.get(label) ?? 0) + length);
    all += length;
  }
  const idle = micros.get("(idle)") ?? 0;
  micros.delete("(idle)");
  const times = [...micros].map(([label, us]) => ({ name: label, share: us / (all - idle) }));
  return { times: times.toSorted((a, b) => b.share - a.share), idleShare: idle / all };
}

/** A function by its name and place; one of Node itself or of C++ with who called it. */
function labelsOf(nodes: readonly ProfileNode[]): ReadonlyMap<number, string> {
  const parents = new Map<number, ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const labels = new Map<number, string>();
  for (const node of nodes) {
    const { callFrame } = node;
    let caller = parents.get(node.id);
    while (caller !== undefined && !isOurs(caller.callFrame)) caller = parents.get(caller.id);
    const isPlain = isOurs(callFrame) || callFrame.functionName.startsWith("(");
    const from = isPlain || caller === undefined ? "" : ` < ${placeOf(caller.callFrame)}`;
    labels.set(node.id, `${placeOf(callFrame)}${from}`);
  }
  return labels;
}

function isOurs({ url }: CallFrame): boolean {
  return url.includes("/dist/");
}

function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}
