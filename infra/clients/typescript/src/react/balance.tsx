"use client";
/** The balance, as a status that screen readers announce when it changes. */

import type { ComponentProps } from "react";

import { LoadingFailed } from "./loading-failed.js";
import { useCredits } from "./provider.js";

/** Shows the balance. Properties are those of `p`. */
export function Balance(props: ComponentProps<"p">) {
  const { balance, error, isLoading, labels, formatNumber, refresh } = useCredits();
  if (!balance && error !== undefined) return <LoadingFailed onRetry={refresh} />;
  return (
    <p role="status" aria-busy={isLoading} data-scrip="balance" {...props}>
      <span data-scrip="label">{labels.balance}</span>{" "}
      <span data-scrip="credits">{balance ? formatNumber(balance.balance) : labels.loading}</span>
    </p>
  );
}
