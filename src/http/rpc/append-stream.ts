/** An append stream: records in as they come, acknowledgements out as they become durable. */
import type { Broker, OpenTopic } from "../../broker/index.ts";
import type { BodyReceiver, Env, HttpExchange } from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { type AppendedRun, readAppend, writeRuns } from "./append-messages.ts";
import type { RpcAnswer } from "./answer.ts";
import { EnvelopeReader } from "./envelopes.ts";
import { addRun, appendRecords, topicOf } from "./log-verbs.ts";
import { rpcLimits } from "./limits.ts";

/** What was sent in one message, until it is acknowledged. */
interface Pending {
  readonly bytes: number;
  /** Undefined until the records are durable. */
  runs: readonly AppendedRun[] | undefined;
}

// hot: once for every message of a stream; bench/http.
export class AppendStream implements BodyReceiver {
  readonly #env: Env;
  readonly #broker: Broker;
  readonly #answer: RpcAnswer;
  readonly #exchange: HttpExchange;
  readonly #envelopes: EnvelopeReader;
  #topic: OpenTopic | undefined;
  #topicName = "";
  /** In the order in which they were sent. */
  readonly #pending: Pending[] = [];
  /** Of `#pending`. */
  #pendingBytes = 0;
  /** Messages behind one that must look at the log before it is appended. */
  #held: Uint8Array[] = [];
  #isHolding = false;
  #isPaused = false;
  #isFlushDue = false;
  /** No more messages come. */
  #isEnded = false;
  /** Why no more messages are taken. */
  #closing: LogError | undefined;

  /** @throws LogError unsupported. */
  constructor(env: Env, broker: Broker, answer: RpcAnswer) {
    this.#env = env;
    this.#broker = broker;
    this.#answer = answer;
    this.#exchange = answer.exchange;
    this.#envelopes = new EnvelopeReader(answer.encoding, (message) => this.#take(message));
  }

  received(bytes: Uint8Array): void {
    if (this.#answer.isOver) return;
    try {
      this.#envelopes.push(bytes);
    } catch (thrown) {
      this.#fail(thrown);
    }
    this.#throttle();
  }

  ended(): void {
    this.#isEnded = true;
    if (!this.#envelopes.isBetween) {
      this.#fail(new LogError("protocol_violation", "the stream ends within a message"));
    }
    this.#finishIfDone();
  }

  failed(error: LogError): void {
    this.#fail(error);
  }

  end(reason: LogError): void {
    this.#closing = reason;
    this.#finishIfDone();
  }

  /** Appends nothing more; what is appended already is durable or not, and nobody is told. */
  #fail(thrown: unknown): void {
    this.#held = [];
    this.#answer.fail(thrown);
  }

  #take(message: Uint8Array): void {
    if (this.#answer.isOver || this.#closing !== undefined) return;
    if (this.#isHolding) this.#held.push(message);
    else this.#append(message);
  }

  #append(message: Uint8Array): void {
    const call = readAppend(message, this.#env.clock.wallMs());
    const topic = this.#topicOf(call.topic);
    const pending: Pending = { bytes: message.length, runs: undefined };
    this.#pending.push(pending);
    this.#pendingBytes += message.length;
    const appending = appendRecords(this.#broker, topic, call);
    const mustLook = call.conditions.expectedLastOffset !== undefined;
    if (mustLook) this.#isHolding = true;
    appending.then(
      (runs) => this.#appended(pending, runs, mustLook),
      (error: unknown) => this.#fail(error),
    );
  }

  #appended(pending: Pending, runs: readonly AppendedRun[], hasLooked: boolean): void {
    pending.runs = runs;
    if (hasLooked) this.#release();
    this.#flushSoon();
  }

  #topicOf(name: string): OpenTopic {
    if (name !== "" && name !== this.#topicName) {
      this.#topic = topicOf(this.#broker, name);
      this.#topicName = name;
    }
    if (this.#topic !== undefined) return this.#topic;
    throw new LogError("invalid_argument", "the first message of the stream names no topic");
  }

  /** Goes on behind a message that had to look at the log. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    this.#isHolding = false;
    try {
      for (const message of held) this.#take(message);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** What became durable together is acknowledged together. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    void Promise.resolve().then(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDue = false;
    const pending = this.#pending;
    const runs: AppendedRun[] = [];
    let count = 0;
    for (; count < pending.length; count++) {
      const head = pending[count];
      if (head?.runs === undefined) break;
      this.#pendingBytes -= head.bytes;
      for (const run of head.runs) addRun(runs, run);
    }
    pending.splice(0, count);
    if (runs.length > 0) {
      const hasRoom = this.#answer.send(writeRuns(runs, this.#answer.headBytes));
      // A client that sends and does not read is not read either.
      if (!hasRoom) void this.#exchange.drained().then(() => this.#throttle());
    }
    this.#throttle();
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#pending.length > 0) return;
    if (this.#closing !== undefined) this.#answer.fail(this.#closing);
    else if (this.#isEnded && this.#held.length === 0) this.#answer.end();
  }

  #throttle(): void {
    const isFull =
      this.#pendingBytes >= rpcLimits.unacknowledgedBytesMax ||
      this.#exchange.unsentBytes >= rpcLimits.unsentBytesMax ||
      this.#isHolding;
    if (isFull === this.#isPaused) return;
    this.#isPaused = isFull;
    if (isFull) this.#exchange.pause();
    else this.#exchange.resume();
  }
}
