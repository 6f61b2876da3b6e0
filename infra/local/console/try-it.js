// "Try it": the console acts as an app, and logs each step and its outcome.

import { ApiError } from "./api.js";
import { byId, el } from "./dom.js";
import { number, plural } from "./format.js";
import { allocationItems } from "./timeline.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").Exchange} Exchange */

const DAY = 24 * 3_600_000;
const RACING_CHARGES = 20;
const HOLD_SECONDS = 60;
/** Maximum attempts of a refund, one each second. */
const REFUND_ATTEMPTS_MAX = 60;

/** @type {Record<string, number>} */
const LIFETIMES = { seconds: 20_000, hour: 3_600_000, week: 7 * DAY, month: 30 * DAY, months: 60 * DAY };

/** @param {string} prefix */
export const randomName = (prefix) => `${prefix}-${crypto.randomUUID().slice(0, 8)}`;

/** Maximum number of scenarios shown. */
const SCENARIOS_MAX = 3;

/**
 * Connects forms and buttons to the current user.
 *
 * @param {Api} api
 * @param {() => string} user
 */
export function connectForms(api, user) {
  const start = (/** @type {string} */ title, /** @type {(scenario: Scenario) => Promise<void>} */ run) => {
    const scenario = new Scenario(api, user(), title);
    const list = byId("scenarios", HTMLElement);
    list.prepend(scenario.element);
    while (list.childElementCount > SCENARIOS_MAX) list.lastElementChild?.remove();
    run(scenario).catch((error) => scenario.fail(error));
  };
  const onSubmit = (/** @type {string} */ id, /** @type {() => void} */ action) => {
    byId(id, HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      action();
    };
  };
  onSubmit("grant", () => start("A grant", (scenario) => scenario.grant()));
  onSubmit("generation", () => start("A generation", (scenario) => scenario.generate()));
  byId("three-packs", HTMLButtonElement).onclick = () => start("Three packs", (scenario) => scenario.threePacks());
  byId("double-refund", HTMLButtonElement).onclick = () => start("Double-click refund", (scenario) => scenario.refundTwice());
  byId("settle", HTMLButtonElement).onclick = () => start("Estimate and settle", (scenario) => scenario.settle());
  byId("images", HTMLButtonElement).onclick = () => start("Four images", (scenario) => scenario.images());
  byId("dispute", HTMLButtonElement).onclick = () => start("Refunded and disputed order", (scenario) => scenario.dispute());
  byId("race", HTMLButtonElement).onclick = () => start("Race twenty charges", (scenario) => scenario.race());
}

/** Removes all scenarios, because another user is opened. */
export function clearScenarios() {
  byId("scenarios", HTMLElement).replaceChildren();
}

/** A sequence of requests for one user, with a log of its steps. */
class Scenario {
  #lines = el("ol", {});

  /**
   * @param {Api} api
   * @param {string} user
   * @param {string} title
   */
  constructor(api, user, title) {
    this.api = api;
    this.user = user;
    this.element = el("section", { class: "scenario", "aria-label": title }, el("h3", {}, title), this.#lines);
  }

  /** Logs an error. @param {unknown} error */
  fail(error) {
    const { code, status } = error instanceof ApiError ? error : { code: "console error", status: 0 };
    const message = error instanceof Error ? error.message : String(error);
    this.#log("bad", el("b", {}, status ? `${status} ${code}` : code), `: ${message}`);
  }

  /**
   * Appends a line to the log.
   *
   * @param {"good" | "bad" | "plain"} kind
   * @param {...import("./dom.js").Child} content
   */
  #log(kind, ...content) {
    const line = el("div", { role: kind === "bad" ? "alert" : undefined }, ...content);
    this.#lines.append(el("li", { class: kind }, line));
    return line;
  }

  async grant() {
    const kind = fieldText("grant-type");
    const lifetime = LIFETIMES[fieldText("grant-lifetime")];
    await this.#grantPack(kind, fieldNumber("grant-credits"), kind === "order_pay" ? randomName("order") : undefined, lifetime);
  }

  async threePacks() {
    await this.#grantPack("order_pay", 5, randomName("order"), 30 * DAY);
    await this.#grantPack("order_pay", 10, randomName("order"), 60 * DAY);
    await this.#grantPack("system_add", 3, undefined, undefined);
  }

  /**
   * @param {string} kind
   * @param {number} credits
   * @param {string | undefined} order
   * @param {number | undefined} lifetime
   */
  async #grantPack(kind, credits, order, lifetime) {
    const granted = await this.api.post("/credits/grant", {
      user_uuid: this.user,
      trans_type: kind,
      credits,
      order_no: order,
      expired_at: lifetime && new Date(Date.now() + lifetime).toISOString(),
      idempotency_key: kind === "system_add" ? randomName("gift") : undefined,
    });
    const verb = granted.replayed ? "Already granted" : "Granted";
    this.#log("good", `${verb}: `, el("b", {}, number(granted.credits)), `. The balance is ${number(granted.balance)}.`);
  }

  /** @param {number} credits @param {string} generation @param {object} [more] */
  async #charge(credits, generation, more) {
    const charged = await this.api.post("/credits/decrease", {
      user_uuid: this.user,
      trans_type: fieldText("generation-type"),
      credits,
      generation_uuid: generation,
      ...more,
    });
    this.#log("plain", "Charged ", el("b", {}, number(-charged.credits)), `, ${number(charged.balance)} left:`,
      el("ul", { class: "reasons" }, ...allocationItems(charged.allocations)));
  }

  /**
   * Refunds, and retries while a retry may succeed. A refund takes effect once, however often it
   * is sent.
   *
   * @param {string} generation
   * @param {string} reason
   */
  async #refund(generation, reason) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.api.post("/credits/refund", { user_uuid: this.user, generation_uuid: generation, reason });
      } catch (error) {
        if (!(error instanceof ApiError) || !error.isRetryable || attempt === REFUND_ATTEMPTS_MAX) throw error;
        if (attempt === 1) this.#log("bad", el("b", {}, error.code), `: ${error.message} Retrying the refund.`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  async generate() {
    const generation = randomName("gen");
    const outcome = fieldText("outcome");
    await this.#charge(fieldNumber("generation-credits"), generation);
    const seconds = fieldNumber("generation-seconds");
    const progress = this.#log("plain", `The generation runs for ${plural(seconds, "second")} …`, el("div", { class: "work", "--for": `${seconds}s` }));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    progress.querySelector(".work")?.remove();
    if (outcome === "succeeds") {
      this.#log("good", "The generation succeeded. The charge stays.");
      return;
    }
    const reason = outcome === "fails" ? fieldText("reason") : `timed out after ${plural(seconds, "second")}`;
    this.#log("plain", outcome === "fails" ? "The generation failed." : "The generation timed out.");
    this.#logRefund(await this.#refund(generation, reason));
  }

  /** Logs the outcome of a refund. @param {any} refunded */
  #logRefund({ outcome, credits, restored, expired, balance }) {
    const packs = expired ? ` (${number(restored)} of them to usable packs)` : " to the packs that paid";
    if (outcome === "voided") this.#log("good", "Refunded ", el("b", {}, number(credits)), `${packs}. The balance is ${number(balance)}.`);
    else if (outcome === "already_voided") this.#log("plain", "Already refunded. No credits are restored twice.");
    else this.#log("plain", "There was no charge. The refund prevents a later one.");
  }

  async refundTwice() {
    const generation = randomName("gen");
    await this.#charge(fieldNumber("generation-credits"), generation);
    this.#log("plain", "Two refunds at once, as from a double click:");
    const both = await Promise.all([this.#refund(generation, "clicked"), this.#refund(generation, "clicked again")]);
    for (const refunded of both) this.#logRefund(refunded);
  }

  /** Charges the cost as an estimate with a hold, and settles it to half. */
  async settle() {
    const generation_uuid = randomName("gen");
    const estimate = fieldNumber("generation-credits");
    await this.#charge(estimate, generation_uuid, { hold_seconds: HOLD_SECONDS });
    this.#log("plain", `This is an estimate. Without a settlement within ${plural(HOLD_SECONDS, "second")} it is voided.`);
    const settled = await this.api.post("/credits/settle", { user_uuid: this.user, generation_uuid, credits: Math.floor(estimate / 2) });
    this.#log("good", "Settled to ", el("b", {}, number(-settled.credits)),
      `: ${number(settled.returned)} returned. The balance is ${number(settled.balance)}.`);
  }

  /** Charges four images at once, and refunds the third. */
  async images() {
    const generation_uuid = randomName("gen");
    await this.#charge(fieldNumber("generation-credits"), generation_uuid, { outputs: 4 });
    const body = { user_uuid: this.user, generation_uuid, outputs: [3], reason: fieldText("reason") };
    const { credits, balance } = await this.api.post("/credits/refund", body);
    this.#log("good", "Image 3 failed. Refunded ", el("b", {}, number(credits)), `. The balance is ${number(balance)}.`);
  }

  /** Spends 30 of an order of 100. It is refunded in two parts, then disputed, and the dispute is won. */
  async dispute() {
    const order = randomName("order");
    await this.#grantPack("order_pay", 100, order, undefined);
    await this.#charge(30, randomName("gen"));
    await this.#revoke(order, "A fifth of the payment is refunded", { source: "refund", part: 2_000, of: 10_000 });
    await this.#revoke(order, "Half of the payment is refunded", { source: "refund", part: 5_000, of: 10_000 });
    await this.#revoke(order, "The other half is disputed", { source: "dispute:dp_1", part: 5_000, of: 10_000 });
    await this.#revoke(order, "The dispute is won", { source: "dispute:dp_1", credits: 0 });
  }

  /** @param {string} order @param {string} event @param {object} statement */
  async #revoke(order, event, statement) {
    const revoked = await this.api.post(`/credits/orders/${encodeURIComponent(order)}/revoke`, {
      user_uuid: this.user,
      as_of: new Date().toISOString(),
      reason: event,
      ...statement,
    });
    this.#log("good", `${event}: `, el("b", {}, number(revoked.revoked)), ` revoked, ${number(revoked.taken)} taken, `,
      `${number(revoked.restored)} returned, shortfall ${number(revoked.shortfall)}. The balance is ${number(revoked.balance)}.`);
  }

  async race() {
    const credits = fieldNumber("generation-credits");
    const body = { user_uuid: this.user, trans_type: fieldText("generation-type"), credits };
    this.#log("plain", `${RACING_CHARGES} charges of ${number(credits)} at once, each for its own generation:`);
    const requests = Array.from({ length: RACING_CHARGES }, () =>
      this.api.send("POST", "/credits/decrease", { ...body, generation_uuid: randomName("race") }));
    const exchanges = await Promise.all(requests);
    const charged = exchanges.filter(({ status }) => status === 200);
    const rejected = exchanges.filter(({ status }) => status === 402);
    const failed = exchanges.find(({ status }) => status !== 200 && status !== 402);
    if (failed) throw ApiError.from(failed);
    const balance = Math.min(...[...charged, ...rejected].map(({ response }) => response.balance));
    this.#log("good", el("b", {}, charged.length), " succeeded, ", el("b", {}, rejected.length),
      ` rejected with InsufficientCredits. The balance is ${number(balance)}, never below zero.`);
  }
}

/** @param {string} id */
function fieldText(id) {
  const field = document.getElementById(id);
  if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) return field.value;
  throw new Error(`no field ${id}`);
}

/** @param {string} id */
const fieldNumber = (id) => Number(fieldText(id));
