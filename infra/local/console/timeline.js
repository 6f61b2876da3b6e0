// A user's records, newest first, with endless scrolling.
//
// The list consists of pages, each read by its cursor. New records do not shift the pages behind a
// cursor. So a change reloads the first page and the visible pages; others are reloaded when they
// become visible.

import { readAllocations, readTimeline, reasons } from "./credits.js";
import { el, updateChildren } from "./dom.js";
import { date, dateTime, number, plural, signed, timeOrDate } from "./format.js";

/**
 * @typedef {import("./credits.js").Entry} Entry
 * @typedef {{ cursor?: string | undefined, next?: string | undefined, entries: Entry[], element: HTMLElement,
 *   rows: Map<string, { json: string, element: HTMLElement }>, isStale: boolean, isVisible: boolean }} LoadedPage
 *
 * Refunds one output of a charge; throws on failure. Only a caller that may write has it.
 * @typedef {(entry: Entry, output: number) => Promise<void>} RefundOutput
 *
 * The details of a paid order, shown in the row of its grant.
 * @typedef {(orderNo: string) => HTMLElement} ShowOrder
 */

/** Maximum number of new pages after a change; with more, the list starts again. */
const NEW_PAGES_MAX = 4;

export class Timeline {
  /** @type {LoadedPage[]} */
  #pages = [];
  #isComplete = false;
  #queue = Promise.resolve();
  #isRefreshing = false;
  #list = el("div", { role: "list", class: "records" });
  #end = el("p", { class: "end" });
  #endObserver;
  #pageObserver;

  /**
   * @param {{ get: import("./credits.js").Get, user: string, withVoided: boolean, onRead: () => void,
   *   onError: (error: unknown) => void, refundOutput?: RefundOutput | undefined,
   *   showOrder?: ShowOrder | undefined }} options
   */
  constructor({ get, user, withVoided, onRead, onError, refundOutput, showOrder }) {
    this.readPage = (/** @type {string | undefined} */ cursor) => readTimeline(get, user, { cursor, withVoided });
    this.get = get;
    this.onRead = onRead;
    this.onError = onError;
    this.refundOutput = refundOutput;
    this.showOrder = showOrder;
    this.element = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Timeline" }, this.#list, this.#end);
    const root = this.element;
    this.#endObserver = new IntersectionObserver(
      (changes) => changes.some((change) => change.isIntersecting) && this.readNextPage(),
      { root, rootMargin: "800px" },
    );
    this.#pageObserver = new IntersectionObserver((changes) => this.#updateVisibility(changes), { root, rootMargin: "200px" });
  }

  /** All entries read so far, newest first. */
  get entries() {
    return this.#pages.flatMap((page) => page.entries);
  }

  readNextPage() {
    return this.#enqueue(async () => {
      if (this.#isComplete) return;
      const cursor = this.#pages.at(-1)?.next;
      const { records, cursor: next } = await this.readPage(cursor);
      this.#show([...this.#pages, this.#buildPage(cursor, next, records)]);
    });
  }

  /** Reloads the first page and the visible pages. */
  refresh() {
    if (this.#isRefreshing) return this.#queue;
    this.#isRefreshing = true;
    return this.#enqueue(async () => {
      this.#isRefreshing = false;
      await this.#reloadHead();
      for (const page of this.#pages.slice(1)) page.isStale = true;
      for (const page of this.#pages.filter((page) => page.isStale && page.isVisible)) await this.#reload(page);
    });
  }

  /** Stops all reads and callbacks. */
  close() {
    this.#endObserver.disconnect();
    this.#pageObserver.disconnect();
    this.#isComplete = true;
    this.onRead = this.onError = () => {};
  }

  /** Runs jobs one at a time. @param {() => Promise<void>} job */
  #enqueue(job) {
    this.#queue = this.#queue.then(job).then(() => this.onRead(), this.onError);
    return this.#queue;
  }

  /** Reloads everything that is newer than the second page. */
  async #reloadHead() {
    const [first, ...others] = this.#pages;
    const newestOther = newest(others);
    /** @type {LoadedPage[]} */
    const head = [];
    let cursor;
    do {
      const { records, cursor: next } = await this.readPage(cursor);
      const newer = records.filter((entry) => entry.trans_no > newestOther);
      const isFirst = head.length === 0;
      if (isFirst || newer.length > 0) head.push(this.#buildPage(cursor, next, newer, isFirst ? first : undefined));
      if (newer.length < records.length) return this.#show([...head, ...others]);
      cursor = others.length > 0 ? next : undefined;
    } while (cursor && head.length < NEW_PAGES_MAX);
    this.#show(head);
  }

  /** @param {LoadedPage} page */
  async #reload(page) {
    const { records } = await this.readPage(page.cursor);
    const index = this.#pages.indexOf(page);
    const newestBelow = newest(this.#pages.slice(index + 1));
    this.#pages[index] = this.#buildPage(page.cursor, page.next, records.filter((entry) => entry.trans_no > newestBelow), page);
  }

  /** Creates a page, or updates the elements of an old one. @returns {LoadedPage}
   * @param {string | undefined} cursor @param {string | undefined} next @param {Entry[]} entries @param {LoadedPage} [old] */
  #buildPage(cursor, next, entries, old) {
    const element = old?.element ?? el("div", { role: "presentation", class: "page" });
    const rows = new Map();
    for (const entry of entries) {
      const json = JSON.stringify(entry);
      const existing = old?.rows.get(entry.trans_no);
      rows.set(entry.trans_no, existing?.json === json ? existing : { json, element: this.#row(entry) });
    }
    updateChildren(element, [...rows.values()].map((row) => row.element));
    return { cursor, next, entries, element, rows, isStale: false, isVisible: old?.isVisible ?? false };
  }

  /** @param {LoadedPage[]} pages */
  #show(pages) {
    const before = new Set(this.#pages.map((page) => page.element));
    this.#pages = pages;
    this.#isComplete = !pages.at(-1)?.next;
    updateChildren(this.#list, pages.map((page) => page.element));
    for (const { element } of pages) if (!before.has(element)) this.#pageObserver.observe(element);
    this.#end.textContent = !this.#isComplete ? "…" : this.entries.length ? "No more records." : "No records.";
    // An observer reports an element once while it stays visible, so observe it again.
    this.#endObserver.unobserve(this.#end);
    if (!this.#isComplete) this.#endObserver.observe(this.#end);
  }

  /** @param {IntersectionObserverEntry[]} changes */
  #updateVisibility(changes) {
    for (const { target, isIntersecting } of changes) {
      const page = this.#pages.find((page) => page.element === target);
      if (page) page.isVisible = isIntersecting;
    }
    if (this.#pages.some((page) => page.isStale && page.isVisible)) {
      this.#enqueue(async () => {
        for (const page of this.#pages.filter((page) => page.isStale && page.isVisible)) await this.#reload(page);
      });
    }
  }

  /** @param {Entry} entry */
  #row(entry) {
    const { trans_type, credits, created_at, is_voided, expired_at, order_no, generation_uuid } = entry;
    const name = el("span", { class: "name" }, trans_type.replaceAll("_", " "));
    const amount = el("span", { class: credits > 0 ? "amount in" : "amount" }, signed(credits));
    const more = [order_no, generation_uuid, expired_at && `expires ${date(expired_at)}`].filter(Boolean).join(" · ");
    return el(
      "div",
      { role: "listitem", class: is_voided ? "record voided" : "record", "data-trans-no": entry.trans_no },
      is_voided ? el("s", {}, name, amount) : el("span", { class: "title" }, name, amount),
      el("span", { class: "more" }, el("time", { datetime: created_at, title: dateTime(created_at) }, timeOrDate(created_at)), more && ` · ${more}`),
      ...stateLines(entry),
      !is_voided && this.#outputs(entry),
      credits < 0 && generation_uuid && this.#allocations(entry, generation_uuid),
      trans_type === "order_pay" && order_no && this.showOrder?.(order_no),
    );
  }

  /**
   * The outputs of a charge, each with its state.
   *
   * @param {Entry} entry
   */
  #outputs(entry) {
    const { outputs, returned_outputs: returned = [] } = entry;
    if (!outputs) return null;
    const items = Array.from({ length: outputs }, (_, index) => {
      const output = index + 1;
      const name = el("span", {}, `output ${number(output)}`);
      return el("li", {}, name, returned.includes(output) ? el("span", { class: "void" }, "refunded") : this.#refundButton(entry, output));
    });
    return el("details", { open: returned.length > 0 }, el("summary", {}, plural(outputs, "output")), el("ul", { class: "outputs" }, ...items));
  }

  /** @param {Entry} entry @param {number} output */
  #refundButton(entry, output) {
    const refundOutput = this.refundOutput;
    if (!refundOutput) return null;
    const button = el("button", { class: "quiet", "aria-label": `Refund this one: output ${output}` }, "Refund this one");
    button.onclick = async () => {
      button.disabled = true;
      await refundOutput(entry, output).catch(this.onError);
      button.disabled = false;
    };
    return button;
  }

  /**
   * The packs that paid a charge, read when the user opens the list.
   *
   * @param {Entry} entry
   * @param {string} generation
   */
  #allocations({ trans_no }, generation) {
    const list = el("ul", { class: "reasons" });
    const load = async () => {
      const allocations = await readAllocations(this.get, generation, trans_no);
      list.replaceChildren(...allocationItems(allocations));
    };
    const onToggle = (/** @type {Event} */ event) => {
      if (event.target instanceof HTMLDetailsElement && event.target.open && !list.childElementCount) load().catch(this.onError);
    };
    return el("details", { ontoggle: onToggle }, el("summary", {}, "packs used"), list);
  }
}

/**
 * What happened to a record after its creation, and when its hold ends.
 *
 * @param {Entry} entry
 */
function stateLines({ is_voided, voided_at, voided_reason, estimated, settled_at, hold_until, late_success_at, revoked }) {
  const isHeld = hold_until && !settled_at && !is_voided && Date.parse(hold_until) > Date.now();
  return [
    isHeld && el("span", { class: "held" }, "held until ", el("time", { datetime: hold_until, title: dateTime(hold_until) }, timeOrDate(hold_until))),
    settled_at && el("span", { class: "settled" }, `estimated ${number(estimated ?? 0)}, settled ${timeOrDate(settled_at)}`),
    is_voided && el("span", { class: "void" }, `refunded ${timeOrDate(voided_at ?? "")}: ${voided_reason}`),
    revoked && el("span", { class: "void" }, `revoked ${number(revoked)}`),
    late_success_at && el("span", { class: "void" }, `succeeded after the refund, ${timeOrDate(late_success_at)}`),
  ];
}

/**
 * The newest record of some pages. A page may be empty, because all its charges were refunded.
 *
 * @param {LoadedPage[]} pages
 */
const newest = (pages) => pages.find((page) => page.entries.length > 0)?.entries[0]?.trans_no ?? "";

/**
 * @param {import("./credits.js").Allocation[] | undefined} allocations
 * @returns {HTMLElement[]}
 */
export function allocationItems(allocations) {
  if (!allocations) return [el("li", {}, "The charge is not among the newest 100 of its generation.")];
  const texts = reasons(allocations, date);
  return allocations.map((allocation, index) =>
    el("li", { title: allocation.pack },
      el("b", {}, number(allocation.credits)), " from ", el("code", {}, packName(allocation.order_no, allocation.pack)), `: ${texts[index]}`));
}

/**
 * Names a pack by its order, or without one by the end of its `trans_no`.
 *
 * @param {string | undefined} order
 * @param {string} transNo
 */
export const packName = (order, transNo) => order ?? `…${transNo.slice(-6)}`;
