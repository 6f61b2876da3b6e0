// Sends requests to the API, and dispatches an event before and after each.

/** An error response of the API, or no response. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there is no response
   * @param {string} code
   * @param {string} detail
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** Whether the same request may succeed later. */
  get isRetryable() {
    return this.status === 0 || this.status >= 500;
  }

  /** @param {Exchange} exchange */
  static from({ status, response }) {
    if (status === 0) return new ApiError(0, "no response", "The local stack does not respond. Check that it is running.");
    const { code, detail, message } = response && typeof response === "object" ? response : {};
    if (status === 401) {
      return new ApiError(status, code ?? "Unauthorized", "The local stack requires a token. Enter one under “Token” above.");
    }
    return new ApiError(status, code ?? `HTTP ${status}`, detail ?? message ?? "The response has no details.");
  }
}

/**
 * A request and its response. `isOwn` marks the console's own reads.
 * @typedef {{
 *   id: number, method: string, path: string, body?: object | undefined, began: number, isOwn: boolean,
 *   status: number, response: any, millis?: number, cost: Cost,
 * }} Exchange
 * @typedef {{ round_trips?: string, read_units?: string, write_units?: string }} Cost
 */

export class Api extends EventTarget {
  token = "";
  #count = 0;

  /** @returns {Record<string, string>} */
  get headers() {
    return this.token ? { authorization: `Bearer ${this.token}` } : {};
  }

  /**
   * Sends a request. Never throws: an error is an exchange too.
   *
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {boolean} [isOwn]
   * @returns {Promise<Exchange>}
   */
  async send(method, path, body, isOwn = false) {
    /** @type {Exchange} */
    const exchange = { id: ++this.#count, method, path, body, began: Date.now(), isOwn, status: 0, response: null, cost: {} };
    this.#emit(exchange);
    const began = performance.now();
    try {
      const response = await fetch(path, {
        method,
        headers: body ? { ...this.headers, "content-type": "application/json" } : this.headers,
        body: body ? JSON.stringify(body) : null,
      });
      const text = await response.text();
      exchange.status = response.status;
      exchange.response = parse(text);
      exchange.cost = parseCost(response.headers.get("server-timing") ?? "");
    } catch {
      // No response: the status stays 0.
    }
    exchange.millis = performance.now() - began;
    this.#emit(exchange);
    return exchange;
  }

  /**
   * Reads for the console itself. Returns the body, or throws an `ApiError`.
   *
   * @param {string} path
   * @returns {Promise<any>}
   */
  async get(path) {
    const exchange = await this.send("GET", path, undefined, true);
    if (exchange.status !== 200) throw ApiError.from(exchange);
    return exchange.response;
  }

  /**
   * Writes. Returns the body, or throws an `ApiError`.
   *
   * @param {string} path
   * @param {object} body
   * @returns {Promise<any>}
   */
  async post(path, body) {
    const exchange = await this.send("POST", path, body);
    if (exchange.status !== 200 && exchange.status !== 201) throw ApiError.from(exchange);
    return exchange.response;
  }

  /** @param {Exchange} exchange */
  #emit(exchange) {
    this.dispatchEvent(new CustomEvent("exchange", { detail: exchange }));
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * @param {string} timing
 * @returns {Cost}
 */
function parseCost(timing) {
  return Object.fromEntries([...timing.matchAll(/(\w+);desc="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

/**
 * The request as a shell command. A token is replaced by `$TOKEN`.
 *
 * @param {Exchange} exchange
 * @param {boolean} hasToken
 */
export function curl({ method, path, body }, hasToken) {
  const quote = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl -s"];
  if (method !== (body ? "POST" : "GET")) parts.push(`-X ${method}`);
  if (hasToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  parts.push(quote(location.origin + path));
  if (body) parts.push(`-d ${quote(JSON.stringify(body))}`);
  return parts.join(" ");
}
