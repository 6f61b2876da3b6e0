// Every request and its answer, the newest first.

import { curl } from "./api.js";
import { el } from "./dom.js";
import { number } from "./format.js";

/** @typedef {import("./api.js").Exchange} Exchange */

/** How many are kept, of what the console reads by itself and of all else. */
const KEPT = 200;
/** The longest answer that is shown whole. */
const SHOWN_MAX = 20_000;

/**
 * Shows what an API is asked from now on.
 *
 * @param {HTMLElement} list
 * @param {import("./api.js").Api} api
 */
export function showRequests(list, api) {
  /** @type {Map<number, HTMLElement>} */
  const asked = new Map();
  /** @type {Map<number, HTMLElement>} */
  const own = new Map();
  api.addEventListener("exchange", (event) => {
    const exchange = /** @type {CustomEvent<Exchange>} */ (event).detail;
    const shown = exchange.isOwn ? own : asked;
    const element = row(exchange, api);
    const there = shown.get(exchange.id);
    if (there) there.replaceWith(element);
    else list.prepend(element);
    shown.set(exchange.id, element);
    for (const [id, oldest] of shown) {
      if (shown.size <= KEPT) break;
      oldest.remove();
      shown.delete(id);
    }
  });
}

/**
 * @param {Exchange} exchange
 * @param {import("./api.js").Api} api
 */
function row(exchange, api) {
  const { method, path, status, millis, isOwn } = exchange;
  const ended = millis !== undefined;
  const kind = !ended ? "pending" : status >= 200 && status < 300 ? "good" : "bad";
  const details = el("details", {},
    el("summary", {},
      el("span", { class: "method" }, method), " ",
      el("span", { class: "path" }, path), " ",
      el("span", { class: `status ${kind}` }, ended ? status || "no answer" : "…"), " ",
      el("span", { class: "cost" }, ended ? `${millis.toFixed(1)} ms${spent(exchange)}` : "")));
  details.ontoggle = () => {
    if (details.open && details.childElementCount === 1) details.append(both(exchange, api));
  };
  return el("li", { class: isOwn ? "own" : undefined }, details);
}

/**
 * What it cost in DynamoDB.
 * @param {Exchange} exchange
 */
export function spent({ cost: { round_trips, read_units, write_units } }) {
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
function both(exchange, api) {
  const { body, answer } = exchange;
  const command = curl(exchange, Boolean(api.token));
  const copy = el("button", { type: "button", class: "quiet" }, "Copy as curl");
  copy.onclick = async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy as curl"), 1_500);
  };
  return el("div", { class: "both" },
    copy,
    body && el("h4", {}, "Request"),
    body && pre(body),
    el("h4", {}, "Answer"),
    pre(answer));
}

/** JSON to be read. @param {unknown} value */
export function pre(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}\n… ${number(text.length - SHOWN_MAX)} characters more` : text;
  return el("pre", { tabindex: 0 }, cut);
}
