/** Where the components read the credits of the user who looks at the page. */

import type { Scrip } from "../scrip.js";
import type { Balance, Timeline } from "../types.js";

/** A page of the timeline. */
export interface TimelinePage {
  cursor?: string | undefined;
  include_voided?: boolean | undefined;
  limit?: number | undefined;
}

/** Reads the credits of one user. Both functions may be server actions, which check the session. */
export interface CreditsSource {
  /** Reads the balance. */
  balance(): Promise<Balance>;
  /** Reads a page of the timeline. */
  timeline(page: TimelinePage): Promise<Timeline>;
}

/** Reads one user through a client; in a browser, a client with that user's own token. */
export function creditsSourceOf(scrip: Scrip, user_uuid: string): CreditsSource {
  return {
    balance: () => scrip.balance(user_uuid),
    timeline: (page) => scrip.timeline({ user_uuid, ...page }),
  };
}
