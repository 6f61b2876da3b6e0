import { Scrip } from "scrip-client";

export const scrip = new Scrip({
  url: process.env.SCRIP_URL ?? "http://127.0.0.1:9000",
  token: process.env.SCRIP_TOKEN,
});

/** Replace it by the user of your session. */
export async function currentUser(): Promise<string> {
  return "ana";
}
