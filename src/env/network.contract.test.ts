// One suite over both networks: what a connection promises, whatever carries it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";

import type { Connection, ConnectionHandler, Network } from "./env.ts";
import { memoryEnv } from "./memory/world.ts";
import { nodeEnv } from "./node/index.ts";

const host = "127.0.0.1";
const virtual = memoryEnv({ seed: 1 });

type Run = <T>(promise: Promise<T>) => Promise<T>;
const networks: readonly { readonly name: string; readonly network: Network; readonly run: Run }[] =
  [
    { name: "the network of this machine", network: nodeEnv().network, run: async (it) => it },
    { name: "the network in memory", network: virtual.network, run: virtual.run },
  ];

/** Keeps what arrives, and lets tests wait for it. */
class Receiver implements ConnectionHandler {
  text = "";
  closedCount = 0;
  drainedCount = 0;
  error: Error | undefined;
  onChange: () => void = () => {};
  readonly #memory: Uint8Array;

  constructor(targetBytes = 16) {
    this.#memory = new Uint8Array(targetBytes);
  }

  target(): Uint8Array {
    return this.#memory;
  }

  received(count: number): void {
    this.text += Buffer.from(this.#memory.subarray(0, count)).toString("latin1");
    this.onChange();
  }

  drained(): void {
    this.drainedCount++;
    this.onChange();
  }

  closed(error?: Error): void {
    this.closedCount++;
    this.error = error;
    this.onChange();
  }

  async until(isReached: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      this.onChange = () => {
        if (isReached()) resolve();
      };
      this.onChange();
    });
  }
}

interface Pair {
  readonly ours: Connection;
  readonly theirs: Connection;
  readonly close: () => Promise<void>;
}

for (const { name, network, run } of networks) {
  const pair = async (): Promise<Pair> => {
    const accepted = Promise.withResolvers<Connection>();
    const listener = await network.listen({ host, port: 0 }, accepted.resolve);
    const ours = await network.connect({ host, port: listener.port });
    const theirs = await accepted.promise;
    return { ours, theirs, close: () => listener.close() };
  };

  describe(name, () => {
    test("bytes arrive in order in the memory that was offered", async () => {
      const { ours, theirs, close } = await run(pair());
      const receiver = new Receiver(1_000);
      theirs.start(receiver);
      ours.start(new Receiver());
      const sent = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251));
      const whole = Promise.withResolvers<void>();
      ours.write([sent.subarray(0, 7), sent.subarray(7, 7), sent.subarray(7, 200_000)]);
      ours.write([sent.subarray(200_000)], whole.resolve);
      await run(receiver.until(() => receiver.text.length === sent.length));
      await run(whole.promise);
      const digest = createHash("sha256")
        .update(Buffer.from(receiver.text, "latin1"))
        .digest("hex");
      assert.equal(digest, createHash("sha256").update(sent).digest("hex"));
      await run(close());
    });

    test("nothing is read before the start, and it is all there then", async () => {
      const { ours, theirs, close } = await run(pair());
      ours.start(new Receiver());
      ours.write([Buffer.from("early")]);
      const receiver = new Receiver(2);
      theirs.start(receiver);
      await run(receiver.until(() => receiver.text === "early"));
      theirs.write([Buffer.from("answer")]);
      await run(close());
    });

    test("a paused side is felt by the other, and drained tells when it is over", async () => {
      const { ours, theirs, close } = await run(pair());
      const sender = new Receiver();
      const receiver = new Receiver(65_536);
      ours.start(sender);
      theirs.start(receiver);
      theirs.pause();
      const size = 16 * 1024 * 1024;
      let hasSent = false;
      ours.write([Buffer.alloc(size)], () => {
        hasSent = true;
      });
      assert.ok(ours.unsentBytes > 0);
      assert.equal(hasSent, false);
      assert.equal(sender.drainedCount, 0);
      theirs.resume();
      await run(sender.until(() => sender.drainedCount > 0));
      assert.equal(ours.unsentBytes, 0);
      assert.equal(hasSent, true);
      await run(receiver.until(() => receiver.text.length === size));
      await run(close());
    });

    test("an orderly end delivers what was written, and closes both sides once", async () => {
      const { ours, theirs, close } = await run(pair());
      const [one, other] = [new Receiver(), new Receiver()];
      ours.start(one);
      theirs.start(other);
      ours.write([Buffer.from("last words")]);
      ours.end();
      await run(other.until(() => other.closedCount > 0));
      await run(one.until(() => one.closedCount > 0));
      assert.equal(other.text, "last words");
      assert.deepEqual([one.closedCount, other.closedCount], [1, 1]);
      assert.deepEqual([one.error, other.error], [undefined, undefined]);
      await run(close());
    });

    test("memory is given back even when the connection is gone", async () => {
      const { ours, theirs, close } = await run(pair());
      ours.start(new Receiver());
      theirs.pause();
      const givenBack = [1, 2, 3].map(() => Promise.withResolvers<void>());
      ours.write([Buffer.alloc(8 * 1024 * 1024)], givenBack[0]?.resolve);
      ours.write([Buffer.alloc(1)], givenBack[1]?.resolve);
      ours.destroy();
      ours.write([Buffer.alloc(1)], givenBack[2]?.resolve);
      await run(Promise.all(givenBack.map((each) => each.promise)));
      await run(close());
    });

    test("closing a listener destroys what is open and frees the port", async () => {
      const accepted = Promise.withResolvers<Connection>();
      const listener = await run(network.listen({ host, port: 0 }, accepted.resolve));
      const ours = await run(network.connect({ host, port: listener.port }));
      const receiver = new Receiver();
      ours.start(receiver);
      const theirs = await run(accepted.promise);
      theirs.start(new Receiver());
      await run(listener.close());
      await run(listener.close());
      await run(receiver.until(() => receiver.closedCount > 0));
      await assert.rejects(run(network.connect({ host, port: listener.port })), {
        code: "ECONNREFUSED",
      });
      const again = await run(network.listen({ host, port: listener.port }, () => {}));
      assert.equal(again.port, listener.port);
      const inUse = network.listen({ host, port: again.port }, () => {});
      await assert.rejects(run(inUse), { code: "EADDRINUSE" });
      await run(again.close());
    });

    test("a start after the end is told of the end", async () => {
      const { ours, theirs, close } = await run(pair());
      theirs.destroy();
      const receiver = new Receiver();
      ours.start(receiver);
      await run(receiver.until(() => receiver.closedCount > 0));
      const late = new Receiver();
      theirs.start(late);
      await run(late.until(() => late.closedCount > 0));
      await run(close());
    });
  });
}
