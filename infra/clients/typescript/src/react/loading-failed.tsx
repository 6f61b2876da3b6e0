"use client";
/** The message of a read that failed, with a button to repeat it. */

import { useCredits } from "./provider.js";

export function LoadingFailed({ onRetry }: { onRetry: () => void }) {
  const { labels } = useCredits();
  return (
    <div role="alert" data-scrip="error">
      {labels.failed}{" "}
      <button type="button" onClick={onRetry}>
        {labels.retry}
      </button>
    </div>
  );
}
