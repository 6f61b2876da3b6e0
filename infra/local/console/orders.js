// The card of a paid order: what its sources revoke, and a form to revoke. The console reads it
// from an endpoint of its own, because the API has no operation that reads an order.

import { ApiError } from "./api.js";
import { el } from "./dom.js";
import { dateTime, number, timeOrDate } from "./format.js";

/**
 * @typedef {{ source: string, alias: string | null, credits: number, part: number | null, of: number | null,
 *   as_of: string, reason: string }} Source
 * @typedef {{ granted: number, remaining: number, spent: number, revoked: number, paid_by_others: number,
 *   shortfall: number, debt: number, sources: Source[] }} Order
 */

/** The numbers of an order with their meaning. @type {[keyof Order & string, string][]} */
const NUMBERS = [
  ["granted", "credits of the grant"],
  ["remaining", "left in the pack"],
  ["spent", "taken from the pack by charges, or expired"],
  ["revoked", "revoked in total, with shortfall and debt"],
  ["shortfall", "revoked after they were spent, and left to the user"],
  ["debt", "revoked after they were spent, and owed"],
];

/** The cards of one user's orders. A card keeps its state while its row in the timeline changes. */
export class Orders {
  /** @type {Map<string, OrderCard>} */
  #cards = new Map();

  /** @param {import("./api.js").Api} api @param {string} user */
  constructor(api, user) {
    this.api = api;
    this.user = user;
  }

  /** @param {string} orderNo */
  card(orderNo) {
    const card = this.#cards.get(orderNo) ?? new OrderCard(this.api, this.user, orderNo);
    this.#cards.set(orderNo, card);
    return card.element;
  }

  /** Reads the orders whose cards are open. */
  refresh() {
    for (const card of this.#cards.values()) card.refresh();
  }
}

class OrderCard {
  #numbers = el("dl", {});
  #sources = el("ul", { class: "reasons" });
  #message = el("p", { role: "status" });

  /**
   * @param {import("./api.js").Api} api
   * @param {string} user
   * @param {string} orderNo
   */
  constructor(api, user, orderNo) {
    this.api = api;
    this.user = user;
    this.orderNo = orderNo;
    const name = (/** @type {string} */ field) => `${field} of ${orderNo}`;
    this.source = el("input", { value: "refund", required: true, maxlength: 255, "aria-label": name("Source") });
    this.credits = el("input", { type: "number", min: 0, max: 1_000_000_000_000, step: 1, required: true, "aria-label": name("Credits") });
    this.shortfall = el("select", { "aria-label": name("Spent credits") },
      el("option", { value: "keep" }, "keep"), el("option", { value: "debt" }, "debt"));
    const field = (/** @type {string} */ text, /** @type {HTMLElement} */ control) => el("p", {}, el("span", {}, text), control);
    const form = el("form", { "aria-label": name("Revoke") },
      el("div", { class: "fields" }, field("Source", this.source), field("Credits in total", this.credits), field("Spent credits", this.shortfall)),
      el("button", { class: "quiet" }, "Revoke"));
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#revoke();
    };
    this.element = el("details", { class: "order", ontoggle: () => this.refresh() },
      el("summary", {}, "order"), this.#numbers, this.#sources, form, this.#message);
  }

  async refresh() {
    if (!this.element.open) return;
    const path = `/console/orders/${encodeURIComponent(this.user)}/${encodeURIComponent(this.orderNo)}`;
    const exchange = await this.api.send("GET", path, undefined, true);
    if (exchange.status === 200) this.#show(exchange.response);
    else this.#say("bad", ApiError.from(exchange).message);
  }

  /** @param {Order} order */
  #show(order) {
    this.#numbers.replaceChildren(...NUMBERS.map(([name, meaning]) =>
      el("div", { title: meaning, class: name === "debt" && order.debt ? "debt" : undefined, "data-number": name },
        el("dt", {}, name), el("dd", {}, number(Number(order[name]))))));
    const sources = order.sources.map((source) => el("li", {},
      el("b", {}, number(source.credits)), " by ", el("code", {}, source.source),
      source.of && ` (${number(source.part ?? 0)} of ${number(source.of)})`, source.alias && ` under ${source.alias}`,
      " as of ", el("time", { datetime: source.as_of, title: dateTime(source.as_of) }, timeOrDate(source.as_of)), `: ${source.reason}`));
    const others = order.paid_by_others > 0 && el("li", {}, `Other packs paid ${number(order.paid_by_others)} of it.`);
    this.#sources.replaceChildren(...sources, ...(others ? [others] : []));
  }

  async #revoke() {
    try {
      const { outcome, taken, restored, expired, balance } = await this.api.post(`/credits/orders/${encodeURIComponent(this.orderNo)}/revoke`, {
        user_uuid: this.user,
        source: this.source.value,
        credits: Number(this.credits.value),
        as_of: new Date().toISOString(),
        shortfall: this.shortfall.value,
        reason: "revoked in the console",
      });
      const moved = outcome === "revoked" ? `${number(taken)} taken` : `${number(restored)} returned, ${number(expired)} expired`;
      this.#say("good", `${outcome}: ${moved}. The balance is ${number(balance)}.`);
    } catch (error) {
      this.#say("bad", error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {"good" | "bad"} kind @param {string} text */
  #say(kind, text) {
    this.#message.className = kind === "bad" ? "void" : "settled";
    this.#message.textContent = text;
  }
}
