// What an app's page reads of a user's credits, and what it makes of it. It knows nothing
// of the console and draws nothing: take it as it is.

/**
 * How a page asks the API: it resolves to the answer's body, and throws what the API calls
 * a problem.
 * @typedef {(path: string) => Promise<any>} Get
 *
 * @typedef {{ trans_no: string, trans_type: string, order_no?: string, credits: number,
 *   remaining: number, expired_at?: string, created_at: string }} Pack
 * @typedef {{ user_uuid: string, balance: number, packs: Pack[] }} Balance
 * @typedef {{ trans_no: string, trans_type: string, credits: number, order_no?: string,
 *   generation_uuid?: string, expired_at?: string, created_at: string, is_voided: boolean,
 *   voided_at?: string, voided_reason?: string }} Entry
 * @typedef {{ records: Entry[], cursor?: string }} Page
 * @typedef {{ pack: string, order_no?: string, credits: number, expired_at?: string }} Allocation
 * @typedef {{ at: number, balance: number }} Step a balance, and from when on it is one
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
 * A page of the timeline, newest first. The next one begins at its `cursor`; without one
 * it was the last, however short another may be.
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
 * What a charge took, in the order taken; nothing where the generation's newest charges do
 * not have it.
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
 * When each pack runs out, and what is left then if nothing is spent.
 *
 * @param {Balance} balance
 * @returns {Step[]}
 */
export function stepsAhead({ balance, packs }) {
  /** @type {Step[]} */
  const steps = [];
  let left = balance;
  for (const { remaining, expired_at } of packs) {
    if (!expired_at) break; // packs come in spending order: those that never run out are last
    left -= remaining;
    const at = Date.parse(expired_at);
    if (steps.at(-1)?.at === at) steps.pop();
    steps.push({ at, balance: left });
  }
  return steps;
}

/**
 * The balance over the time of these records, newest first as the timeline has them, up to
 * the balance of now. Voided charges count for nothing. What ran out on the way is reckoned
 * by the order in which packs are spent; of packs from before these records it is unknown.
 *
 * @param {Entry[]} records
 * @param {number} balance
 * @param {number} now
 * @returns {Step[]}
 */
export function stepsBehind(records, balance, now) {
  /** @type {{ until: number, left: number }[]} */
  const packs = []; // those that run out, in spending order
  let sum = 0; // what they hold and all else; below zero where older packs paid
  /** @type {Step[]} */
  const steps = [];
  const expire = (/** @type {number} */ time) => {
    for (let first = packs[0]; first && first.until <= time; first = packs[0]) {
      sum -= first.left;
      steps.push({ at: first.until, balance: sum });
      packs.shift();
    }
  };
  for (const record of records.filter((record) => !record.is_voided).reverse()) {
    const at = Date.parse(record.created_at);
    if (steps.length === 0) steps.push({ at, balance: 0 });
    expire(at);
    if (record.credits > 0 && record.expired_at) {
      packs.push({ until: Date.parse(record.expired_at), left: record.credits });
      packs.sort((one, other) => one.until - other.until);
    }
    let due = Math.max(0, -record.credits);
    for (let first = packs[0]; first && due > 0; first = packs[0]) {
      const taken = Math.min(first.left, due);
      first.left -= taken;
      due -= taken;
      if (first.left === 0) packs.shift();
    }
    sum += record.credits;
    steps.push({ at, balance: sum });
  }
  expire(now);
  const missing = balance - sum;
  return steps.map(({ at, balance }) => ({ at, balance: Math.max(0, balance + missing) }));
}

/**
 * Why a charge took from each of its packs: the earliest expiry first, what never runs out
 * last, the older among equals.
 *
 * @param {Allocation[]} allocations
 * @param {(time: string) => string} day
 * @returns {string[]}
 */
export function reasons(allocations, day) {
  return allocations.map(({ expired_at }, index) => {
    const before = allocations[index - 1];
    if (!before) return expired_at ? `runs out first, ${day(expired_at)}` : "no pack that runs out had any left";
    if (before.expired_at === expired_at) return "next in age";
    return expired_at ? `runs out next, ${day(expired_at)}` : "never runs out, so it is spent last";
  });
}
