/** What the services that Connect's handlers call have in common. */
import type { ItemOutcome } from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import { vouched } from "../../values/index.ts";
import { connectErrorOf } from "./errors.ts";

type Call = (...given: unknown[]) => unknown;

/** The calls of a service, whose failures become errors of the wire with their code of the closed list. */
export function guarded<Calls extends object>(calls: Calls): Calls {
  return new Proxy(calls, {
    get(target, name): unknown {
      const call: unknown = Reflect.get(target, name);
      if (typeof call !== "function") return call;
      // It is a method of the service, which takes what Connect gives it.
      return (...given: unknown[]) => guard(() => vouched<Call>(call).apply(target, given));
    },
  });
}

function guard(run: () => unknown): unknown {
  const answer = attempt(run);
  return isIterable(answer) ? guardEach(answer) : guardOne(answer);
}

function attempt(run: () => unknown): unknown {
  try {
    return run();
  } catch (thrown) {
    throw connectErrorOf(thrown);
  }
}

async function guardOne(answer: unknown): Promise<unknown> {
  try {
    return await answer;
  } catch (thrown) {
    throw connectErrorOf(thrown);
  }
}

async function* guardEach(answers: AsyncIterable<unknown>): AsyncGenerator {
  try {
    yield* answers;
  } catch (thrown) {
    throw connectErrorOf(thrown);
  }
}

function isIterable(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
}

/** @throws LogError of what went wrong with an item, if anything did. */
export function refuseFault(outcome: ItemOutcome | undefined, about?: string): void {
  if (outcome?.errorCode === undefined) return;
  const reason = outcome.errorMessage ?? outcome.errorCode;
  throw new LogError(outcome.errorCode, about === undefined ? reason : `${about}: ${reason}`);
}
