// "Requests": every request with its response, newest first.

import { curl } from "./api.js";
import { el } from "./dom.js";
import { number } from "./format.js";

/** @typedef {import("./api.js").Exchange} Exchange */

/** Maximum number of rows, for the console's own reads and for all other requests. */
const ROWS_MAX = 200;
/** Maximum number of characters shown of a body. */
const TEXT_MAX = 20_000;

/**
 * Lists the requests of an API from now on.
 *
 * @param {HTMLElement} list
 * @param {import("./api.js").Api} api
 */
export function showRequests(list, api) {
  /** @type {Map<number, HTMLElement>} */
  const appRows = new Map();
  /** @type {Map<number, HTMLElement>} */
  const ownRows = new Map();
  api.addEventListener("exchange", (event) => {
    const exchange = /** @type {CustomEvent<Exchange>} */ (event).detail;
    const rows = exchange.isOwn ? ownRows : appRows;
    const element = row(exchange, api);
    const existing = rows.get(exchange.id);
    if (existing) existing.replaceWith(element);
    else list.prepend(element);
    rows.set(exchange.id, element);
    for (const [id, oldest] of rows) {
      if (rows.size <= ROWS_MAX) break;
      oldest.remove();
      rows.delete(id);
    }
  });
}

/**
 * @param {Exchange} exchange
 * @param {import("./api.js").Api} api
 */
function row(exchange, api) {
  const { method, path, status, millis, isOwn } = exchange;
  const hasEnded = millis !== undefined;
  const kind = !hasEnded ? "pending" : status >= 200 && status < 300 ? "good" : "bad";
  const details = el("details", {},
    el("summary", {},
      el("span", { class: "method" }, method), " ",
      el("span", { class: "path" }, path), " ",
      el("span", { class: `status ${kind}` }, hasEnded ? status || "no response" : "…"), " ",
      el("span", { class: "cost" }, hasEnded ? `${millis.toFixed(1)} ms${costText(exchange)}` : "")));
  details.ontoggle = () => {
    if (details.open && details.childElementCount === 1) details.append(exchangeDetails(exchange, api));
  };
  return el("li", { class: isOwn ? "own" : undefined }, details);
}

/**
 * Cost in DynamoDB: round trips, and read and write request units.
 * @param {Exchange} exchange
 */
export function costText({ cost: { round_trips, read_units, write_units } }) {
  if (round_trips === undefined) return "";
  const trips = ` · ${round_trips} round trip${round_trips === "1" ? "" : "s"}`;
  const reads = read_units && read_units !== "0" ? ` · ${read_units} RRU` : "";
  const writes = write_units && write_units !== "0" ? ` · ${write_units} WRU` : "";
  return trips + reads + writes;
}

/**
 * @param {Exchange} exchange
 * @param {import("./api.js").Api} api
 */
function exchangeDetails(exchange, api) {
  const { body, response } = exchange;
  const command = curl(exchange, Boolean(api.token));
  const copy = el("button", { type: "button", class: "quiet" }, "Copy as curl");
  copy.onclick = async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy as curl"), 1_500);
  };
  return el("div", { class: "exchange" },
    copy,
    body && el("h4", {}, "Request"),
    body && codeBlock(body),
    el("h4", {}, "Response"),
    codeBlock(response));
}

/** JSON as a code block. @param {unknown} value */
export function codeBlock(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const shortened = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}\n… ${number(text.length - TEXT_MAX)} more characters` : text;
  return el("pre", { tabindex: 0 }, shortened);
}
