// Reads a user's credits from the API, and computes what a page shows. Has no dependencies:
// copy it into your app.

/**
 * Reads a path of the API. Resolves to the response body, and throws if the API returns an error.
 * @typedef {(path: string) => Promise<any>} Get
 *
 * @typedef {{ trans_no: string, trans_type: string, order_no?: string, credits: number,
 *   remaining: number, expired_at?: string, created_at: string }} Pack
 * @typedef {{ user_uuid: string, balance: number, debt: number, packs: Pack[] }} Balance
 * @typedef {{ trans_no: string, trans_type: string, credits: number, order_no?: string,
 *   generation_uuid?: string, expired_at?: string, created_at: string, is_voided: boolean,
 *   voided_at?: string, voided_reason?: string, estimated?: number, settled_at?: string, outputs?: number,
 *   returned_outputs?: number[], hold_until?: string, late_success_at?: string,
 *   revoked?: number }} Entry
 * @typedef {{ records: Entry[], cursor?: string }} Page
 * @typedef {{ pack: string, order_no?: string, credits: number, expired_at?: string }} Allocation
 * @typedef {{ at: number, balance: number }} Step a balance, and the time from which it applies
 */

/**
 * @param {Get} get
 * @param {string} user
 * @returns {Promise<Balance>}
 */
export function readBalance(get, user) {
  return get(`/credits/${encodeURIComponent(user)}/balance`);
}

/**
 * A page of the timeline, newest first. Pass its `cursor` to read the next page. A page without
 * `cursor` is the last; a short page may not be.
 *
 * @param {Get} get
 * @param {string} user
 * @param {{ cursor?: string | undefined, withVoided?: boolean }} [options]
 * @returns {Promise<Page>}
 */
export function readTimeline(get, user, { cursor, withVoided = false } = {}) {
  const query = new URLSearchParams({ limit: "50" });
  if (withVoided) query.set("include_voided", "true");
  if (cursor) query.set("cursor", cursor);
  return get(`/credits/${encodeURIComponent(user)}/timeline?${query}`);
}

/**
 * The allocations of a charge, in spending order. Undefined if the charge is not among the newest
 * 100 of its generation.
 *
 * @param {Get} get
 * @param {string} generation
 * @param {string} transNo
 * @returns {Promise<Allocation[] | undefined>}
 */
export async function readAllocations(get, generation, transNo) {
  const page = await get(`/generations/${encodeURIComponent(generation)}?limit=100`);
  return page.charges.find((/** @type {Entry} */ charge) => charge.trans_no === transNo)?.allocations;
}

/**
 * The balance after each expiry if nothing is spent.
 *
 * @param {Balance} balance
 * @returns {Step[]}
 */
export function futureSteps({ balance, packs }) {
  /** @type {Step[]} */
  const steps = [];
  let total = balance;
  for (const { remaining, expired_at } of packs) {
    if (!expired_at) break; // packs come in spending order: those without expiry are last
    total -= remaining;
    const at = Date.parse(expired_at);
    if (steps.at(-1)?.at === at) steps.pop();
    steps.push({ at, balance: total });
  }
  return steps;
}

/**
 * The past balance, computed from the newest records of the timeline (newest first) and the
 * current balance less the debt. Skips voided charges, and counts a grant without its revoked
 * credits. What each pack held when it expired follows from the spending order. Omits the expiry of
 * packs that are older than the records.
 *
 * @param {Entry[]} records
 * @param {number} balance
 * @param {number} now
 * @returns {Step[]}
 */
export function pastSteps(records, balance, now) {
  /** @type {{ expiresAt: number, remaining: number }[]} */
  const packs = []; // packs with an expiry, in spending order
  let sum = 0; // of the records so far; below zero if older packs paid
  /** @type {Step[]} */
  const steps = [];
  const expire = (/** @type {number} */ time) => {
    for (let first = packs[0]; first && first.expiresAt <= time; first = packs[0]) {
      sum -= first.remaining;
      steps.push({ at: first.expiresAt, balance: sum });
      packs.shift();
    }
  };
  for (const record of records.filter((record) => !record.is_voided).reverse()) {
    const at = Date.parse(record.created_at);
    if (steps.length === 0) steps.push({ at, balance: 0 });
    expire(at);
    const credits = record.credits - (record.revoked ?? 0);
    if (credits > 0 && record.expired_at) {
      packs.push({ expiresAt: Date.parse(record.expired_at), remaining: credits });
      packs.sort((one, other) => one.expiresAt - other.expiresAt);
    }
    let due = Math.max(0, -credits);
    for (let first = packs[0]; first && due > 0; first = packs[0]) {
      const taken = Math.min(first.remaining, due);
      first.remaining -= taken;
      due -= taken;
      if (first.remaining === 0) packs.shift();
    }
    sum += credits;
    steps.push({ at, balance: sum });
  }
  expire(now);
  const offset = balance - sum;
  return steps.map(({ at, balance }) => ({ at, balance: Math.max(0, balance + offset) }));
}

/**
 * The reason why a charge took credits from each of its packs: earliest expiry first, packs
 * without expiry last, older packs first among equals. A settlement and a repayment of debt take
 * later, from the packs of that time.
 *
 * @param {Allocation[]} allocations
 * @param {(time: string) => string} formatDate
 * @returns {string[]}
 */
export function reasons(allocations, formatDate) {
  return allocations.map(({ expired_at }, index) => {
    const previous = allocations[index - 1];
    if (!previous) return expired_at ? `expires first, ${formatDate(expired_at)}` : "no pack with an expiry had credits";
    if (previous.expired_at === expired_at) return "same expiry, granted later";
    const wasLater = !previous.expired_at || (expired_at && expired_at < previous.expired_at);
    if (wasLater) return "taken later, by a settlement or a repayment";
    return expired_at ? `expires next, ${formatDate(expired_at)}` : "never expires, so it is spent last";
  });
}
