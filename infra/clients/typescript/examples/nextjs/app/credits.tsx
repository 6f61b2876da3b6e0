"use client";

import type { Balance as InitialBalance } from "scrip-client";
import { Balance, CreditsProvider, Packs, Timeline } from "scrip-client/react";

import { readBalance, readTimeline } from "./actions";
import { Story } from "./story";

const source = { balance: readBalance, timeline: readTimeline };

export function Credits({ initialBalance }: { initialBalance: InitialBalance }) {
  return (
    <CreditsProvider source={source} initialBalance={initialBalance}>
      <Balance />
      <Packs />
      <Story />
      <Timeline />
    </CreditsProvider>
  );
}
