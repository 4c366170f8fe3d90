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

export interface SelfTimes {
  readonly functions: readonly SelfTime[];
  /** The same time by room, with what Node does for it counted by itself. */
  readonly rooms: readonly SelfTime[];
  readonly idleShare: number;
}

/**
 * Self times within a part of a profile, largest first, and the share of that part that was idle. The
 * profiler counts the event loop's wait as idle, and with it the reading of sockets, which libuv does there.
 */
export function selfTimes(
  directory: string,
  window: { readonly beginUs: number; readonly endUs: number },
): SelfTimes {
  const name = readdirSync(directory).find((file) => file.endsWith(".cpuprofile"));
  if (name === undefined) throw new Error(`the server wrote no profile into ${directory}`);
  const profile: Profile = JSON.parse(readFileSync(join(directory, name), "utf8"));
  const labels = labelsOf(profile.nodes);
  const functions = new Map<string, number>();
  const rooms = new Map<string, number>();
  let idle = 0;
  let at = profile.startTime;
  let all = 0;
  for (const [index, node] of profile.samples.entries()) {
    // A sample is the state at its time; it stands for the time until the next one.
    at += profile.timeDeltas[index] ?? 0;
    const length = profile.timeDeltas[index + 1] ?? 0;
    if (at < window.beginUs || at >= window.endUs) continue;
    all += length;
    const { name: label, room } = labels.get(node) ?? { name: "unknown", room: "unknown" };
    if (label === "(idle)") {
      idle += length;
      continue;
    }
    functions.set(label, (functions.get(label) ?? 0) + length);
    rooms.set(room, (rooms.get(room) ?? 0) + length);
  }
  const busy = all - idle;
  return {
    functions: sharesOf(functions, busy),
    rooms: sharesOf(rooms, busy),
    idleShare: idle / all,
  };
}

function sharesOf(micros: ReadonlyMap<string, number>, all: number): SelfTime[] {
  const times = [...micros].map(([name, us]) => ({ name, share: us / all }));
  return times.toSorted((a, b) => b.share - a.share);
}

interface Label {
  readonly name: string;
  readonly room: string;
}

/** A function by its name and place; one of Node itself or of C++ with who called it. */
function labelsOf(nodes: readonly ProfileNode[]): ReadonlyMap<number, Label> {
  const parents = new Map<number, ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const labels = new Map<number, Label>();
  for (const node of nodes) {
    const { callFrame } = node;
    let caller = parents.get(node.id);
    while (caller !== undefined && !isOurs(caller.callFrame)) caller = parents.get(caller.id);
    const isPlain = isOurs(callFrame) || callFrame.functionName.startsWith("(");
    const from = isPlain || caller === undefined ? "" : ` < ${placeOf(caller.callFrame)}`;
    labels.set(node.id, { name: `${placeOf(callFrame)}${from}`, room: roomOf(callFrame, caller) });
  }
  return labels;
}

/** Where the time counts: CRC, the collector, Node below our call of it, or the room of our own code. */
function roomOf(frame: CallFrame, caller: ProfileNode | undefined): string {
  if (frame.functionName.startsWith("(") && frame.url === "") return frame.functionName;
  const ours = isOurs(frame) ? frame : caller?.callFrame;
  if (ours === undefined) return "Node by itself";
  if (ours.url.endsWith("/crc32c.js")) return "CRC";
  if (!isOurs(frame)) return `Node and kernel, called in ${basename(ours.url)}`;
  return /\/dist\/(\w+)\//.exec(frame.url)?.[1] ?? "dist";
}

function isOurs({ url }: CallFrame): boolean {
  return url.includes("/dist/");
}

function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}
