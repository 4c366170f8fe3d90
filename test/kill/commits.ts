// A group's commits under kill -9: the last acknowledged one, or the one under way, is what a restart finds.
import { setTimeout as delay } from "node:timers/promises";

import {
  commitOffset,
  committedOffset,
  findCoordinator,
  untilLoaded,
  Wire,
} from "../clients/wire.ts";

const paceMs = 10;

export class Committer {
  readonly #bootstrap: string;
  readonly #group: string;
  readonly #topic: string;
  #isStopped = false;
  #acknowledged = 0;
  /** The newest commit that was sent, acknowledged or not. */
  #sent = 0;

  constructor(bootstrap: string, group: string, topic: string) {
    this.#bootstrap = bootstrap;
    this.#group = group;
    this.#topic = topic;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#session();
      } catch {
        // Down, or its coordinator is loading: what matters is what the next check finds.
        await delay(20);
      }
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  abandon(): void {
    this.#isStopped = true;
  }

  /** Holds while commits go on: at least what was acknowledged before the question, at most what was sent before its answer. */
  async check(wire: Wire): Promise<void> {
    const least = this.#acknowledged;
    const found =
      (await untilLoaded(async () => committedOffset(wire, this.#group, this.#topic))) ?? 0;
    if (found < least || found > this.#sent) {
      throw new Error(`commit ${least} was acknowledged, up to ${this.#sent} sent; found ${found}`);
    }
  }

  async #session(): Promise<void> {
    const wire = await Wire.connect(this.#bootstrap);
    try {
      await untilLoaded(async () => findCoordinator(wire, this.#group));
      while (!this.#isStopped) {
        this.#sent = Math.max(this.#sent, this.#acknowledged + 1);
        await commitOffset(wire, this.#group, this.#topic, this.#sent);
        this.#acknowledged = this.#sent;
        await delay(paceMs);
      }
    } finally {
      wire.close();
    }
  }
}
