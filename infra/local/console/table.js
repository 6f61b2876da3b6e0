// "Table": a user's items, as DynamoDB has them.

import { el } from "./dom.js";
import { pre, spent } from "./requests.js";
import { Problem } from "./api.js";

/** @typedef {Record<string, any>} Item */
/** @typedef {import("./api.js").Exchange} Exchange */

export class Table {
  /** @type {Item[]} */
  #items = [];
  /** @type {string | null} */
  #next = null;
  /** The sort keys of the items that are open. @type {Set<string>} */
  #open = new Set();
  #isTyped = false;
  #cost = el("p", { class: "caption", role: "status" });
  #last = el("p", { class: "caption" }, "No call yet.");
  #list = el("ul", { class: "items" });
  #more = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.#read(this.#next) }, "More items");

  /**
   * @param {Element} root
   * @param {import("./api.js").Api} api
   * @param {string} user
   * @param {AbortSignal} signal
   */
  constructor(root, api, user, signal) {
    this.api = api;
    this.user = user;
    const flip = (/** @type {Event} */ event) => {
      this.#isTyped = event.target instanceof HTMLInputElement && event.target.checked;
      this.#show();
    };
    api.addEventListener("exchange", (event) => this.#tellCost(/** @type {CustomEvent<Exchange>} */ (event).detail), { signal });
    root.replaceChildren(
      this.#last,
      el("div", { class: "row" }, this.#cost,
        el("label", { class: "switch" }, el("input", { type: "checkbox", role: "switch", onchange: flip }), "With types")),
      this.#list, this.#more);
  }

  /** Reads the first page. */
  refresh() {
    return this.#read(null);
  }

  /** What the last call of the API did, that was not the console's own. @param {Exchange} exchange */
  #tellCost(exchange) {
    if (exchange.isOwn || exchange.millis === undefined) return;
    const { method, path, millis } = exchange;
    this.#last.replaceChildren("Last call: ", el("code", {}, `${method} ${path}`), ` · ${millis.toFixed(1)} ms${spent(exchange)}`);
  }

  /** @param {string | null} behind */
  async #read(behind) {
    const path = `/console/table/${encodeURIComponent(this.user)}${behind === null ? "" : `/${encodeURIComponent(behind)}`}`;
    const exchange = await this.api.send("GET", path, undefined, true);
    if (exchange.status !== 200) {
      this.#cost.textContent = Problem.of(exchange).message;
      return;
    }
    const { items, next } = exchange.answer;
    this.#items = behind === null ? items : [...this.#items, ...items];
    this.#next = next;
    const count = `${this.#items.length}${next ? " first" : ""} items`;
    this.#cost.textContent = `${count} · a Query of ${exchange.millis?.toFixed(1)} ms${spent(exchange)}`;
    this.#show();
  }

  #show() {
    this.#more.hidden = this.#next === null;
    this.#list.replaceChildren(...this.#items.map((item) => this.#row(item)));
  }

  /** @param {Item} item */
  #row(item) {
    const key = item.sk?.S ?? "";
    const details = el("details", { open: this.#open.has(key) }, el("summary", {}, el("code", {}, key), " ", el("span", { class: "cost" }, gist(item))));
    const fill = () => {
      if (details.open && details.childElementCount === 1) details.append(pre(this.#isTyped ? item : plain({ M: item })));
      if (details.open) this.#open.add(key);
      else this.#open.delete(key);
    };
    details.ontoggle = fill;
    if (details.open) fill();
    return el("li", {}, details);
  }
}

/** What an item is about. @param {Item} item */
function gist(item) {
  const { packs, version, credits, trans_type, is_voided, old_rows } = item;
  if (packs || version) return `version ${version?.N}, ${packs?.L.length ?? 0} packs`;
  if (old_rows?.M) return `old rows of ${Object.keys(old_rows.M).length} records`;
  return [trans_type?.S ?? "fence", credits?.N, is_voided?.BOOL && "voided"].filter(Boolean).join(" · ");
}

/**
 * A value without its types. Numbers stay as they are written.
 *
 * @param {Record<string, any>} value
 * @returns {unknown}
 */
function plain(value) {
  const [[type, held] = ["", undefined]] = Object.entries(value);
  if (type === "M") return Object.fromEntries(Object.entries(held).map(([name, of]) => [name, plain(/** @type {any} */ (of))]));
  if (type === "L") return held.map(plain);
  return type === "N" ? Number(held) : held;
}
