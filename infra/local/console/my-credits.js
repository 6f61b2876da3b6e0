// "My credits": the page that an app shows to its user. Needs an element and a function that
// reads the API.

import { draw } from "./chart.js";
import { futureSteps, pastSteps, readBalance } from "./credits.js";
import { el, updateChildren } from "./dom.js";
import { date, dateTime, number, plural, signed, timeUntil } from "./format.js";
import { packName, Timeline } from "./timeline.js";

/** @typedef {import("./credits.js").Pack} Pack */

/** Packs shown until the user requests all. */
const PACKS_SHOWN = 8;
/** Delay before the chart is drawn, so that several changes are drawn once; in milliseconds. */
const DRAW_DELAY = 100;
/** Maximum delay of a browser's timer, in milliseconds. */
const TIMER_MAX = 2 ** 31 - 1;
/** Packs that expire within this time are highlighted; in milliseconds. */
const SOON = 7 * 24 * 3_600_000;

export class MyCredits {
  /** @type {import("./credits.js").Balance | undefined} */
  #balance;
  /** Packs shown so far, including empty ones: a refund may refill them. @type {Map<string, Pack>} */
  #shownPacks = new Map();
  /** @type {Map<string, PackBar>} */
  #bars = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isClosed = false;
  #isDrawing = false;
  #showsAllPacks = false;
  #balanceText = el("p", { class: "balance", "data-testid": "balance" }, "–");
  #caption = el("p", { class: "caption" });
  #debt = el("p", { class: "debt", hidden: true });
  #error = el("p", { class: "error", role: "alert", hidden: true });
  #packs = el("ul", { class: "packs" });
  #allPacks = el("button", { class: "quiet", hidden: true, onclick: () => this.#showAllPacks() });
  #chart = el("div", { class: "chart" });
  #timelineFrame = el("div", {});
  /** @type {Timeline} */
  #timeline;
  #resizeObserver = new ResizeObserver(() => this.#drawChart());

  /**
   * @param {Element} root
   * @param {{ get: import("./credits.js").Get, user: string,
   *   refundOutput?: import("./timeline.js").RefundOutput, showOrder?: import("./timeline.js").ShowOrder }} options
   */
  constructor(root, { get, user, refundOutput, showOrder }) {
    this.get = get;
    this.user = user;
    this.refundOutput = refundOutput;
    this.showOrder = showOrder;
    const toggle = (/** @type {Event} */ event) => {
      this.#timeline = this.#openTimeline(event.target instanceof HTMLInputElement && event.target.checked);
      this.#timeline.refresh();
    };
    root.replaceChildren(
      this.#error,
      el("div", { class: "head" }, el("h3", {}, "Balance"), this.#balanceText, this.#debt, this.#caption),
      this.#chart,
      el("h3", {}, "Packs"),
      this.#packs,
      this.#allPacks,
      el("div", { class: "row" },
        el("h3", {}, "Timeline"),
        el("label", { class: "switch" }, el("input", { type: "checkbox", role: "switch", onchange: toggle }), "Show refunded charges")),
      this.#timelineFrame,
    );
    this.#timeline = this.#openTimeline(false);
    this.#resizeObserver.observe(this.#chart);
  }

  async refresh() {
    await Promise.all([this.#readBalance(), this.#timeline.refresh()]);
  }

  /** Stops all timers, observers and updates. */
  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#resizeObserver.disconnect();
    this.#timeline.close();
  }

  /** @param {boolean} withVoided */
  #openTimeline(withVoided) {
    this.#timeline?.close();
    const onError = (/** @type {unknown} */ error) => this.#showError(error);
    const { get, user, refundOutput, showOrder } = this;
    const timeline = new Timeline({ get, user, withVoided, onRead: () => this.#drawChart(), onError, refundOutput, showOrder });
    this.#timelineFrame.replaceChildren(timeline.element);
    return timeline;
  }

  async #readBalance() {
    try {
      const balance = await readBalance(this.get, this.user);
      if (this.#isClosed) return;
      this.#balance = balance;
      this.#showError();
      this.#show(balance);
      this.#refreshAtNextExpiry(balance);
    } catch (error) {
      this.#showError(error);
    }
  }

  /**
   * An expiry changes the balance without a write, so the stream reports no change.
   * @param {import("./credits.js").Balance} balance
   */
  #refreshAtNextExpiry(balance) {
    clearTimeout(this.#timer);
    const next = futureSteps(balance)[0];
    if (!next) return;
    const delay = next.at - Date.now() + 50;
    // In the last two minutes the caption counts down each second.
    const tick = delay < 120_000 ? Math.min(delay, 1_000) : delay - 119_000;
    this.#timer = setTimeout(
      () => (delay > 1_000 && delay < 120_000 ? this.#countDown(balance) : this.refresh()),
      Math.min(Math.max(tick, 50), TIMER_MAX),
    );
  }

  /** @param {import("./credits.js").Balance} balance */
  #countDown(balance) {
    this.#show(balance);
    this.#refreshAtNextExpiry(balance);
  }

  /** @param {import("./credits.js").Balance} balance */
  #show(balance) {
    this.#balanceText.textContent = number(balance.balance);
    const next = balance.packs[0];
    const packs = balance.packs.length ? `credits in ${plural(balance.packs.length, "pack")}` : "credits";
    this.#caption.textContent = next?.expired_at
      ? `${packs} · ${number(next.remaining)} expire ${timeUntil(Date.parse(next.expired_at) - Date.now())}`
      : packs;
    this.#debt.hidden = balance.debt === 0;
    this.#debt.textContent = `Debt: ${number(balance.debt)}. The next credits repay it first.`;
    this.#showPacks(balance.packs);
    this.#drawChart();
  }

  /** @param {Pack[]} packs */
  #showPacks(packs) {
    const current = new Set(packs.map((pack) => pack.trans_no));
    for (const pack of packs) this.#shownPacks.set(pack.trans_no, pack);
    for (const [transNo, pack] of this.#shownPacks) {
      const hasExpired = pack.expired_at && Date.parse(pack.expired_at) <= Date.now();
      if (current.has(transNo)) continue;
      if (hasExpired) this.#shownPacks.delete(transNo);
      else this.#shownPacks.set(transNo, { ...pack, remaining: 0 });
    }
    const all = [...this.#shownPacks.values()].sort(inSpendingOrder);
    const shown = this.#showsAllPacks ? all : all.slice(0, PACKS_SHOWN);
    const bars = shown.map((pack) => {
      const bar = this.#bars.get(pack.trans_no) ?? new PackBar(pack);
      this.#bars.set(pack.trans_no, bar);
      bar.show(pack);
      return bar.element;
    });
    for (const transNo of this.#bars.keys()) if (!this.#shownPacks.has(transNo)) this.#bars.delete(transNo);
    updateChildren(this.#packs, bars.length ? bars : [el("li", { class: "none" }, "No packs.")]);
    this.#allPacks.hidden = shown.length === all.length;
    this.#allPacks.textContent = `Show all ${number(all.length)} packs`;
  }

  #showAllPacks() {
    this.#showsAllPacks = true;
    if (this.#balance) this.#showPacks(this.#balance.packs);
  }

  #drawChart() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    setTimeout(() => {
      this.#isDrawing = false;
      this.#drawNow();
    }, DRAW_DELAY);
  }

  #drawNow() {
    if (!this.#balance || this.#isClosed || this.#chart.clientWidth === 0) return;
    const { balance, debt } = this.#balance;
    const now = Date.now();
    const past = pastSteps(this.#timeline.entries, balance - debt, now);
    draw(this.#chart, { past, future: futureSteps(this.#balance), balance, now });
  }

  /** Shows an error, or hides the last one. @param {unknown} [error] */
  #showError(error) {
    this.#error.hidden = error === undefined;
    if (error !== undefined) this.#error.textContent = error instanceof Error ? error.message : String(error);
  }
}

/**
 * The spending order: earliest expiry first, packs without expiry last, older packs first among
 * equals.
 *
 * @param {Pack} one
 * @param {Pack} other
 */
function inSpendingOrder(one, other) {
  const expiry = (/** @type {Pack} */ pack) => (pack.expired_at ? Date.parse(pack.expired_at) : Infinity);
  return expiry(one) === expiry(other) ? (one.trans_no < other.trans_no ? -1 : 1) : expiry(one) - expiry(other);
}

/** A pack with a bar of its remaining credits. */
class PackBar {
  #remaining = el("span", { class: "remaining" });
  #expiry = el("span", { class: "expiry" });
  #change = el("span", { class: "change", "aria-hidden": "true" });
  #bar;
  /** @type {number | undefined} */
  #previous;

  /** @param {Pack} pack */
  constructor(pack) {
    const name = packName(pack.order_no, pack.trans_no);
    this.#bar = el("div", { class: "bar", role: "meter", "aria-label": `Remaining credits of ${name}`, "aria-valuemin": 0, "aria-valuemax": pack.credits, "aria-valuenow": pack.remaining }, el("div", {}));
    this.element = el("li", { class: "pack", "data-pack": pack.trans_no },
      el("span", { class: "label", title: pack.trans_no }, el("b", {}, name), ` ${pack.trans_type.replaceAll("_", " ")}`),
      this.#change, this.#remaining, this.#bar, this.#expiry);
  }

  /** @param {Pack} pack */
  show({ remaining, credits, expired_at }) {
    const change = remaining - (this.#previous ?? remaining);
    this.#previous = remaining;
    this.#remaining.replaceChildren(el("b", {}, number(remaining)), ` of ${number(credits)}`);
    this.#bar.style.setProperty("--part", String(remaining / credits));
    this.#bar.setAttribute("aria-valuenow", String(remaining));
    this.#bar.setAttribute("aria-valuetext", `${number(remaining)} of ${number(credits)}`);
    const lifetime = expired_at ? Date.parse(expired_at) - Date.now() : Infinity;
    this.#expiry.textContent = expired_at ? `expires ${timeUntil(lifetime)}, ${date(expired_at)}` : "never expires";
    this.#expiry.title = expired_at ? dateTime(expired_at) : "";
    this.element.classList.toggle("soon", lifetime < SOON && remaining > 0);
    this.element.classList.toggle("empty", remaining === 0);
    if (change) {
      this.#change.textContent = signed(change);
      this.element.classList.remove("filled", "drained");
      void this.element.offsetWidth; // a layout restarts the animation
      this.element.classList.add(change > 0 ? "filled" : "drained");
    }
  }
}
