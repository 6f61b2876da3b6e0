/** The components as an app uses them. */

import { useState } from "react";

import type { Balance as BalanceAnswer } from "../../src/index.js";
import { Balance, CreditsProvider, type CreditsSource, Packs, Timeline, useCredits } from "../../src/react/index.js";

/** What the server passes to the page. */
export interface PageData {
  user: string;
  initialBalance: BalanceAnswer | undefined;
}

export function App(props: { source: CreditsSource; initialBalance: BalanceAnswer | undefined }) {
  const [withRefunds, setWithRefunds] = useState(false);
  return (
    <CreditsProvider source={props.source} initialBalance={props.initialBalance}>
      <main>
        <h1>My credits</h1>
        <Balance />
        <h2>Packs</h2>
        <Packs />
        <h2>Timeline</h2>
        <label>
          <input type="checkbox" checked={withRefunds} onChange={() => setWithRefunds(!withRefunds)} /> Show refunds
        </label>
        <Timeline includeVoided={withRefunds} limit={5} />
        <Refresh />
      </main>
    </CreditsProvider>
  );
}

function Refresh() {
  const { refresh } = useCredits();
  return <button onClick={refresh}>Refresh</button>;
}
