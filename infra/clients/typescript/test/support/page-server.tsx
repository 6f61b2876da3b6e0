/** Serves the test page, rendered on the server, on the same origin as a proxy to the local stack. */

import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { renderToString } from "react-dom/server";

import type { Balance } from "../../src/index.js";
import type { CreditsSource } from "../../src/react/index.js";
import { App, type PageData } from "../browser/app.js";

/** A source that never answers: on the server nothing is read. */
const SILENT: CreditsSource = {
  balance: () => new Promise(() => undefined),
  timeline: () => new Promise(() => undefined),
};

export class PageServer {
  /** Requests to the API are rejected with this HTTP status, if set. */
  failure: number | undefined;
  readonly #server: Server;
  readonly #initial = new Map<string, Balance>();

  private constructor(script: string, target: string) {
    this.#server = createServer(async (request, response) => {
      const url = new URL(request.url!, "http://page");
      if (url.pathname === "/page.js") return void response.setHeader("content-type", "text/javascript").end(script);
      if (url.pathname === "/") {
        return void response.setHeader("content-type", "text/html").end(this.#page(url.searchParams.get("user")!));
      }
      if (this.failure) return void response.writeHead(this.failure).end();
      const answer = await fetch(target + request.url!);
      return void response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
    });
  }

  static async start(target: string): Promise<PageServer> {
    const page = fileURLToPath(new URL("../browser/page.tsx", import.meta.url));
    const { outputFiles } = await build({
      entryPoints: [page],
      bundle: true,
      format: "esm",
      jsx: "automatic",
      write: false,
      define: { "process.env.NODE_ENV": '"development"' },
    });
    const server = new PageServer(outputFiles[0]!.text, target);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** Address of a user's page, with or without a balance that the server has read. */
  pageOf(user: string, initial?: Balance): string {
    if (initial) this.#initial.set(user, initial);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/?user=${user}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #page(user: string): string {
    const data: PageData = { user, initialBalance: this.#initial.get(user) };
    const markup = renderToString(<App source={SILENT} initialBalance={data.initialBalance} />);
    return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>My credits</title><link rel="icon" href="data:,"></head><body>
      <div id="root">${markup}</div>
      <script>window.data = ${JSON.stringify(data)}</script><script type="module" src="/page.js"></script></body></html>`;
  }
}
