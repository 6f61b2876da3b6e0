/** Direct invocation through an injected client. */

import { expect, test, vi } from "vitest";

import { type LambdaClient, Scrip } from "../../src/index.js";

type Result = Awaited<ReturnType<LambdaClient["invoke"]>>;

const payload = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const functionError = (errorType: string) => ({
  FunctionError: "Unhandled",
  Payload: payload({ errorType, errorMessage: "why" }),
});

function clientOf(...results: (Result | Error)[]) {
  const invoke = vi.fn<LambdaClient["invoke"]>(() => {
    const result = results.shift();
    return result instanceof Error ? Promise.reject(result) : Promise.resolve(result!);
  });
  const scrip = new Scrip({ lambda: { client: { invoke }, stack: "scrip-prod" }, retry: { baseDelayMs: 0 } });
  const requests = () =>
    invoke.mock.calls.map(([input]) => ({
      ...input,
      Payload: JSON.parse(new TextDecoder().decode(input.Payload)) as unknown,
    }));
  return { scrip, requests };
}

test("requests go to the function of their operation", async () => {
  const ok = { Payload: payload({ ok: true }) };
  const { scrip, requests } = clientOf(...Array<Result>(9).fill(ok));
  await scrip.grant({ user_uuid: "u", trans_type: "new_user", credits: 1 });
  await scrip.revoke({ order_no: "o", source: "refund", part: 1, of: 2, as_of: "2026-01-01T00:00:00Z", reason: "r" });
  await scrip.decrease({ user_uuid: "u", trans_type: "chat", credits: 1, generation_uuid: "g" });
  await scrip.settle({ user_uuid: "u", generation_uuid: "g", credits: 1 });
  await scrip.refund({ user_uuid: "u", generation_uuid: "g", reason: "r" });
  await scrip.balance("u");
  await scrip.timeline({ user_uuid: "u", limit: 5 });
  await scrip.generation({ generation_uuid: "g" });
  await scrip.reportGeneration({ generation_uuid: "g", status: "failed" }, "unused");
  expect(
    requests().map(({ FunctionName, Payload }) => [FunctionName, (Payload as { operation?: string }).operation]),
  ).toEqual([
    ["scrip-prod-grant", undefined],
    ["scrip-prod-grant", "revoke"],
    ["scrip-prod-decrease", undefined],
    ["scrip-prod-decrease", "settle"],
    ["scrip-prod-refund", undefined],
    ["scrip-prod-balance", undefined],
    ["scrip-prod-history", "timeline"],
    ["scrip-prod-history", "generation"],
    ["scrip-prod-webhook", undefined],
  ]);
  expect(requests()[6]).toEqual({
    FunctionName: "scrip-prod-history",
    Qualifier: "live",
    Payload: { operation: "timeline", user_uuid: "u", limit: 5 },
  });
});

test.each([
  ["InsufficientCredits", { name: "InsufficientCreditsError", attempts: 1, mayHaveTakenEffect: false }],
  ["GenerationVoided", { name: "GenerationVoidedError", attempts: 1 }],
])("the function error %s is thrown", async (errorType, expected) => {
  const { scrip } = clientOf(functionError(errorType));
  const call = scrip.decrease({ user_uuid: "u", trans_type: "chat", credits: 1, generation_uuid: "g" });
  await expect(call).rejects.toMatchObject({ ...expected, message: "why" });
});

const throttled = Object.assign(new Error("Rate exceeded"), { name: "TooManyRequestsException" });
test.each([
  ["Busy", functionError("Busy")],
  ["a function that timed out", functionError("Sandbox.Timedout")],
  ["throttling", throttled],
  ["a failed network", new Error("socket hang up")],
])("%s is repeated", async (_, failure) => {
  const { scrip, requests } = clientOf(failure, { Payload: payload({ balance: 3 }) });
  expect(await scrip.balance("u")).toEqual({ balance: 3 });
  expect(requests()).toHaveLength(2);
});

test("a denied invocation is Forbidden", async () => {
  const { scrip } = clientOf(Object.assign(new Error("not authorized"), { name: "AccessDeniedException" }));
  await expect(scrip.balance("u")).rejects.toMatchObject({ code: "Forbidden", attempts: 1 });
});

test("userCredits is available over HTTP only", async () => {
  await expect(clientOf().scrip.userCredits("u")).rejects.toThrow(TypeError);
});
