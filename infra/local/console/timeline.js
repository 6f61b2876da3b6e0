// A user's records, newest first, as far as one scrolls.
//
// The list is made of pages, each read by its cursor. Records that come later do not move
// the pages behind a cursor, so on a change it is enough to read the first page, and those
// in view; another one is read again when it comes into view.

import { readAllocations, readTimeline, reasons } from "./credits.js";
import { el, settle } from "./dom.js";
import { at, number, onDay, signed, when } from "./format.js";

/**
 * @typedef {import("./credits.js").Entry} Entry
 * @typedef {{ cursor?: string | undefined, next?: string | undefined, entries: Entry[], element: HTMLElement,
 *   rows: Map<string, { json: string, element: HTMLElement }>, isStale: boolean, isInView: boolean }} Sheet
 */

/** How many pages may have come anew before the list is begun again. */
const NEW_PAGES_MAX = 4;

export class Timeline {
  /** @type {Sheet[]} */
  #sheets = [];
  #isWhole = false;
  #queue = Promise.resolve();
  #isRefreshing = false;
  #list = el("div", { role: "list", class: "records" });
  #end = el("p", { class: "end" });
  #coming;
  #inView;

  /**
   * @param {{ get: import("./credits.js").Get, user: string, withVoided: boolean,
   *   read: (entries: Entry[], isWhole: boolean) => void, failed: (problem: unknown) => void }} wishes
   */
  constructor({ get, user, withVoided, read, failed }) {
    this.page = (/** @type {string | undefined} */ cursor) => readTimeline(get, user, { cursor, withVoided });
    this.get = get;
    this.read = read;
    this.failed = failed;
    this.element = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Timeline" }, this.#list, this.#end);
    const root = this.element;
    this.#coming = new IntersectionObserver(
      (seen) => seen.some((entry) => entry.isIntersecting) && this.more(),
      { root, rootMargin: "800px" },
    );
    this.#inView = new IntersectionObserver((seen) => this.#see(seen), { root, rootMargin: "200px" });
  }

  /** All entries that were read. */
  get entries() {
    return this.#sheets.flatMap((sheet) => sheet.entries);
  }

  /** Reads the next page. */
  more() {
    return this.#then(async () => {
      if (this.#isWhole) return;
      const cursor = this.#sheets.at(-1)?.next;
      const { records, cursor: next } = await this.page(cursor);
      this.#show([...this.#sheets, this.#sheet(cursor, next, records)]);
    });
  }

  /** Reads again what may have changed. */
  refresh() {
    if (this.#isRefreshing) return this.#queue;
    this.#isRefreshing = true;
    return this.#then(async () => {
      this.#isRefreshing = false;
      await this.#readHead();
      for (const sheet of this.#sheets.slice(1)) sheet.isStale = true;
      for (const sheet of this.#sheets.filter((sheet) => sheet.isStale && sheet.isInView)) await this.#readAgain(sheet);
    });
  }

  /** Reads nothing any more. */
  close() {
    this.#coming.disconnect();
    this.#inView.disconnect();
    this.#isWhole = true;
    this.read = this.failed = () => {};
  }

  /** One after the other, each on what the one before has left. @param {() => Promise<void>} job */
  #then(job) {
    this.#queue = this.#queue.then(job).then(() => this.read(this.entries, this.#isWhole), this.failed);
    return this.#queue;
  }

  /** All that is newer than the second page. */
  async #readHead() {
    const [first, ...others] = this.#sheets;
    const behind = newest(others);
    /** @type {Sheet[]} */
    const head = [];
    let cursor;
    do {
      const { records, cursor: next } = await this.page(cursor);
      const newer = records.filter((entry) => entry.trans_no > behind);
      const isFirst = head.length === 0;
      if (isFirst || newer.length > 0) head.push(this.#sheet(cursor, next, newer, isFirst ? first : undefined));
      if (newer.length < records.length) return this.#show([...head, ...others]);
      cursor = others.length > 0 ? next : undefined;
    } while (cursor && head.length < NEW_PAGES_MAX);
    this.#show(head);
  }

  /** @param {Sheet} sheet */
  async #readAgain(sheet) {
    const { records } = await this.page(sheet.cursor);
    const index = this.#sheets.indexOf(sheet);
    const behind = newest(this.#sheets.slice(index + 1));
    this.#sheets[index] = this.#sheet(sheet.cursor, sheet.next, records.filter((entry) => entry.trans_no > behind), sheet);
  }

  /** A page, in the place of an old one. @returns {Sheet}
   * @param {string | undefined} cursor @param {string | undefined} next @param {Entry[]} entries @param {Sheet} [old] */
  #sheet(cursor, next, entries, old) {
    const element = old?.element ?? el("div", { role: "presentation", class: "sheet" });
    const rows = new Map();
    for (const entry of entries) {
      const json = JSON.stringify(entry);
      const there = old?.rows.get(entry.trans_no);
      rows.set(entry.trans_no, there?.json === json ? there : { json, element: this.#row(entry) });
    }
    settle(element, [...rows.values()].map((row) => row.element));
    return { cursor, next, entries, element, rows, isStale: false, isInView: old?.isInView ?? false };
  }

  /** @param {Sheet[]} sheets */
  #show(sheets) {
    const before = new Set(this.#sheets.map((sheet) => sheet.element));
    this.#sheets = sheets;
    this.#isWhole = !sheets.at(-1)?.next;
    settle(this.#list, sheets.map((sheet) => sheet.element));
    for (const { element } of sheets) if (!before.has(element)) this.#inView.observe(element);
    this.#end.textContent = !this.#isWhole ? "…" : this.entries.length ? "That is all." : "Nothing yet.";
    // Once more, because what is still in view is not told again.
    this.#coming.unobserve(this.#end);
    if (!this.#isWhole) this.#coming.observe(this.#end);
  }

  /** @param {IntersectionObserverEntry[]} seen */
  #see(seen) {
    for (const { target, isIntersecting } of seen) {
      const sheet = this.#sheets.find((sheet) => sheet.element === target);
      if (sheet) sheet.isInView = isIntersecting;
    }
    if (this.#sheets.some((sheet) => sheet.isStale && sheet.isInView)) {
      this.#then(async () => {
        for (const sheet of this.#sheets.filter((sheet) => sheet.isStale && sheet.isInView)) await this.#readAgain(sheet);
      });
    }
  }

  /** @param {Entry} entry */
  #row(entry) {
    const { trans_type, credits, created_at, is_voided, voided_at, voided_reason, expired_at, order_no, generation_uuid } = entry;
    const name = el("span", { class: "name" }, trans_type.replaceAll("_", " "));
    const amount = el("span", { class: credits > 0 ? "amount in" : "amount" }, signed(credits));
    const more = [order_no, generation_uuid, expired_at && `runs out ${onDay(expired_at)}`].filter(Boolean).join(" · ");
    return el(
      "div",
      { role: "listitem", class: is_voided ? "record voided" : "record", "data-trans-no": entry.trans_no },
      is_voided ? el("s", {}, name, amount) : el("span", { class: "what" }, name, amount),
      el("span", { class: "more" }, el("time", { datetime: created_at, title: at(created_at) }, when(created_at)), more && ` · ${more}`),
      is_voided && el("span", { class: "void" }, `given back ${when(voided_at ?? created_at)}: ${voided_reason}`),
      credits < 0 && generation_uuid && this.#packs(entry, generation_uuid),
    );
  }

  /**
   * Which packs a charge took from, asked for when somebody wants to know.
   *
   * @param {Entry} entry
   * @param {string} generation
   */
  #packs({ trans_no }, generation) {
    const said = el("ul", { class: "reasons" });
    const ask = async () => {
      const allocations = await readAllocations(this.get, generation, trans_no);
      said.replaceChildren(...explained(allocations));
    };
    const opened = (/** @type {Event} */ event) => {
      if (event.target instanceof HTMLDetailsElement && event.target.open && !said.childElementCount) ask().catch(this.failed);
    };
    return el("details", { ontoggle: opened }, el("summary", {}, "which packs"), said);
  }
}

/**
 * The newest record of these pages; all of one may be refunded since.
 *
 * @param {Sheet[]} sheets
 */
const newest = (sheets) => sheets.find((sheet) => sheet.entries.length > 0)?.entries[0]?.trans_no ?? "";

/**
 * @param {import("./credits.js").Allocation[] | undefined} allocations
 * @returns {HTMLElement[]}
 */
export function explained(allocations) {
  if (!allocations) return [el("li", {}, "It is not among the newest hundred charges of its generation.")];
  const why = reasons(allocations, onDay);
  return allocations.map((allocation, index) =>
    el("li", { title: allocation.pack },
      el("b", {}, number(allocation.credits)), " from ", el("code", {}, packName(allocation.order_no, allocation.pack)), `: ${why[index]}`));
}

/**
 * A pack by its order, else by the end of its identity.
 *
 * @param {string | undefined} order
 * @param {string} transNo
 */
export const packName = (order, transNo) => order ?? `…${transNo.slice(-6)}`;
