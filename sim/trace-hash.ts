import { createHash, type Hash } from "node:crypto";

/** One number for everything that happened in a world, in its order: equal worlds have equal ones. */
export class TraceHash {
  readonly #hash: Hash = createHash("sha256");
  #pending = "";
  #count = 0;
  readonly #listener: ((line: string) => void) | undefined;

  /** `listener` sees each line: two worlds that differ are compared line by line. */
  constructor(listener?: (line: string) => void) {
    this.#listener = listener;
  }

  get count(): number {
    return this.#count;
  }

  note(line: string): void {
    this.#count++;
    this.#listener?.(line);
    this.#pending += `${line}\n`;
    if (this.#pending.length > 1 << 16) this.#flush();
  }

  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex").slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#pending);
    this.#pending = "";
  }
}
