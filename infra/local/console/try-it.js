// "Try it": the console plays an app, and says what it does and what came of it.

import { Problem } from "./api.js";
import { byId, el } from "./dom.js";
import { counted, number } from "./format.js";
import { explained } from "./timeline.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").Exchange} Exchange */

const DAY = 24 * 3_600_000;
const RACERS = 20;
/** How often a refund is sent, once a second, before the app gives up. */
const REFUND_TRIES = 60;

/** @type {Record<string, number>} */
const LIFETIMES = { seconds: 20_000, hour: 3_600_000, week: 7 * DAY, month: 30 * DAY, months: 60 * DAY };

/** A name of so many random letters and digits. @param {string} of */
export const fresh = (of) => `${of}-${crypto.randomUUID().slice(0, 8)}`;

/** How many stories are kept. */
const STORIES = 3;

/**
 * Lets the forms and buttons act on whoever is looked at.
 *
 * @param {Api} api
 * @param {() => string} user
 */
export function listen(api, user) {
  const act = (/** @type {string} */ title, /** @type {(story: Story) => Promise<void>} */ what) => {
    const story = new Story(api, user(), title);
    const all = byId("stories", HTMLElement);
    all.prepend(story.element);
    while (all.childElementCount > STORIES) all.lastElementChild?.remove();
    what(story).catch((problem) => story.fail(problem));
  };
  const submitted = (/** @type {string} */ id, /** @type {() => void} */ then) => {
    byId(id, HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      then();
    };
  };
  submitted("grant", () => act("A grant", (story) => story.grant()));
  submitted("generation", () => act("A generation", (story) => story.generate()));
  byId("three-packs", HTMLButtonElement).onclick = () => act("Three packs", (story) => story.threePacks());
  byId("double-refund", HTMLButtonElement).onclick = () => act("Double-click refund", (story) => story.refundTwice());
  byId("race", HTMLButtonElement).onclick = () => act("Race twenty charges", (story) => story.race());
}

/** Forgets what was told, for another user. */
export function forget() {
  byId("stories", HTMLElement).replaceChildren();
}

/** What happens to one user, line by line. */
class Story {
  #lines = el("ol", {});

  /**
   * @param {Api} api
   * @param {string} user
   * @param {string} title
   */
  constructor(api, user, title) {
    this.api = api;
    this.user = user;
    this.element = el("section", { class: "story", "aria-label": title }, el("h3", {}, title), this.#lines);
  }

  /** Says by which problem it ends. @param {unknown} error */
  fail(error) {
    const { code, status } = error instanceof Problem ? error : { code: "the console failed", status: 0 };
    const message = error instanceof Error ? error.message : String(error);
    this.#say("bad", el("b", {}, status ? `${status} ${code}` : code), `: ${message}`);
  }

  /**
   * A line of what happens.
   *
   * @param {"good" | "bad" | "plain"} kind
   * @param {...import("./dom.js").Child} words
   */
  #say(kind, ...words) {
    const said = el("div", { role: kind === "bad" ? "alert" : undefined }, ...words);
    this.#lines.append(el("li", { class: kind }, said));
    return said;
  }

  /**
   * Sends what must be answered well.
   *
   * @param {string} path
   * @param {object} body
   * @returns {Promise<any>}
   */
  async #send(path, body) {
    const exchange = await this.api.send("POST", path, body);
    if (exchange.status !== 200 && exchange.status !== 201) throw Problem.of(exchange);
    return exchange.answer;
  }

  async grant() {
    const kind = text("grant-type");
    const lifetime = LIFETIMES[text("grant-lifetime")];
    await this.#pack(kind, whole("grant-credits"), kind === "order_pay" ? fresh("order") : undefined, lifetime);
  }

  async threePacks() {
    await this.#pack("order_pay", 5, fresh("order"), 30 * DAY);
    await this.#pack("order_pay", 10, fresh("order"), 60 * DAY);
    await this.#pack("system_add", 3, undefined, undefined);
  }

  /**
   * @param {string} kind
   * @param {number} credits
   * @param {string | undefined} order
   * @param {number | undefined} lifetime
   */
  async #pack(kind, credits, order, lifetime) {
    const granted = await this.#send("/credits/grant", {
      user_uuid: this.user,
      trans_type: kind,
      credits,
      order_no: order,
      expired_at: lifetime && new Date(Date.now() + lifetime).toISOString(),
      idempotency_key: kind === "system_add" ? fresh("gift") : undefined,
    });
    const done = granted.replayed ? "Granted before, so not again" : "Granted";
    this.#say("good", `${done}: `, el("b", {}, number(granted.credits)), `. The balance is ${number(granted.balance)}.`);
  }

  /** @param {number} credits @param {string} generation */
  async #charge(credits, generation) {
    const charged = await this.#send("/credits/decrease", {
      user_uuid: this.user,
      trans_type: text("generation-type"),
      credits,
      generation_uuid: generation,
    });
    this.#say("plain", "Charged ", el("b", {}, number(-charged.credits)), `, ${number(charged.balance)} left:`,
      el("ul", { class: "reasons" }, ...explained(charged.allocations)));
  }

  /**
   * Refunds, and does not give up where the answer says that another try may help: a refund
   * can be sent any number of times.
   *
   * @param {string} generation
   * @param {string} reason
   */
  async #refund(generation, reason) {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#send("/credits/refund", { user_uuid: this.user, generation_uuid: generation, reason });
      } catch (problem) {
        if (!(problem instanceof Problem) || !problem.mayPass || tries === REFUND_TRIES) throw problem;
        if (tries === 1) this.#say("bad", el("b", {}, problem.code), `: ${problem.message} The refund is sent again until it is answered.`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  async generate() {
    const generation = fresh("gen");
    const outcome = text("outcome");
    await this.#charge(whole("generation-credits"), generation);
    const seconds = whole("generation-seconds");
    const working = this.#say("plain", `The generation works, ${counted(seconds, "second")} …`, el("div", { class: "work", "--for": `${seconds}s` }));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    working.querySelector(".work")?.remove();
    if (outcome === "succeeds") {
      this.#say("good", "It succeeded. The charge stays.");
      return;
    }
    const reason = outcome === "fails" ? text("reason") : `no answer within ${counted(seconds, "second")}`;
    this.#say("plain", outcome === "fails" ? "It failed." : "There is no answer: the app waits no longer.");
    this.#given(await this.#refund(generation, reason));
  }

  /** What a refund gave. @param {any} refunded */
  #given({ outcome, credits, restored, expired, balance }) {
    const packs = expired ? `, ${number(restored)} of it to packs that can be spent` : ", each pack what was taken from it";
    if (outcome === "voided") this.#say("good", "Refunded ", el("b", {}, number(credits)), `${packs}. The balance is ${number(balance)}.`);
    else if (outcome === "already_voided") this.#say("plain", "Refunded before: nothing is given back twice.");
    else this.#say("plain", "There was no charge, and now there cannot be one.");
  }

  async refundTwice() {
    const generation = fresh("gen");
    await this.#charge(whole("generation-credits"), generation);
    this.#say("plain", "Two refunds at once, as of a double click:");
    const both = await Promise.all([this.#refund(generation, "clicked"), this.#refund(generation, "clicked again")]);
    for (const refunded of both) this.#given(refunded);
  }

  async race() {
    const credits = whole("generation-credits");
    const body = { user_uuid: this.user, trans_type: text("generation-type"), credits };
    this.#say("plain", `${RACERS} charges of ${number(credits)} at once, each for a generation of its own:`);
    const racers = Array.from({ length: RACERS }, () =>
      this.api.send("POST", "/credits/decrease", { ...body, generation_uuid: fresh("race") }));
    const ended = await Promise.all(racers);
    const charged = ended.filter(({ status }) => status === 200);
    const refused = ended.filter(({ status }) => status === 402);
    const failed = ended.find(({ status }) => status !== 200 && status !== 402);
    if (failed) throw Problem.of(failed);
    const least = Math.min(...charged.map(({ answer }) => answer.balance), ...refused.map(({ answer }) => answer.balance));
    this.#say("good", el("b", {}, charged.length), " went through, ", el("b", {}, refused.length),
      ` refused for want of credits. The balance is ${number(least)}: never less than nothing.`);
  }
}

/** @param {string} id */
function text(id) {
  const field = document.getElementById(id);
  if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) return field.value;
  throw new Error(`no field ${id}`);
}

/** @param {string} id */
const whole = (id) => Number(text(id));
