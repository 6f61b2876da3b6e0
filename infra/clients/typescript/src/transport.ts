/** How a request reaches the service. */

import type { Operation } from "./operations.js";

/** Sends one request once. Rejects with a `ScripError`. */
export interface Transport {
  send<Request, Answer>(operation: Operation<Request, Answer>, request: Request, call: TransportCall): Promise<Answer>;
}

/** What belongs to one call besides its request. */
export interface TransportCall {
  signal: AbortSignal;
  /** Headers of HTTP requests, such as a signature. */
  headers?: Record<string, string> | undefined;
}
