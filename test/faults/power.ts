// Power cuts on a real ext4: a loop device, shut down without flushing its journal while a store is written to.
// Some rounds also stop the process for a while and let it go on. Needs root; says so and skips elsewhere.
//
//   npm run test:power -- --rounds 200 --seed 1 --data ordered,writeback
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

import { SeededRandom } from "../../src/env/index.ts";

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    data: { type: "string", default: "ordered,writeback" },
  },
});
/** How ext4 orders data and journal; each has its share of the rounds. */
const modes = given.data.split(",");
const random = new SeededRandom(Number(given.seed));
const imageMiB = 512;
const stopEach = 5;
/** Then a new one is made: each round reads all that is there. */
const roundsOfFileSystem = 50;
/** EXT4_IOC_SHUTDOWN with "no log flush". */
const shutdown =
  "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

if (process.platform !== "linux" || process.getuid?.() !== 0 || !existsSync("/dev/loop-control")) {
  say("skipped: power cuts on a real ext4 need root and loop devices on Linux");
  process.exit(0);
}

const base = mkdtempSync(join(tmpdir(), "cordwood-power-"));
const image = join(base, "disk.img");
const mountPoint = join(base, "mnt");
mkdirSync(mountPoint);

/** Offset and value of all that was acknowledged on the file system of now. */
const acknowledged = new Map<string, number>();
let passed = 0;
let failed = 0;
let total = 0;
try {
  const roundsOfEach = Math.ceil(Number(given.rounds) / modes.length);
  for (const mode of modes) {
    const before = passed;
    for (let round = 1; round <= roundsOfEach && !hasFailed(); round++) {
      await play(round, mode);
    }
    say(`data=${mode}: ${passed - before} power cuts`);
  }
} finally {
  rmSync(base, { recursive: true });
}
say(`seed ${given.seed}: ${total} acknowledged records, ${passed} power cuts`);
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function makeFileSystem(): void {
  acknowledged.clear();
  rmSync(image, { force: true });
  execFileSync("truncate", ["-s", `${imageMiB}M`, image]);
  execFileSync("mkfs.ext4", ["-q", "-F", image]);
}

function hasFailed(): boolean {
  return failed > 0;
}

async function play(round: number, mode: string): Promise<void> {
  if (round % roundsOfFileSystem === 1) makeFileSystem();
  const mount = (): void => {
    execFileSync("mount", ["-o", `loop,data=${mode}`, image, mountPoint]);
  };
  mount();
  try {
    const child = start("write", String(round));
    const lines = linesOf(child);
    // It may end by itself when its disk is gone.
    const ended = new Promise((resolve) => child.once("close", resolve));
    await delay(400 + random.below(800));
    if (round % stopEach === 0) await stopAndGoOn(child, lines);
    execFileSync("python3", ["-c", shutdown, mountPoint]);
    await delay(random.below(50));
    child.kill("SIGKILL");
    await ended;
    for (const line of lines) {
      const [offset = "", value = ""] = line.split(" ");
      acknowledged.set(value, Number(offset));
      total++;
    }
  } finally {
    execFileSync("umount", [mountPoint]);
  }
  mount();
  try {
    const reader = start("read", "0");
    const found = linesOf(reader);
    const code = await new Promise((resolve) => reader.once("close", resolve));
    check(round, code, found);
  } finally {
    execFileSync("umount", [mountPoint]);
  }
}

/** A process that stood still goes on where it was. */
async function stopAndGoOn(child: ChildProcess, lines: readonly string[]): Promise<void> {
  child.kill("SIGSTOP");
  await delay(500);
  const before = lines.length;
  child.kill("SIGCONT");
  for (let waits = 0; waits < 100 && lines.length === before; waits++) await delay(100);
  if (lines.length > before) return;
  failed++;
  say("FAILED: nothing was acknowledged after the process went on");
}

function check(round: number, code: unknown, found: readonly string[]): void {
  const offsets = new Map<string, number>();
  const problems: string[] = [];
  if (code !== 0) problems.push(`the reader ended with ${String(code)}`);
  for (const [i, line] of found.entries()) {
    const [offset = "", value = ""] = line.split(" ");
    if (Number(offset) !== i) problems.push(`offset ${i} is missing`);
    if (offsets.has(value)) problems.push(`${value} is there twice`);
    offsets.set(value, Number(offset));
  }
  for (const [value, offset] of acknowledged) {
    if (offsets.get(value) !== offset) problems.push(`${value} was acknowledged at ${offset}`);
  }
  if (problems.length === 0) passed++;
  else failed++;
  for (const problem of problems.slice(0, 5)) say(`FAILED round ${round}: ${problem}`);
}

function start(mode: string, round: string): ChildProcess {
  const script = join(import.meta.dirname, "power-writer.ts");
  return spawn(process.execPath, [script, mode, join(mountPoint, "store"), round], {
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** Whole lines that a process printed; the array grows while it runs. */
function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  let rest = "";
  child.stdout?.on("data", (bytes: Buffer) => {
    const parts = (rest + bytes.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  return lines;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
