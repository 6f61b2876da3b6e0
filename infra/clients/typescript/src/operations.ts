/** The operations of the service: function, route, and what makes a repeat safe. */

import type {
  Balance,
  Decrease,
  DecreaseRequest,
  Generation,
  GenerationReport,
  GenerationReported,
  GenerationRequest,
  Grant,
  GrantRequest,
  Refund,
  RefundRequest,
  Revocation,
  RevokeRequest,
  Settlement,
  SettleRequest,
  Summary,
  SummaryRequest,
  Timeline,
  TimelineRequest,
  UserCredits,
} from "./types.js";

/** A Lambda function of the stack. */
export type FunctionName = "grant" | "decrease" | "refund" | "balance" | "history" | "webhook";

/** Query parameters; absent ones are not sent. */
export type Query = Record<string, string | number | boolean | undefined>;

/** An HTTP request of an operation. `body` is sent as JSON. */
export interface Route {
  method: "GET" | "POST";
  path: string;
  query?: Query;
  body?: unknown;
}

/** How to call one operation. `Answer` is the type of its result. */
export interface Operation<Request, Answer> {
  readonly function: FunctionName;
  /** `operation` in a direct payload; absent for the default operation of a function. */
  readonly name?: string;
  readonly route: (request: Request) => Route;
  /** True if a repeat of the request has the same effect as one request. */
  readonly isRepeatable: (request: Request) => boolean;
  /** True if the request is resolved by an index, which may not show a recent charge yet. */
  readonly readsIndex: (request: Request) => boolean;
  /** True for operations that correct a charge: they are repeated for longer, whatever else fails. */
  readonly mustArrive?: true;
  /** Only the type. */
  readonly answer?: Answer;
}

const always = () => true;
const never = () => false;

type Fields<Request, Answer> = Pick<Operation<Request, Answer>, "function"> & Partial<Operation<Request, Answer>>;

/** An operation that sends its request as the body. */
function post<Request, Answer>(path: string, fields: Fields<Request, Answer>): Operation<Request, Answer> {
  return { route: (body) => ({ method: "POST", path, body }), isRepeatable: always, readsIndex: never, ...fields };
}

/** An operation whose request is a path and a query. */
function get<Request extends object, Answer>(
  path: (request: Request) => string,
  parameter: keyof Request,
  fields: Fields<Request, Answer>,
): Operation<Request, Answer> {
  const route = (request: Request): Route => {
    const query = Object.entries(request).filter(([name]) => name !== parameter);
    return { method: "GET", path: path(request), query: Object.fromEntries<Query[string]>(query) };
  };
  return { route, isRepeatable: always, readsIndex: never, ...fields };
}

/** Types forbid a grant without an identity, but not in JavaScript. */
function grantHasIdentity(request: GrantRequest): boolean {
  return request.trans_type !== "system_add" || Boolean(request.idempotency_key);
}

/** Types forbid a charge without an identity, but not in JavaScript. */
function chargeHasIdentity(request: DecreaseRequest): boolean {
  return Boolean(request.generation_uuid) || Boolean(request.idempotency_key);
}

export const GRANT = post<GrantRequest, Grant>("/credits/grant", { function: "grant", isRepeatable: grantHasIdentity });
export const REVOKE = post<RevokeRequest, Revocation>("", {
  function: "grant",
  name: "revoke",
  route: ({ order_no, ...body }) => ({
    method: "POST",
    path: `/credits/orders/${encodeURIComponent(order_no)}/revoke`,
    body,
  }),
});
export const DECREASE = post<DecreaseRequest, Decrease>("/credits/decrease", {
  function: "decrease",
  isRepeatable: chargeHasIdentity,
});
export const SETTLE = post<SettleRequest, Settlement>("/credits/settle", {
  function: "decrease",
  name: "settle",
  mustArrive: true,
});
export const REFUND = post<RefundRequest, Refund>("/credits/refund", {
  function: "refund",
  readsIndex: ({ user_uuid }) => !user_uuid,
  mustArrive: true,
});
export const BALANCE = get<{ user_uuid: string }, Balance>(
  ({ user_uuid }) => `/credits/${encodeURIComponent(user_uuid)}/balance`,
  "user_uuid",
  { function: "balance" },
);
export const TIMELINE = get<TimelineRequest, Timeline>(
  ({ user_uuid }) => `/credits/${encodeURIComponent(user_uuid)}/timeline`,
  "user_uuid",
  { function: "history", name: "timeline" },
);
export const SUMMARY = get<SummaryRequest, Summary>(
  ({ user_uuid }) => `/credits/${encodeURIComponent(user_uuid)}/summary`,
  "user_uuid",
  { function: "history", name: "summary" },
);
export const GENERATION = get<GenerationRequest, Generation>(
  ({ generation_uuid }) => `/generations/${encodeURIComponent(generation_uuid)}`,
  "generation_uuid",
  { function: "history", name: "generation", readsIndex: () => true },
);
export const USER_CREDITS = post<{ user_uuid?: string }, { data: UserCredits }>("/api/get-user-credits", {
  function: "balance",
});
export const REPORT = post<string, GenerationReported>("/webhooks/generation", { function: "webhook" });
export const DIRECT_REPORT = post<GenerationReport, GenerationReported>("", { function: "webhook" });
