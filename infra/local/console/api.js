// Requests to the API, each of them told to whoever shows them.

/**
 * An error that the API answers, or that there is no answer.
 */
export class Problem extends Error {
  /**
   * @param {number} status 0 where there is no answer
   * @param {string} code
   * @param {string} detail
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** Whether the same request may be answered well, a little later. */
  get mayPass() {
    return this.status === 0 || this.status >= 500;
  }

  /** @param {Exchange} exchange */
  static of({ status, answer }) {
    if (status === 0) return new Problem(0, "no answer", "The local stack does not answer. Does it still run?");
    const { code, detail, message } = answer && typeof answer === "object" ? answer : {};
    if (status === 401) {
      return new Problem(status, code ?? "Unauthorized", "The local stack asks for a token. Give one under “Token”, above.");
    }
    return new Problem(status, code ?? `HTTP ${status}`, detail ?? message ?? "No more is known.");
  }
}

/**
 * A request and its answer.
 * @typedef {{
 *   id: number, method: string, path: string, body?: object | undefined, began: number, isOwn: boolean,
 *   status: number, answer: any, millis?: number, cost: Cost,
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
   * Sends a request; an error is an answer too.
   *
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {boolean} [isOwn] whether the console itself asks, and not who uses it
   * @returns {Promise<Exchange>}
   */
  async send(method, path, body, isOwn = false) {
    /** @type {Exchange} */
    const exchange = { id: ++this.#count, method, path, body, began: Date.now(), isOwn, status: 0, answer: null, cost: {} };
    this.#tell(exchange);
    const began = performance.now();
    try {
      const response = await fetch(path, {
        method,
        headers: body ? { ...this.headers, "content-type": "application/json" } : this.headers,
        body: body ? JSON.stringify(body) : null,
      });
      const text = await response.text();
      exchange.status = response.status;
      exchange.answer = parsed(text);
      exchange.cost = cost(response.headers.get("server-timing") ?? "");
    } catch {
      // No answer: the status says so.
    }
    exchange.millis = performance.now() - began;
    this.#tell(exchange);
    return exchange;
  }

  /**
   * Gets what there is, for the console itself.
   *
   * @param {string} path
   * @returns {Promise<any>}
   */
  async get(path) {
    const exchange = await this.send("GET", path, undefined, true);
    if (exchange.status !== 200) throw Problem.of(exchange);
    return exchange.answer;
  }

  /** @param {Exchange} exchange */
  #tell(exchange) {
    this.dispatchEvent(new CustomEvent("exchange", { detail: exchange }));
  }
}

/** @param {string} text */
function parsed(text) {
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
function cost(timing) {
  return Object.fromEntries([...timing.matchAll(/(\w+);desc="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

/**
 * The same request in a shell. A token is not told: it is `$TOKEN` there.
 *
 * @param {Exchange} exchange
 * @param {boolean} hasToken
 */
export function curl({ method, path, body }, hasToken) {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl -s"];
  if (method !== (body ? "POST" : "GET")) parts.push(`-X ${method}`);
  if (hasToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  parts.push(quoted(location.origin + path));
  if (body) parts.push(`-d ${quoted(JSON.stringify(body))}`);
  return parts.join(" ");
}
