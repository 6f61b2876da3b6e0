// "Table": a user's items as DynamoDB stores them.

import { el } from "./dom.js";
import { codeBlock, costText } from "./requests.js";
import { ApiError } from "./api.js";

/** @typedef {Record<string, any>} Item */
/** @typedef {import("./api.js").Exchange} Exchange */

export class Table {
  /** @type {Item[]} */
  #items = [];
  /** @type {string | null} */
  #next = null;
  /** Sort keys of the expanded items. @type {Set<string>} */
  #open = new Set();
  #showsTypes = false;
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
    const toggle = (/** @type {Event} */ event) => {
      this.#showsTypes = event.target instanceof HTMLInputElement && event.target.checked;
      this.#show();
    };
    api.addEventListener("exchange", (event) => this.#showLastCall(/** @type {CustomEvent<Exchange>} */ (event).detail), { signal });
    root.replaceChildren(
      this.#last,
      el("div", { class: "row" }, this.#cost,
        el("label", { class: "switch" }, el("input", { type: "checkbox", role: "switch", onchange: toggle }), "With types")),
      this.#list, this.#more);
  }

  /** Reads the first page. */
  refresh() {
    return this.#read(null);
  }

  /** Shows the last call that is not the console's own. @param {Exchange} exchange */
  #showLastCall(exchange) {
    if (exchange.isOwn || exchange.millis === undefined) return;
    const { method, path, millis } = exchange;
    this.#last.replaceChildren("Last call: ", el("code", {}, `${method} ${path}`), ` · ${millis.toFixed(1)} ms${costText(exchange)}`);
  }

  /** @param {string | null} after sort key */
  async #read(after) {
    const path = `/console/table/${encodeURIComponent(this.user)}${after === null ? "" : `/${encodeURIComponent(after)}`}`;
    const exchange = await this.api.send("GET", path, undefined, true);
    if (exchange.status !== 200) {
      this.#cost.textContent = ApiError.from(exchange).message;
      return;
    }
    const { items, next } = exchange.response;
    this.#items = after === null ? items : [...this.#items, ...items];
    this.#next = next;
    const count = `${next ? "first " : ""}${this.#items.length} items`;
    this.#cost.textContent = `${count} · a Query of ${exchange.millis?.toFixed(1)} ms${costText(exchange)}`;
    this.#show();
  }

  #show() {
    this.#more.hidden = this.#next === null;
    this.#list.replaceChildren(...this.#items.map((item) => this.#row(item)));
  }

  /** @param {Item} item */
  #row(item) {
    const key = item.sk?.S ?? "";
    const details = el("details", { open: this.#open.has(key) }, el("summary", {}, el("code", {}, key), " ", el("span", { class: "cost" }, itemSummary(item))));
    const fill = () => {
      if (details.open && details.childElementCount === 1) details.append(codeBlock(this.#showsTypes ? item : withoutTypes({ M: item })));
      if (details.open) this.#open.add(key);
      else this.#open.delete(key);
    };
    details.ontoggle = fill;
    if (details.open) fill();
    return el("li", {}, details);
  }
}

/** @param {Item} item */
function itemSummary(item) {
  const { packs, version, credits, trans_type, is_voided, old_rows } = item;
  if (packs || version) return `version ${version?.N}, ${packs?.L.length ?? 0} packs`;
  if (old_rows?.M) return `old rows of ${Object.keys(old_rows.M).length} records`;
  return [trans_type?.S ?? "fence", credits?.N, is_voided?.BOOL && "voided"].filter(Boolean).join(" · ");
}

/**
 * A value without its DynamoDB types.
 *
 * @param {Record<string, any>} value
 * @returns {unknown}
 */
function withoutTypes(value) {
  const [[type, content] = ["", undefined]] = Object.entries(value);
  if (type === "M") return Object.fromEntries(Object.entries(content).map(([name, member]) => [name, withoutTypes(/** @type {any} */ (member))]));
  if (type === "L") return content.map(withoutTypes);
  return type === "N" ? Number(content) : content;
}
