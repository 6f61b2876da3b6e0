/** What the compiler accepts and rejects. `tsc` runs this file; nothing executes it. */

import { Lambda } from "@aws-sdk/client-lambda";
import {
  type Balance,
  type InsufficientCreditsError,
  type RevokeRequest,
  Scrip,
  type ScripError,
  type ServiceCode,
  type SettleRequest,
} from "scrip-client";
import { decreaseCredits, getGenerationTransType, increaseCredits } from "scrip-client/origin";
import { creditsSourceOf } from "scrip-client/react";
import { expectTypeOf } from "vitest";

import type { components } from "../../src/generated/openapi.js";

const scrip = new Scrip({ url: "http://127.0.0.1:9000" });
const user_uuid = "ana";

// Clients.
new Scrip({ url: "https://credits.example.com", token: "t" });
new Scrip({ url: "https://credits.example.com", getToken: async () => Promise.resolve("t"), retry: { attempts: 3 } });
new Scrip({ lambda: { client: new Lambda({}), stack: "scrip-prod" } });
// @ts-expect-error neither an address nor a Lambda client
new Scrip({});
// @ts-expect-error both of them
new Scrip({ url: "http://127.0.0.1:9000", lambda: { client: new Lambda({}), stack: "scrip-prod" } });

// Every grant and charge has an identity.
void scrip.grant({ user_uuid, trans_type: "new_user", credits: 1 });
void scrip.grant({ user_uuid, trans_type: "system_add", credits: 1, idempotency_key: "k" });
// @ts-expect-error a gift without a key
void scrip.grant({ user_uuid, trans_type: "system_add", credits: 1 });
// @ts-expect-error a paid order without its number
void scrip.grant({ user_uuid, trans_type: "order_pay", credits: 1 });
// @ts-expect-error a charge without generation and key
void scrip.decrease({ user_uuid, trans_type: "chat", credits: 1 });
// @ts-expect-error a refund type
void scrip.decrease({ user_uuid, trans_type: "chat_refund", credits: 1, generation_uuid: "g" });
// @ts-expect-error a part without the whole
void scrip.revoke({ order_no: "o", source: "refund", part: 1, as_of: "2026-01-01T00:00:00Z", reason: "r" });
void scrip.revoke({ order_no: "o", source: "dispute:d", credits: 0, as_of: "2026-01-01T00:00:00Z", reason: "r" });

// withCharge returns what the work returns.
const options = { user: "ana", generation: "g", type: "image_generation", credits: 8 } as const;
expectTypeOf(scrip.withCharge(options, async () => Promise.resolve(1))).resolves.toBeNumber();
expectTypeOf(scrip.withCharge(options, (charge) => charge.transNo)).resolves.toBeString();
void scrip.withCharge({ ...options, hold: "15m" }, () => 1);
// @ts-expect-error a duration without a unit
void scrip.withCharge({ ...options, hold: "15" }, () => 1);

// The source of a stream gives the type of its chunks.
async function* words() {
  yield await Promise.resolve({ text: "a" });
}
const stream = scrip.chargeStream(options, words, {
  count: (units, chunk) => units + chunk.text.length,
  price: (units) => units,
});
expectTypeOf(stream).resolves.toEqualTypeOf<ReadableStream<{ text: string }>>();

// Errors and answers.
expectTypeOf<InsufficientCreditsError>().toExtend<ScripError>();
expectTypeOf<InsufficientCreditsError["required"]>().toEqualTypeOf<number | undefined>();
expectTypeOf(scrip.balance("ana")).resolves.toEqualTypeOf<Balance>();
expectTypeOf<Balance["packs"][number]["remaining"]>().toBeNumber();

// Requests and codes are those of the OpenAPI document.
type Schemas = components["schemas"];
expectTypeOf<ServiceCode>().toEqualTypeOf<Schemas["Problem"]["code"]>();
expectTypeOf<keyof SettleRequest>().toEqualTypeOf<keyof Schemas["Settle"]>();
expectTypeOf<keyof Parameters<Scrip["decrease"]>[0]>().toEqualTypeOf<keyof Schemas["Decrease"]>();
expectTypeOf<keyof Parameters<Scrip["grant"]>[0]>().toEqualTypeOf<keyof Schemas["Grant"]>();
expectTypeOf<keyof Omit<RevokeRequest, "order_no">>().toEqualTypeOf<keyof Schemas["Revoke"]>();
expectTypeOf<keyof Parameters<Scrip["refund"]>[0]>().toEqualTypeOf<keyof Schemas["Refund"]>();
expectTypeOf<keyof Parameters<Scrip["reportGeneration"]>[0]>().toEqualTypeOf<keyof Schemas["Callback"]>();

// The old names.
expectTypeOf(getGenerationTransType("anime")).toEqualTypeOf<"anime_generation">();
// @ts-expect-error a refund by a grant
void increaseCredits({ user_uuid, trans_type: "anime_generation_refund", credits: 8 });
// @ts-expect-error a charge that cannot be refunded
void decreaseCredits({ user_uuid, trans_type: "chat", credits: 8 });

expectTypeOf(creditsSourceOf(scrip, "ana").balance()).resolves.toEqualTypeOf<Balance>();
