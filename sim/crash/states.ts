/** What a crash may leave of a history: every prefix, and of what was not synced by then every subset. */
import type { SeededRandom } from "../../src/env/index.ts";
import type { Image } from "./image.ts";
import { Image as MutableImage } from "./image.ts";
import type { Change } from "./recorder.ts";

/** What a device writes whole or not at all. */
const sectorBytes = 512;
/** Up to so many unsynced changes every subset is taken; of more, a sample. */
export const exhaustiveMax = 7;
const sampleCount = 48;
/** A torn write of so many sectors is torn in every way; a longer one in chosen ways. */
const sectorsExhaustiveMax = 3;

type Unsynced = Exclude<Change, { readonly kind: "sync" | "syncDirectory" }>;

interface Waiting {
  readonly change: Unsynced;
  readonly index: number;
}

/** Which of the waiting changes are on the device; a number is a mask of the sectors of a write. */
type Fate = boolean | number;

/** Walks a history; at each place it knows what is durable and what waits. */
export class History {
  readonly #changes: readonly Change[];
  readonly #durable: Image;
  #waiting: Waiting[] = [];
  #at = 0;

  constructor(base: Image, changes: readonly Change[]) {
    this.#durable = new MutableImage(base.directories, base.files);
    this.#changes = changes;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Goes on to the place behind change `at` - 1. */
  moveTo(at: number): void {
    for (; this.#at < at; this.#at++) {
      const change = this.#changes[this.#at];
      if (change === undefined) return;
      if (change.kind !== "sync" && change.kind !== "syncDirectory") {
        this.#waiting.push({ change, index: this.#at });
        continue;
      }
      this.#waiting = this.#waiting.filter((one) => {
        const isCovered = one.index < change.until && isAbout(one.change, change);
        if (isCovered) apply(this.#durable, one.change, true);
        return !isCovered;
      });
    }
  }

  /** Each image that a power cut at this place may leave; some more than once. */
  *images(random: SeededRandom): Generator<Image> {
    for (const fates of this.#fates(random)) yield this.image(fates);
  }

  image(fates: readonly Fate[]): Image {
    const image = new MutableImage(this.#durable.directories, this.#durable.files);
    for (const [i, { change }] of this.#waiting.entries()) {
      apply(image, change, fates[i] ?? false);
    }
    return image;
  }

  *#fates(random: SeededRandom): Generator<Fate[]> {
    const count = this.#waiting.length;
    if (count <= exhaustiveMax) {
      for (let mask = 0; mask < 1 << count; mask++) {
        yield Array.from({ length: count }, (_, i) => (mask & (1 << i)) !== 0);
      }
    } else {
      yield Array.from({ length: count }, () => false);
      yield Array.from({ length: count }, () => true);
      for (let one = 0; one < count; one++) {
        yield Array.from({ length: count }, (_, i) => i === one);
        yield Array.from({ length: count }, (_, i) => i !== one);
        yield Array.from({ length: count }, (_, i) => i <= one);
      }
      for (let sample = 0; sample < sampleCount; sample++) {
        const keeps = random.next();
        yield Array.from({ length: count }, () => random.next() < keeps);
      }
    }
    for (const [torn, { change }] of this.#waiting.entries()) {
      if (change.kind !== "write") continue;
      for (const sectors of tears(change)) {
        for (const rest of [true, false]) {
          yield Array.from({ length: count }, (_, i) => (i === torn ? sectors : rest));
        }
        yield Array.from({ length: count }, (_, i) => (i === torn ? sectors : i < torn));
      }
    }
  }
}

/** Masks of the sectors that arrive: neither all nor none. */
function tears(change: Extract<Change, { readonly kind: "write" }>): number[] {
  const { position, bytes } = change;
  const count =
    Math.ceil((position + bytes.length) / sectorBytes) - Math.floor(position / sectorBytes);
  const all = 2 ** Math.min(count, 30) - 1;
  if (count < 2) return [];
  // Zeros over a hole look the same however they are torn.
  if (bytes.every((byte) => byte === 0)) return [];
  if (count <= sectorsExhaustiveMax) return Array.from({ length: all - 1 }, (_, i) => i + 1);
  return [1, all - 1, all >> 1, all ^ (all >> 1), 0x5555_5555 & all];
}

function isAbout(
  change: Unsynced,
  sync: Extract<Change, { readonly kind: "sync" | "syncDirectory" }>,
): boolean {
  if (sync.kind === "syncDirectory") {
    return change.kind === "name" && change.directory === sync.directory;
  }
  return change.kind !== "name" && change.file === sync.file;
}

function apply(image: Image, change: Unsynced, fate: Fate): void {
  if (fate === false) return;
  if (change.kind === "truncate") {
    image.truncate(change.file, change.size);
  } else if (change.kind === "name") {
    if (change.node === undefined) image.names(change.directory).delete(change.name);
    else image.names(change.directory).set(change.name, change.node);
    const { from } = change;
    if (from !== undefined && image.names(from.directory).get(from.name) === change.node) {
      image.names(from.directory).delete(from.name);
    }
  } else if (fate === true) {
    image.write(change.file, change.bytes, change.position);
  } else {
    const { file, position, bytes } = change;
    const first = Math.floor(position / sectorBytes);
    for (let sector = first; sector * sectorBytes < position + bytes.length; sector++) {
      const bit = Math.min(sector - first, 29);
      if ((fate & (1 << bit)) === 0) continue;
      const start = Math.max(sector * sectorBytes, position);
      const end = Math.min((sector + 1) * sectorBytes, position + bytes.length);
      image.write(file, bytes.subarray(start - position, end - position), start);
    }
  }
}
