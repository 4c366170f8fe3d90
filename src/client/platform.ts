/** What the client takes from its surroundings. */
export interface Platform {
  fetch(url: string, request: RequestInit): Promise<Response>;
  /** Resolves after so many milliseconds, or at once when the signal is aborted. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
  /** Milliseconds that only grow. */
  nowMs(): number;
  /** Of [0, 1). */
  random(): number;
}

/** Any browser, and every runtime that has what browsers have. */
export const webPlatform: Platform = {
  fetch: (url, request) => fetch(url, request),
  delay: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener("abort", end);
    }),
  nowMs: () => performance.now(),
  random: () => Math.random(),
};
