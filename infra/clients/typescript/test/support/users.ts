/** Users with credits on the shared local stack. */

import { randomUUID } from "node:crypto";

import { inject } from "vitest";

import { Scrip } from "../../src/index.js";

export const url = () => inject("url");
export const client = () => new Scrip({ url: url() });
export const newId = (prefix: string) => `${prefix}-${randomUUID()}`;

/** A new user with that many credits in one pack. */
export async function userWith(credits: number): Promise<string> {
  const user = newId("user");
  if (credits > 0) {
    await client().grant({ user_uuid: user, trans_type: "system_add", credits, idempotency_key: "first" });
  }
  return user;
}

export async function balanceOf(user: string): Promise<number> {
  return (await client().balance(user)).balance;
}
