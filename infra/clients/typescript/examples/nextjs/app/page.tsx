import { connection } from "next/server";
import { Suspense } from "react";

import { currentUser, scrip } from "@/lib/scrip";

import { Credits } from "./credits";

export default function Page() {
  return (
    <main>
      <h1>Stories</h1>
      <Suspense fallback={<p>Loading…</p>}>
        <MyCredits />
      </Suspense>
    </main>
  );
}

async function MyCredits() {
  await connection(); // read for each request, never at build time
  return <Credits initialBalance={await scrip.balance(await currentUser())} />;
}
