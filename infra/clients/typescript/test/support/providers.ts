/** Providers of images, videos and chats, in the ways in which they succeed and fail. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export type ProviderMode = "succeeds" | "rejects" | "closes the connection" | "never answers";

export interface ReceivedJob {
  path: string;
  body: Record<string, unknown>;
}

/** A provider on a free port. `mode` may change between requests. */
export class Provider {
  mode: ProviderMode = "succeeds";
  readonly jobs: ReceivedJob[] = [];
  readonly #answer: object;
  readonly #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.jobs.push({ path: request.url!, body: JSON.parse(Buffer.concat(chunks).toString()) as ReceivedJob["body"] });
    if (this.mode === "never answers") return;
    if (this.mode === "closes the connection") return void request.socket.destroy();
    response.statusCode = this.mode === "succeeds" ? 200 : 500;
    response.end(JSON.stringify(this.#answer));
  });

  constructor(answer: object) {
    this.#answer = answer;
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A `POST` request with a JSON body. */
export function post(body: object, signal?: AbortSignal): Request {
  return new Request("http://app/", { method: "POST", body: JSON.stringify(body), ...(signal && { signal }) });
}
