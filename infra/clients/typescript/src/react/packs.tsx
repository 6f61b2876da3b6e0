"use client";
/** The usable packs, in spending order. */

import type { ComponentProps } from "react";

import type { Pack } from "../types.js";
import { useCredits } from "./provider.js";

/** Lists the packs. Properties are those of `ul`. */
export function Packs(props: ComponentProps<"ul">) {
  const { balance, labels } = useCredits();
  if (!balance) return null;
  if (balance.packs.length === 0) return <p data-scrip="packs">{labels.noPacks}</p>;
  return (
    <ul aria-label={labels.packs} data-scrip="packs" {...props}>
      {balance.packs.map((pack) => (
        <PackItem key={pack.trans_no} pack={pack} />
      ))}
    </ul>
  );
}

function PackItem({ pack }: { pack: Pack }) {
  const { labels, formatDate } = useCredits();
  const { credits, remaining, expired_at } = pack;
  const text = labels.remaining(pack);
  return (
    <li data-scrip="pack">
      <meter min={0} max={credits} value={remaining} aria-label={text} /> <span data-scrip="remaining">{text}</span>,{" "}
      {expired_at ? <time dateTime={expired_at}>{labels.expiry(formatDate(expired_at))}</time> : labels.neverExpires}
    </li>
  );
}
