import { currentUser, scrip } from "@/lib/scrip";

import { Credits } from "./credits";

export const dynamic = "force-dynamic";

export default async function Page() {
  return (
    <main>
      <h1>Stories</h1>
      <Credits initialBalance={await scrip.balance(await currentUser())} />
    </main>
  );
}
