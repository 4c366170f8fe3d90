// What a program in a browser tells whoever has opened its page.

type Step = () => Promise<void>;

/** Where the server of the test is. */
export const serverUrl: string = new URL(import.meta.url).searchParams.get("server") ?? "nowhere";

/** Runs the steps one after another; a failure is told and does not end the others. */
export async function run(steps: Readonly<Record<string, Step>>): Promise<void> {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      await tell(`ok ${name}`);
    } catch (error) {
      const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      await tell(`FAILED ${name}: ${why}`);
    }
  }
  await tell("end");
}

/** Has the server killed and started again; resolves when it serves. */
export async function restartServer(): Promise<void> {
  await fetch("/restart", { method: "POST" });
}

export function equal(actual: unknown, expected: unknown): void {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${one} is not ${other}`);
}

async function tell(line: string): Promise<void> {
  await fetch("/told", { method: "POST", body: line });
}
