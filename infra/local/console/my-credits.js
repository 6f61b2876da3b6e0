// "My credits": what an app shows to its user. All it needs is an element and a way to ask
// the API.

import { draw } from "./chart.js";
import { readBalance, stepsAhead, stepsBehind } from "./credits.js";
import { el, settle } from "./dom.js";
import { ahead, at, counted, number, onDay, signed } from "./format.js";
import { packName, Timeline } from "./timeline.js";

/** @typedef {import("./credits.js").Pack} Pack */

/** How many packs are shown before one asks for all. */
const PACKS_SHOWN = 8;
/** How long a picture waits for more to be drawn, in milliseconds. */
const DRAW_AFTER = 100;
/** The longest that a browser's timer runs. */
const TIMER_MAX = 2 ** 31 - 1;
/** A pack whose end is this near says so. */
const SOON = 7 * 24 * 3_600_000;

export class MyCredits {
  /** @type {import("./credits.js").Balance | undefined} */
  #balance;
  /** Packs that were seen, also those that are empty now: a refund fills them again. @type {Map<string, Pack>} */
  #seen = new Map();
  /** @type {Map<string, PackBar>} */
  #bars = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isClosed = false;
  #isDrawing = false;
  #showsAll = false;
  #now = el("p", { class: "balance", "data-testid": "balance" }, "–");
  #caption = el("p", { class: "caption" });
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #packs = el("ul", { class: "packs" });
  #allPacks = el("button", { class: "quiet", hidden: true, onclick: () => this.#showAll() });
  #chart = el("div", { class: "chart" });
  #box = el("div", {});
  /** @type {Timeline} */
  #timeline;
  #resized = new ResizeObserver(() => this.#drawChart());

  /**
   * @param {Element} root
   * @param {{ get: import("./credits.js").Get, user: string }} who
   */
  constructor(root, { get, user }) {
    this.get = get;
    this.user = user;
    const flip = (/** @type {Event} */ event) => {
      this.#timeline = this.#begin(event.target instanceof HTMLInputElement && event.target.checked);
      this.#timeline.refresh();
    };
    root.replaceChildren(
      this.#problem,
      el("div", { class: "head" }, el("h3", {}, "Balance"), this.#now, this.#caption),
      this.#chart,
      el("h3", {}, "Packs"),
      this.#packs,
      this.#allPacks,
      el("div", { class: "row" },
        el("h3", {}, "Timeline"),
        el("label", { class: "switch" }, el("input", { type: "checkbox", role: "switch", onchange: flip }), "Show refunded charges")),
      this.#box,
    );
    this.#timeline = this.#begin(false);
    this.#resized.observe(this.#chart);
  }

  /** Reads what may have changed. */
  async refresh() {
    await Promise.all([this.#readBalance(), this.#timeline.refresh()]);
  }

  /** Reads nothing any more. */
  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#resized.disconnect();
    this.#timeline.close();
  }

  /** Begins a timeline. @param {boolean} withVoided */
  #begin(withVoided) {
    this.#timeline?.close();
    const failed = (/** @type {unknown} */ problem) => this.#tell(problem);
    const timeline = new Timeline({ get: this.get, user: this.user, withVoided, read: () => this.#drawChart(), failed });
    this.#box.replaceChildren(timeline.element);
    return timeline;
  }

  async #readBalance() {
    try {
      const balance = await readBalance(this.get, this.user);
      if (this.#isClosed) return;
      this.#balance = balance;
      this.#tell();
      this.#show(balance);
      this.#readAgainWhenItRunsOut(balance);
    } catch (problem) {
      this.#tell(problem);
    }
  }

  /**
   * Time changes a balance too, and nobody writes then.
   * @param {import("./credits.js").Balance} balance
   */
  #readAgainWhenItRunsOut(balance) {
    clearTimeout(this.#timer);
    const next = stepsAhead(balance)[0];
    if (!next) return;
    const left = next.at - Date.now() + 50;
    // In the last minute the time that is left is counted down.
    const tick = left < 120_000 ? Math.min(left, 1_000) : left - 119_000;
    this.#timer = setTimeout(
      () => (left > 1_000 && left < 120_000 ? this.#count(balance) : this.refresh()),
      Math.min(Math.max(tick, 50), TIMER_MAX),
    );
  }

  /** @param {import("./credits.js").Balance} balance */
  #count(balance) {
    this.#show(balance);
    this.#readAgainWhenItRunsOut(balance);
  }

  /** @param {import("./credits.js").Balance} balance */
  #show(balance) {
    this.#now.textContent = number(balance.balance);
    const next = balance.packs[0];
    const packs = balance.packs.length ? `credits in ${counted(balance.packs.length, "pack")}` : "credits";
    this.#caption.textContent = next?.expired_at
      ? `${packs} · ${number(next.remaining)} run out ${ahead(Date.parse(next.expired_at) - Date.now())}`
      : packs;
    this.#showPacks(balance.packs);
    this.#drawChart();
  }

  /** @param {Pack[]} packs */
  #showPacks(packs) {
    const there = new Set(packs.map((pack) => pack.trans_no));
    for (const pack of packs) this.#seen.set(pack.trans_no, pack);
    for (const [transNo, pack] of this.#seen) {
      const hasRunOut = pack.expired_at && Date.parse(pack.expired_at) <= Date.now();
      if (there.has(transNo)) continue;
      if (hasRunOut) this.#seen.delete(transNo);
      else this.#seen.set(transNo, { ...pack, remaining: 0 });
    }
    const all = [...this.#seen.values()].sort(inSpendingOrder);
    const shown = this.#showsAll ? all : all.slice(0, PACKS_SHOWN);
    const bars = shown.map((pack) => {
      const bar = this.#bars.get(pack.trans_no) ?? new PackBar(pack);
      this.#bars.set(pack.trans_no, bar);
      bar.show(pack);
      return bar.element;
    });
    for (const transNo of this.#bars.keys()) if (!this.#seen.has(transNo)) this.#bars.delete(transNo);
    settle(this.#packs, bars.length ? bars : [el("li", { class: "none" }, "No packs.")]);
    this.#allPacks.hidden = shown.length === all.length;
    this.#allPacks.textContent = `Show all ${number(all.length)} packs`;
  }

  #showAll() {
    this.#showsAll = true;
    if (this.#balance) this.#showPacks(this.#balance.packs);
  }

  /** Draws soon, and once for much that comes at a time. */
  #drawChart() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    setTimeout(() => {
      this.#isDrawing = false;
      this.#drawNow();
    }, DRAW_AFTER);
  }

  #drawNow() {
    if (!this.#balance || this.#isClosed || this.#chart.clientWidth === 0) return;
    const { balance } = this.#balance;
    const now = Date.now();
    const behind = stepsBehind(this.#timeline.entries, balance, now);
    draw(this.#chart, { behind, ahead: stepsAhead(this.#balance), balance, now });
  }

  /** Says what is wrong, plainly; or that nothing is. @param {unknown} [problem] */
  #tell(problem) {
    this.#problem.hidden = problem === undefined;
    if (problem !== undefined) this.#problem.textContent = problem instanceof Error ? problem.message : String(problem);
  }
}

/**
 * What runs out first is spent first, what never does last, the older of equals before.
 *
 * @param {Pack} one
 * @param {Pack} other
 */
function inSpendingOrder(one, other) {
  const end = (/** @type {Pack} */ pack) => (pack.expired_at ? Date.parse(pack.expired_at) : Infinity);
  return end(one) === end(other) ? (one.trans_no < other.trans_no ? -1 : 1) : end(one) - end(other);
}

/** A pack, and how full it is. */
class PackBar {
  #left = el("span", { class: "left" });
  #end = el("span", { class: "until" });
  #moved = el("span", { class: "moved", "aria-hidden": "true" });
  #bar;
  /** @type {number | undefined} */
  #before;

  /** @param {Pack} pack */
  constructor(pack) {
    const name = packName(pack.order_no, pack.trans_no);
    this.#bar = el("div", { class: "bar", role: "meter", "aria-label": `Credits left of ${name}`, "aria-valuemin": 0, "aria-valuemax": pack.credits, "aria-valuenow": pack.remaining }, el("div", {}));
    this.element = el("li", { class: "pack", "data-pack": pack.trans_no },
      el("span", { class: "label", title: pack.trans_no }, el("b", {}, name), ` ${pack.trans_type.replaceAll("_", " ")}`),
      this.#moved, this.#left, this.#bar, this.#end);
  }

  /** @param {Pack} pack */
  show({ remaining, credits, expired_at }) {
    const moved = remaining - (this.#before ?? remaining);
    this.#before = remaining;
    this.#left.replaceChildren(el("b", {}, number(remaining)), ` of ${number(credits)}`);
    this.#bar.style.setProperty("--part", String(remaining / credits));
    this.#bar.setAttribute("aria-valuenow", String(remaining));
    this.#bar.setAttribute("aria-valuetext", `${number(remaining)} of ${number(credits)}`);
    const left = expired_at ? Date.parse(expired_at) - Date.now() : Infinity;
    this.#end.textContent = expired_at ? `runs out ${ahead(left)}, ${onDay(expired_at)}` : "never runs out";
    this.#end.title = expired_at ? at(expired_at) : "";
    this.element.classList.toggle("soon", left < SOON && remaining > 0);
    this.element.classList.toggle("empty", remaining === 0);
    if (moved) {
      this.#moved.textContent = signed(moved);
      this.element.classList.remove("filled", "drained");
      void this.element.offsetWidth; // so that the same animation begins again
      this.element.classList.add(moved > 0 ? "filled" : "drained");
    }
  }
}
