//! Scenarios over the deployed API and by direct invocations.

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{AttributeValue, Get, TransactGetItem},
};
use scrip_tests::{STRIPE_SECRET, WEBHOOK_SECRET};
use serde_json::{Value, json};

use crate::{cloud::Cloud, process::wait_until};

/// A client of the API, with the claims of its token if it has one.
struct Caller(Option<Value>);

impl Caller {
    /// A service with all scopes.
    fn app() -> Caller {
        Caller(Some(json!({ "sub": "app", "scope": "credits:read credits:write" })))
    }

    fn get(&self, path: &str, status: u16, expected: &Value) {
        self.send("GET", path, &Value::Null, status, expected);
    }

    fn post(&self, path: &str, body: &Value, status: u16, expected: &Value) {
        self.send("POST", path, body, status, expected);
    }

    /// Sends a request, and compares the response with the expected fields.
    fn send(&self, method: &str, path: &str, body: &Value, status: u16, expected: &Value) {
        let response = Cloud::deployed().http(method, path, body, self.0.as_ref());
        let exchange = format!("{method} {path} {body} by {:?}: {response:?}", self.0);
        assert_eq!(response.status, status, "{exchange}");
        assert!(contains(&response.body, expected), "{exchange}");
    }
}

/// Whether a response has all expected fields; it may have more.
fn contains(response: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(fields) => fields.iter().all(|(name, value)| contains(&response[name], value)),
        Value::Array(items) => {
            response.as_array().is_some_and(|list| list.len() == items.len())
                && items.iter().enumerate().all(|(nth, item)| contains(&response[nth], item))
        }
        plain => response == plain,
    }
}

fn error(code: &str) -> Value {
    json!({ "code": code })
}

/// Body of a charge request.
fn charge(user: &str, credits: u64, generation: &str) -> Value {
    json!({ "user_uuid": user, "trans_type": "chat", "credits": credits, "generation_uuid": generation })
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn generation_that_fails_through_the_deployed_api() {
    let app = Caller::app();
    let pack = |order: &str, credits: u64, expired_at: &str| {
        json!({
            "user_uuid": "story", "trans_type": "order_pay", "order_no": order, "credits": credits,
            "expired_at": expired_at,
        })
    };
    let (jan, feb) = (pack("jan", 5, "2099-02-01T00:00:00Z"), pack("feb", 10, "2099-03-01T00:00:00Z"));
    app.post("/credits/grant", &jan, 201, &json!({ "balance": 5, "replayed": false }));
    app.post("/credits/grant", &feb, 201, &json!({ "balance": 15, "replayed": false }));
    app.post("/credits/grant", &feb, 200, &json!({ "balance": 15, "replayed": true }));

    let eight = charge("story", 8, "story-1");
    let allocations = json!([{ "order_no": "jan", "credits": 5 }, { "order_no": "feb", "credits": 3 }]);
    for replayed in [false, true] {
        let charged =
            json!({ "credits": -8, "allocations": allocations, "balance": 7, "replayed": replayed });
        app.post("/credits/decrease", &eight, 200, &charged);
    }
    app.post("/credits/decrease", &charge("story", 9, "story-1"), 409, &error("IdempotencyConflict"));
    let too_much = json!({ "code": "InsufficientCredits", "balance": 7, "required": 8 });
    app.post("/credits/decrease", &charge("story", 8, "story-2"), 402, &too_much);
    let balance = json!({ "balance": 7, "packs": [{ "remaining": 7, "order_no": "feb" }] });
    app.get("/credits/story/balance", 200, &balance);

    let refund =
        json!({ "user_uuid": "story", "generation_uuid": "story-1", "reason": "the model timed out" });
    for (outcome, restored) in [("voided", 8), ("already_voided", 0)] {
        let refunded = json!({ "outcome": outcome, "restored": restored, "balance": 15 });
        app.post("/credits/refund", &refund, 200, &refunded);
    }
    app.post("/credits/decrease", &eight, 409, &error("GenerationVoided"));
    app.get("/credits/story/balance", 200, &json!({ "packs": [{ "remaining": 5 }, { "remaining": 10 }] }));

    let void = json!([{ "credits": -8, "is_voided": true, "voided_reason": "the model timed out" }]);
    let live = json!({ "records": [{ "order_no": "feb" }, { "order_no": "jan" }] });
    app.get("/credits/story/timeline?limit=2", 200, &live);
    app.get("/credits/story/timeline?limit=1&include_voided=true", 200, &json!({ "records": void }));
    app.get("/generations/story-1", 200, &json!({ "user_uuid": "story", "charges": void }));
    let sums = json!({
        "granted": { "credits": 15, "count": 2 }, "spent": { "credits": 0, "count": 0 },
        "voided": { "credits": 8, "count": 1 },
    });
    app.get("/credits/story/summary", 200, &sums);
    app.get("/credits/story/summary?from=2020-01-01T00:00:00%2B01:00", 200, &sums);
    let credits = json!({ "code": 0, "data": { "left_credits": 15, "is_recharged": true } });
    app.post("/api/get-user-credits", &json!({ "user_uuid": "story" }), 200, &credits);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn tokens_authorize_callers_of_the_deployed_api() {
    let grant = json!({ "user_uuid": "someone", "trans_type": "new_user", "credits": 1 });
    let unauthorized = json!({ "message": "Unauthorized" });
    let anonymous = Caller(None);
    anonymous.get("/credits/someone/balance", 401, &unauthorized);
    anonymous.post("/credits/grant", &grant, 401, &unauthorized);
    for forged in [
        json!({ "aud": "another" }),
        json!({ "iss": "http://another" }),
        json!({ "exp": 1 }),
        json!({ "nbf": 4_000_000_000_u64 }),
    ] {
        Caller(Some(forged)).get("/credits/someone/balance", 401, &unauthorized);
    }
    let someone = Caller(Some(json!({ "sub": "someone" })));
    someone.get("/credits/someone/balance", 200, &json!({ "balance": 0 }));
    someone.post("/api/get-user-credits", &json!({}), 200, &json!({ "data": { "left_credits": 0 } }));
    someone.get("/credits/another/balance", 403, &error("Forbidden"));
    someone.post("/credits/grant", &grant, 403, &error("Forbidden"));
    let reader = Caller(Some(json!({ "sub": "app", "scope": "credits:read" })));
    reader.get("/credits/someone/balance", 200, &json!({ "balance": 0 }));
    reader.post("/credits/grant", &grant, 403, &error("Forbidden"));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn deployed_api_rejects_invalid_requests() {
    for caller in [Caller(None), Caller::app()] {
        caller.get("/nowhere", 404, &error("NotFound"));
        caller.get("/credits/grant", 405, &error("MethodNotAllowed"));
        caller.send("DELETE", "/credits/u/balance", &Value::Null, 405, &error("MethodNotAllowed"));
    }
    let app = Caller::app();
    app.post("/credits/grant", &json!({ "user_uuid": "u 1" }), 400, &error("InvalidRequest"));
    let unknown = json!({ "generation_uuid": "unknown", "reason": "r" });
    app.post("/credits/refund", &unknown, 404, &error("ChargeNotFound"));
    app.get("/generations/unknown", 404, &error("ChargeNotFound"));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn direct_invocations_return_a_response_or_the_error_code() {
    let cloud = Cloud::deployed();
    let order = json!({ "user_uuid": "direct", "trans_type": "order_pay", "order_no": "d", "credits": 5 });
    let charge = |credits: u64| charge("direct", credits, "direct-1");
    let refund = json!({ "user_uuid": "direct", "generation_uuid": "direct-1", "reason": "r" });
    let request = |operation: &str| json!({ "operation": operation, "user_uuid": "direct" });
    for (function, payload, expected) in [
        ("grant", order.clone(), Ok(json!({ "balance": 5, "replayed": false }))),
        ("grant", order, Ok(json!({ "balance": 5, "replayed": true }))),
        ("grant", json!({ "user_uuid": "direct" }), Err("InvalidRequest")),
        ("grant", json!([]), Err("InvalidRequest")),
        ("decrease", charge(6), Err("InsufficientCredits")),
        ("decrease", charge(4), Ok(json!({ "credits": -4, "balance": 1 }))),
        ("decrease", charge(3), Err("IdempotencyConflict")),
        ("refund", refund.clone(), Ok(json!({ "outcome": "voided", "balance": 5 }))),
        ("refund", refund, Ok(json!({ "outcome": "already_voided", "balance": 5 }))),
        ("refund", json!({ "generation_uuid": "unknown", "reason": "r" }), Err("ChargeNotFound")),
        ("decrease", charge(4), Err("GenerationVoided")),
        ("balance", json!({ "user_uuid": "direct" }), Ok(json!({ "balance": 5 }))),
        ("history", request("timeline"), Ok(json!({ "records": [{ "credits": 5 }] }))),
        ("history", request("summary"), Ok(json!({ "voided": { "credits": 4 } }))),
        ("history", request("nothing"), Err("InvalidRequest")),
    ] {
        let result = cloud.invoke(function, &payload);
        let is_expected = match (&result, expected) {
            (Ok(response), Ok(expected)) => contains(response, &expected),
            (Err((code, _)), Err(expected)) => code == expected,
            _ => false,
        };
        assert!(is_expected, "{function} {payload}: {result:?}");
    }
}

/// ministack enforces roles: `balance` may read an item and write none. So the other tests
/// show that the roles permit what the functions do.
#[tokio::test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
async fn role_denies_what_its_function_does_not_do() {
    let cloud = Cloud::deployed();
    let (dynamodb, table) = (cloud.dynamodb_as("balance"), cloud.output("TableName"));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let got = dynamodb.get_item().table_name(table).key("user_uuid", text("role")).key("sk", text("wallet"));
    got.send().await.unwrap();
    // A transaction of reads needs `dynamodb:GetItem` only.
    let get = Get::builder().table_name(table).key("user_uuid", text("role")).key("sk", text("wallet"));
    let get = TransactGetItem::builder().get(get.build().unwrap()).build();
    let got = dynamodb.transact_get_items().transact_items(get).send().await.unwrap();
    assert!(got.responses()[0].item().is_none(), "{got:?}");
    let put =
        dynamodb.put_item().table_name(table).item("user_uuid", text("role")).item("sk", text("wallet"));
    assert_eq!(put.send().await.unwrap_err().code(), Some("AccessDeniedException"));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn asynchronous_refund_is_executed() {
    let cloud = Cloud::deployed();
    cloud.grant("later", 5);
    cloud.invoke("decrease", &charge("later", 4, "later-1")).unwrap();
    cloud.invoke_async(
        "refund",
        &json!({ "user_uuid": "later", "generation_uuid": "later-1", "reason": "r" }),
    );
    wait_until("the refund is executed", || cloud.balance("later") == 5);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn signed_call_back_refunds_through_the_deployed_api() {
    let cloud = Cloud::deployed();
    cloud.grant("called", 10);
    cloud.invoke("decrease", &charge("called", 4, "called-1")).unwrap();
    let body = json!({
        "generation_uuid": "called-1", "status": "failed", "user_uuid": "called", "error": "für immer weg",
    });
    let response = cloud.call_back(&body, "another-webhook-secret");
    assert_eq!((response.status, &response.body["code"]), (401, &json!("Unauthorized")), "{response:?}");
    assert_eq!(cloud.balance("called"), 6);
    for outcome in ["voided", "already_voided"] {
        let response = cloud.call_back(&body, WEBHOOK_SECRET);
        assert_eq!((response.status, &response.body["outcome"]), (200, &json!(outcome)), "{response:?}");
        assert_eq!(cloud.balance("called"), 10);
    }
    assert_eq!(cloud.records("called")[0]["voided_reason"], "für immer weg");
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn event_of_stripe_grants_through_the_deployed_api() {
    let cloud = Cloud::deployed();
    let session = json!({
        "id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
        "metadata": { "scrip_credits": "7", "scrip_user": "paying" },
    });
    let event = json!({ "type": "checkout.session.completed", "created": 1, "data": { "object": session } });
    let response = cloud.stripe_event(&event, WEBHOOK_SECRET);
    assert_eq!((response.status, &response.body["code"]), (401, &json!("Unauthorized")), "{response:?}");
    for outcome in ["granted", "replayed"] {
        let response = cloud.stripe_event(&event, STRIPE_SECRET);
        assert_eq!((response.status, &response.body["outcome"]), (200, &json!(outcome)), "{response:?}");
        assert_eq!(cloud.balance("paying"), 7);
    }
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn failing_table_is_an_error_and_changes_nothing() {
    let cloud = Cloud::deployed();
    let charge = charge("failing", 4, "failing-1");
    cloud.grant("failing", 10);
    cloud.fakes.inject_errors("failing", "TransactWriteItems", "InternalServerError", u32::MAX);
    Caller::app().post("/credits/decrease", &charge, 503, &error("StoreUnavailable"));
    assert_eq!(cloud.invoke("decrease", &charge).unwrap_err().0, "StoreUnavailable");
    assert!(cloud.fakes.clear_errors("failing") > 0);
    assert_eq!(cloud.balance("failing"), 10);

    // The function retries two throttled requests by itself.
    cloud.fakes.inject_errors("failing", "TransactWriteItems", "ThrottlingException", 2);
    cloud.invoke("decrease", &charge).unwrap();
    assert_eq!((cloud.fakes.clear_errors("failing"), cloud.balance("failing")), (0, 6));
}
