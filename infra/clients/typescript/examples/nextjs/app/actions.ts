"use server";

import type { TimelinePage } from "scrip-client/react";

import { currentUser, scrip } from "@/lib/scrip";

export async function readBalance() {
  return scrip.balance(await currentUser());
}

export async function readTimeline(page: TimelinePage) {
  return scrip.timeline({ user_uuid: await currentUser(), ...page });
}
