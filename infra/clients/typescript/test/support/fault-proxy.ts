/** An HTTP proxy that loses, doubles, delays and cuts off requests and responses. */

import { Agent, type IncomingMessage, type ServerResponse, createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What happens to a request. */
export const FAULTS = [
  "request lost",
  "response lost",
  "response cut off",
  "request doubled",
  "request delayed",
  "request executed after the client gave up",
  "response replaced by a failure of the gateway",
] as const;

export type Fault = (typeof FAULTS)[number];

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

export class FaultProxy {
  readonly counts = new Map<Fault | "none", number>();
  readonly #target: URL;
  readonly #random: () => number;
  readonly #rate: number;
  readonly #longestDelayMs: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #pending = new Set<Promise<unknown>>();
  readonly #server = createServer((request, response) => void this.#track(this.#serve(request, response)));

  /** `rate` is the share of requests with a fault, each fault as likely as the others. */
  constructor(target: string, random: () => number, rate: number, longestDelayMs: number) {
    this.#target = new URL(target);
    this.#random = random;
    this.#rate = rate;
    this.#longestDelayMs = longestDelayMs;
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until no request is on its way, late ones included. */
  async idle(): Promise<void> {
    while (this.#pending.size) await Promise.allSettled(this.#pending);
  }

  async stop(): Promise<void> {
    await this.idle();
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
  }

  #track(work: Promise<unknown>): Promise<unknown> {
    const tracked = work.catch(() => undefined).finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
    return tracked;
  }

  #draw(): Fault | "none" {
    const fault = this.#random() < this.#rate ? FAULTS[Math.floor(this.#random() * FAULTS.length)]! : "none";
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    return fault;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = this.#draw();
    const delay = this.#random() * this.#longestDelayMs;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const forward = () => this.#forward(request, body);
    switch (fault) {
      case "none":
        return answer(response, await forward());
      case "request lost":
        return void response.destroy();
      case "response lost":
        await forward();
        return void response.destroy();
      case "response cut off": {
        const { status, headers, body } = await forward();
        response.writeHead(status, headers);
        response.write(body.subarray(0, body.length / 2), () => response.destroy());
        return;
      }
      case "request doubled": {
        const both = [forward(), pause(delay).then(forward)];
        answer(response, await Promise.race(both));
        await Promise.all(both);
        return;
      }
      case "request delayed":
        await pause(delay);
        return answer(response, await forward());
      case "request executed after the client gave up":
        response.destroy();
        await pause(delay);
        await forward();
        return;
      case "response replaced by a failure of the gateway":
        await forward();
        response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad Gateway</h1>");
    }
  }

  #forward(request: IncomingMessage, body: Buffer): Promise<Answer> {
    const { hostname, port } = this.#target;
    const headers = { "content-type": "application/json", "content-length": body.length };
    const options = { hostname, port, path: request.url, method: request.method, headers, agent: this.#agent };
    return new Promise((resolve, reject) => {
      const forwarded = send(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
        );
        response.on("error", reject);
      });
      forwarded.on("error", reject);
      forwarded.end(body);
    });
  }
}

function answer(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(body);
}
