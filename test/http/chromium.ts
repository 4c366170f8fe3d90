// A page in real Chromium that runs one program against one server, of another origin.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { bundle } from "../client/bundle.ts";
import { startServer, type TestServer } from "../servers.ts";
import { installed } from "./program.ts";

const pageMsMax = 120_000;

/** Runs the program in `entry`, says each step that it tells of, and gives how many failed. */
export async function runInChromium(entry: string): Promise<number> {
  const { code } = await bundle(entry);
  const page = new Page(code);
  const origin = await page.listen();
  try {
    await using server = await startServer({ args: ["--http.cors-origin", origin] });
    page.server = server;
    await using browser = await openBrowser(origin);
    const told = await Promise.race([page.ended, browser.ended, late()]);
    if (told === undefined) return page.failures;
    throw new Error(`${told}; the page had told: ${page.lines.join("; ")}`);
  } finally {
    page.close();
  }
}

/** Serves the program, and listens to what it tells. */
class Page {
  readonly lines: string[] = [];
  failures = 0;
  server: TestServer | undefined;
  readonly ended: Promise<undefined>;
  readonly #code: string;
  readonly #end: (nothing: undefined) => void;
  readonly #http = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });

  constructor(code: string) {
    this.#code = code;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.ended = promise;
    this.#end = resolve;
  }

  async listen(): Promise<string> {
    this.#http.listen(0, "127.0.0.1");
    await once(this.#http, "listening");
    const address = this.#http.address();
    if (address === null || typeof address === "string") throw new Error("no port to listen on");
    return `http://127.0.0.1:${address.port}`;
  }

  close(): void {
    this.#http.closeAllConnections();
    this.#http.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://page");
    if (pathname === "/") {
      response.setHeader("content-type", "text/html");
      const source = `/program.js?server=${this.server?.httpUrl}`;
      response.end(`<!doctype html><script type="module" src="${source}"></script>`);
    } else if (pathname === "/program.js") {
      response.setHeader("content-type", "text/javascript");
      response.end(this.#code);
    } else if (pathname === "/restart") {
      await this.server?.kill("SIGKILL");
      this.server?.launch();
      await this.server?.ready();
      response.end();
    } else if (pathname === "/told") {
      this.#told(await textOf(request));
      response.end();
    } else {
      response.statusCode = 404;
      response.end();
    }
  }

  #told(line: string): void {
    if (line === "end") {
      this.#end(undefined);
      return;
    }
    this.lines.push(line);
    if (!line.startsWith("ok ")) this.failures++;
    process.stdout.write(`${line}\n`);
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  return text;
}

interface Browser extends AsyncDisposable {
  /** How it ended, if it does of itself. */
  readonly ended: Promise<string>;
}

async function openBrowser(url: string): Promise<Browser> {
  installed("chromium");
  const profile = await mkdtemp(join(tmpdir(), "cordwood-chromium-"));
  const child = spawn("chromium", [...flags, `--user-data-dir=${profile}`, url], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr
    .setEncoding("utf8")
    .on("data", (text: string) => (said = (said + text).slice(-4096)));
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`Chromium did not start: ${error.message}`));
    child.once("close", () => resolve(`Chromium ended: ${said}`));
  });
  return {
    ended,
    async [Symbol.asyncDispose]() {
      endGroup(child);
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** It has many processes, all of one group. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It has ended already.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function late(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  setTimeout(resolve, pageMsMax, `the page told nothing for ${pageMsMax} ms`).unref();
  return promise;
}
