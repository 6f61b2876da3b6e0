//! Every row of the contract's table of errors, and that bad input changes
//! nothing.

use scrip::{
    store::StoreError,
    transport::functions::{BALANCE, DECREASE, FUNCTIONS, GRANT, HISTORY, REFUND},
};
use scrip_tests::{Fault, TestLedger};
use serde_json::{Value, json};

const ALL: &str = "credits:read credits:write";

fn claims(scope: &str) -> Option<Value> {
    Some(json!({ "sub": "u", "scope": scope, "exp": 1_790_000_000 }))
}

/// A wallet of 10 credits, a charge of 4 under generation `g`, a voided one
/// under `v`.
async fn ledger() -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    ledger.charge("u", 4, "g", None).await.unwrap();
    ledger.charge("u", 1, "v", None).await.unwrap();
    ledger.refund(Some("u"), "v", None).await.unwrap();
    ledger
}

/// Asks over HTTP, and checks the problem that comes back.
async fn check(
    ledger: &TestLedger,
    scope: Option<&str>,
    request: (&str, &str, Value),
    status: i64,
    code: &str,
) -> Value {
    let (method, url, body) = request;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ledger.http(method, url, body, scope.and_then(claims)).await;
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{method} {url}: {answer:?}"
    );
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!((&answer.body["status"], &answer.body["request_id"]), (&json!(status), &json!("request-2")));
    for field in ["type", "title", "detail"] {
        assert!(answer.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {answer:?}");
    }
    let retry_after = answer.headers.get("retry-after");
    assert_eq!(retry_after.is_some(), status == 503, "{answer:?}");
    assert!(retry_after.is_none_or(|seconds| ["1", "2", "3"].contains(&&**seconds)), "{answer:?}");
    answer.body
}

#[tokio::test]
async fn every_refusal_over_http() {
    let ledger = ledger().await;
    let charge = |generation: &str, credits: u64| json!({ "user_uuid": "u", "trans_type": "anime_generation", "credits": credits, "generation_uuid": generation });
    let other_type = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 4, "generation_uuid": "g" });
    let refund = json!({ "generation_uuid": "nowhere", "reason": "r" });
    let (decrease, all) = ("/credits/decrease", Some(ALL));

    check(&ledger, all, ("POST", decrease, json!({ "user_uuid": "u" })), 400, "InvalidRequest").await;
    check(&ledger, None, ("POST", decrease, charge("new", 1)), 401, "Unauthorized").await;
    check(&ledger, Some("credits:read"), ("POST", decrease, charge("new", 1)), 403, "Forbidden").await;
    check(&ledger, Some("credits:write"), ("GET", "/credits/other/balance", Value::Null), 403, "Forbidden")
        .await;
    let short = check(&ledger, all, ("POST", decrease, charge("new", 7)), 402, "InsufficientCredits").await;
    assert_eq!((&short["balance"], &short["required"]), (&json!(6), &json!(7)));
    check(&ledger, all, ("POST", "/credits/refund", refund), 404, "ChargeNotFound").await;
    check(&ledger, all, ("GET", "/generations/nowhere", Value::Null), 404, "ChargeNotFound").await;
    check(&ledger, None, ("GET", "/nowhere", Value::Null), 404, "NotFound").await;
    check(&ledger, None, ("PUT", decrease, Value::Null), 405, "MethodNotAllowed").await;
    check(&ledger, all, ("POST", decrease, charge("g", 5)), 409, "IdempotencyConflict").await;
    check(&ledger, all, ("POST", decrease, other_type), 409, "IdempotencyConflict").await;
    check(&ledger, all, ("POST", decrease, charge("v", 1)), 409, "GenerationVoided").await;
    check(&ledger, all, ("POST", decrease, json!({ "pad": "x".repeat(20_000) })), 413, "PayloadTooLarge")
        .await;
    assert_eq!(ledger.sound_balance("u").await, 6, "nothing was changed");
}

#[tokio::test]
async fn every_failure_of_the_store() {
    let charge = json!({
        "user_uuid": "u", "trans_type": "anime_generation", "credits": 1, "generation_uuid": "new",
    });
    for (fault, status, code) in [
        (Fault::Cancelled(&["None", "TransactionConflict"]), 503, "Busy"),
        (Fault::Error(400, "ThrottlingException"), 503, "Busy"),
        (Fault::Error(400, "ProvisionedThroughputExceededException"), 503, "Busy"),
        (Fault::RequestLost, 503, "StoreUnavailable"),
        (Fault::Error(500, "InternalServerError"), 503, "StoreUnavailable"),
        (Fault::Error(400, "UnrecognizedClientException"), 503, "StoreUnavailable"),
        (Fault::Error(400, "AccessDeniedException"), 503, "StoreUnavailable"),
        (Fault::Error(400, "ResourceNotFoundException"), 500, "Internal"),
        (Fault::Error(400, "ValidationException"), 500, "Internal"),
        (Fault::Cancelled(&["None", "ValidationError"]), 500, "Internal"),
    ] {
        let ledger = ledger().await;
        let (clock, thrown) = (ledger.clock.clone(), fault.clone());
        ledger.http_client.inject(move |sent| {
            clock.pass_millis(20_000);
            (sent.operation == "TransactWriteItems").then(|| thrown.clone())
        });
        check(&ledger, Some(ALL), ("POST", "/credits/decrease", charge.clone()), status, code).await;
        ledger.http_client.inject(|_| None);
        assert_eq!(ledger.sound_balance("u").await, 6, "{fault:?}");
    }
}

#[tokio::test]
async fn direct_invocation_gets_the_code_as_its_error_type() {
    let ledger = ledger().await;
    for (function, payload, code) in [
        (DECREASE, json!({ "user_uuid": "u" }), "InvalidRequest"),
        (DECREASE, json!(7), "InvalidRequest"),
        (DECREASE, json!([]), "InvalidRequest"),
        (DECREASE, Value::Null, "InvalidRequest"),
        (DECREASE, json!("x".repeat(16 * 1024 - 2)), "InvalidRequest"),
        (DECREASE, json!("x".repeat(16 * 1024 - 1)), "PayloadTooLarge"),
        (DECREASE, json!({ "user_uuid": "u", "trans_type": "chat", "credits": 7 }), "InsufficientCredits"),
        (REFUND, json!({ "generation_uuid": "nowhere", "reason": "r" }), "ChargeNotFound"),
        (HISTORY, json!({ "user_uuid": "u" }), "InvalidRequest"),
        (HISTORY, json!({ "operation": "balance", "user_uuid": "u" }), "InvalidRequest"),
        (HISTORY, json!({ "operation": "generation", "generation_uuid": "nowhere" }), "ChargeNotFound"),
    ] {
        let refused = ledger.invoke(function, payload.clone()).await.unwrap_err();
        assert_eq!(refused.0, code, "{} {payload}: {}", function.name, refused.1);
    }
    let short = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 7 });
    assert!(ledger.invoke(DECREASE, short).await.unwrap_err().1.contains("balance is 6"));
}

/// Each bad payload, and what its error names.
#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let ledger = ledger().await;
    let long = "x".repeat(256);
    let grant =
        |change: Value| merged(json!({ "user_uuid": "u", "trans_type": "system_add", "credits": 1 }), change);
    let charge =
        |change: Value| merged(json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1 }), change);
    let refund =
        |change: Value| merged(json!({ "user_uuid": "u", "generation_uuid": "g", "reason": "r" }), change);
    let timeline = |change: Value| merged(json!({ "operation": "timeline", "user_uuid": "u" }), change);
    let summary = |change: Value| merged(json!({ "operation": "summary", "user_uuid": "u" }), change);
    for (function, payload, named) in [
        (GRANT, json!({}), "`user_uuid` is required. `trans_type` is required. `credits` is required."),
        (GRANT, grant(json!({ "user_uuid": null })), "`user_uuid` is required."),
        (GRANT, grant(json!({ "user_uuid": "" })), "`user_uuid` must be"),
        (GRANT, grant(json!({ "user_uuid": long })), "`user_uuid` must be"),
        (GRANT, grant(json!({ "user_uuid": "a#b" })), "`user_uuid` must be"),
        (GRANT, grant(json!({ "user_uuid": 7 })), "`user_uuid` must be"),
        (GRANT, grant(json!({ "trans_type": "chat" })), "`trans_type` must be"),
        (GRANT, grant(json!({ "trans_type": "chat_refund" })), "`trans_type` must be"),
        (GRANT, grant(json!({ "trans_type": "order_pay" })), "`order_no` is required."),
        (GRANT, grant(json!({ "credits": 0 })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": -1 })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": 1.0 })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": "1" })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": 1_000_000_000_001_u64 })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": u64::MAX })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": { "$serde_json::private::RawValue": "1" } })), "`credits` must be"),
        (GRANT, grant(json!({ "credits": { "$serde_json::private::Number": "1" } })), "`credits` must be"),
        (GRANT, grant(json!({ "expired_at": "tomorrow" })), "`expired_at` must be"),
        (
            GRANT,
            grant(json!({ "expired_at": "2025-12-31T23:59:59Z" })),
            "`expired_at` must be in the future.",
        ),
        (GRANT, grant(json!({ "expired_at": 1_800_000_000 })), "`expired_at` must be"),
        (GRANT, grant(json!({ "idempotency_key": "a b" })), "`idempotency_key` must be"),
        (
            GRANT,
            grant(json!({ "colour": "red", "user_id": 7 })),
            "`colour` is not a field of this request. `user_id` is not a field of this request.",
        ),
        (GRANT, grant(json!({ "colour": null })), "`colour` is not a field of this request."),
        (DECREASE, charge(json!({ "trans_type": "order_pay" })), "`trans_type` must be"),
        (DECREASE, charge(json!({ "trans_type": "anime_generation_refund" })), "`trans_type` must be"),
        (DECREASE, charge(json!({ "trans_type": "_generation" })), "`trans_type` must be"),
        (DECREASE, charge(json!({ "generation_uuid": "" })), "`generation_uuid` must be"),
        (DECREASE, charge(json!({ "order_no": [] })), "`order_no` must be"),
        (DECREASE, charge(json!({ "expired_at": null, "credits": {} })), "`credits` must be"),
        (REFUND, refund(json!({ "reason": "" })), "`reason` must be"),
        (REFUND, refund(json!({ "reason": "é".repeat(256) })), "`reason` must be"),
        (REFUND, refund(json!({ "reason": null })), "`reason` is required."),
        (REFUND, refund(json!({ "generation_uuid": null })), "`generation_uuid` is required."),
        (BALANCE, json!({ "user_uuid": "u", "limit": 1 }), "`limit` is not a field of this request."),
        (HISTORY, timeline(json!({ "limit": 0 })), "`limit` must be"),
        (HISTORY, timeline(json!({ "limit": 101 })), "`limit` must be"),
        (HISTORY, timeline(json!({ "limit": "+5" })), "`limit` must be"),
        (HISTORY, timeline(json!({ "include_voided": "yes" })), "`include_voided` must be"),
        (HISTORY, timeline(json!({ "cursor": "x" })), "`cursor` is not a cursor of this query."),
        (
            HISTORY,
            timeline(json!({ "from": "2026-01-01T00:00:00Z" })),
            "`from` is not a field of this request.",
        ),
        (HISTORY, summary(json!({ "from": "2026" })), "`from` must be"),
        (
            HISTORY,
            summary(json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" })),
            "`from` must be",
        ),
        (HISTORY, json!({ "operation": "generation" }), "`generation_uuid` is required."),
    ] {
        let (code, detail) = ledger.invoke(function, payload.clone()).await.unwrap_err();
        assert_eq!(code, "InvalidRequest", "{} {payload}", function.name);
        assert!(detail.contains(named), "{} {payload}: {detail:?} does not name {named:?}", function.name);
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
    assert_eq!(ledger.records("u").await.len(), 3);
}

/// Bodies that are no JSON object at all.
#[tokio::test]
async fn body_that_cannot_be_read_is_refused() {
    let ledger = ledger().await;
    let deep = "[".repeat(10_000);
    for (body, status) in [
        (b"{\"user_uuid\":\"u\"".to_vec(), 400),
        (b"{\"user_uuid\":\"u\xff\"}".to_vec(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (b"null".to_vec(), 400),
        (b"\"planted\"".to_vec(), 400),
        (b"{\"planted\":planted}".to_vec(), 400),
        (b"[]".to_vec(), 400),
        (b"".to_vec(), 400),
        (b"{} trailing".to_vec(), 400),
        (deep.into_bytes(), 400),
        (b"{\"credits\":1,\"credits\":2}".to_vec(), 400),
        (vec![b' '; 16 * 1024], 400),
        (vec![b' '; 16 * 1024 + 1], 413),
        // As base64, because they are no text.
        (vec![0xff; 16 * 1024], 400),
        (vec![0xff; 16 * 1024 + 1], 413),
        (vec![0xff; 200_000], 413),
        ("\u{feff}{}".into(), 400),
        (b"{\"user_uuid\":\"\\ud800\"}".to_vec(), 400),
        (b"{\"user_uuid\":\"u\0\"}".to_vec(), 400),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answer = ledger.http("POST", "/credits/decrease", body, claims(ALL)).await;
        assert_eq!(answer.status, status, "{shown:?}: {answer:?}");
        assert!(
            !answer.body.to_string().contains("planted"),
            "what could not be read is not repeated: {answer:?}"
        );
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
}

/// Each place that can hold a lot, at its limit and beyond.
#[tokio::test]
async fn limits_reject_oversized_requests() {
    let ledger = ledger().await;
    let id = |length: usize| "u".repeat(length);
    let fields =
        |count: usize| (0..count).map(|field| format!("\"f{field}\":0")).collect::<Vec<_>>().join(",");
    let deep = |levels| format!("{{\"f\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let names = (0..2_000).map(|name| format!("q{name}")).collect::<Vec<_>>().join("&");
    let charge = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1 }).to_string();
    let post = "/credits/decrease";
    for (method, url, body, key, status, named) in [
        ("POST", post, charge.clone(), id(255), 200, ""),
        ("POST", post, charge.clone(), id(256), 400, "`idempotency_key` must be"),
        ("POST", post, charge.clone(), id(10_000), 400, "`idempotency_key` must be"),
        ("POST", post, charge.clone(), String::new(), 400, "`idempotency_key` must be"),
        ("POST", &format!("{post}?{names}"), charge, id(1), 400, "1980 more problems"),
        (
            "POST",
            post,
            format!("{{{}}}", fields(1_500)),
            id(1),
            400,
            "`f1011` is not a field of this request. 1483 more problems",
        ),
        ("POST", post, format!("{{\"{}\":0}}", "é".repeat(8_000)), id(1), 400, &"é".repeat(64)),
        ("POST", post, deep(8_000), id(1), 400, "`f` is not a field of this request."),
        ("POST", post, deep(8_000).replace("]}", "}"), id(1), 400, "The JSON is malformed at line 1"),
        ("GET", &format!("/credits/{}/balance", id(255)), String::new(), id(1), 200, ""),
        ("GET", &format!("/credits/{}/balance", id(256)), String::new(), id(1), 400, "`user_uuid` must be"),
        ("GET", &format!("/credits/u/balance?{names}"), String::new(), id(1), 400, "1980 more problems"),
        (
            "GET",
            &format!("/credits/u/timeline?cursor={}", id(9_000)),
            String::new(),
            id(1),
            400,
            "`cursor` is not",
        ),
        ("GET", &format!("/{}", "a/".repeat(5_000)), String::new(), id(1), 404, ""),
    ] {
        let answer =
            ledger.http_with(method, url, body, claims(ALL), json!({ "idempotency-key": key })).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let shortened = &url[..url.len().min(40)];
        assert_eq!(answer.status, status, "{shortened}: {answer:?}");
        assert!(
            detail.contains(named) && detail.len() < 4_000,
            "{shortened}: {detail:?} does not name {named:?}"
        );
    }
}

#[tokio::test]
async fn item_that_cannot_be_read_is_an_error_and_never_skipped() {
    use aws_sdk_dynamodb::types::AttributeValue::{N, S};
    for (sort, attribute, value) in [
        ("wallet", "version", S("soon".into())),
        ("wallet", "packs", N("1".into())),
        ("charge#g#", "credits", N("3".into())),
        ("charge#g#", "voided_at", N("1".into())),
        ("charge#g#", "trans_type", S("order_pay".into())),
    ] {
        let ledger = ledger().await;
        let mut item = ledger.item("u", sort).await.unwrap();
        item.insert(attribute.to_owned(), value);
        ledger.client.put_item().table_name(&ledger.table).set_item(Some(item)).send().await.unwrap();
        let (code, detail) = ledger.refund(Some("u"), "g", None).await.unwrap_err();
        assert_eq!((code.as_str(), detail.contains("charge#")), ("Internal", false), "{sort} {attribute}");
        let (user, generation) = ("u".to_owned().try_into().unwrap(), "g".to_owned().try_into().unwrap());
        let read = match sort {
            "wallet" => ledger.store().wallet(&user).await.map(drop),
            _ => ledger.store().charges(&user, &generation, None).await.map(drop),
        };
        let Err(StoreError::Corrupt(why)) = read else { panic!("{sort} {attribute}: {read:?}") };
        assert!(why.contains(&format!("user_uuid=\"u\" sk=\"{sort}\"")), "{why}");
    }
}

/// What each caller may do: status of a charge, of reading `u2`, of reading
/// itself (`u`), and of a generation of `u2`.
#[tokio::test]
async fn scopes_decide_and_are_closed_by_default() {
    let ledger = ledger().await;
    ledger.grant("u2", 10, None).await;
    ledger.charge("u2", 1, "g2", None).await.unwrap();
    for (scope, may) in [
        ("", [403, 403, 200, 404]),
        ("openid profile", [403, 403, 200, 404]),
        ("credits:read", [403, 200, 200, 200]),
        ("credits:write", [200, 403, 200, 404]),
        ("credits:read credits:write", [200, 200, 200, 200]),
    ] {
        let charge = json!({ "user_uuid": "u2", "trans_type": "chat", "credits": 1, "generation_uuid": "s" });
        let requests = [
            ("POST", "/credits/decrease", charge.to_string()),
            ("GET", "/credits/u2/balance", String::new()),
            ("GET", "/credits/u/summary", String::new()),
            ("GET", "/generations/g2", String::new()),
        ];
        for ((method, url, body), status) in requests.into_iter().zip(may) {
            let answer = ledger.http(method, url, body, claims(scope)).await;
            assert_eq!(answer.status, status, "{scope:?} {method} {url}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn old_front_end_keeps_its_shape() {
    let ledger = ledger().await;
    let url = "/api/get-user-credits";
    let ok = json!({ "code": 0, "message": "ok", "data": { "left_credits": 6, "is_recharged": true } });
    for (body, scope, status) in [
        ("{\"user_uuid\":\"u\"}", Some(ALL), 200),
        ("", Some(""), 200),
        ("{}", Some(""), 200),
        ("{\"user_uuid\":\"u2\"}", Some(""), 403),
        ("{\"user\":\"u\"}", Some(ALL), 400),
        ("{", Some(ALL), 400),
        ("{}", None, 401),
        ("", None, 405),
    ] {
        let method = if status == 405 { "GET" } else { "POST" };
        let answer = ledger.http(method, url, body, scope.and_then(claims)).await;
        assert_eq!(answer.status, status, "{body} {scope:?}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        match status {
            200 => assert_eq!(answer.body, ok),
            _ => assert_eq!((&answer.body["code"], &answer.body["data"]), (&json!(-1), &Value::Null)),
        }
    }
}

#[tokio::test]
async fn idempotency_key_header_identifies_requests_without_another_identity() {
    let ledger = ledger().await;
    let charge = |generation: Option<&str>, key: Option<&str>| {
        let request = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1 });
        ("decrease", merged(request, json!({ "generation_uuid": generation, "idempotency_key": key })))
    };
    let grant = |trans_type: &str, order_no: Option<&str>, key: Option<&str>| {
        let request = json!({ "user_uuid": "u", "trans_type": trans_type, "credits": 1 });
        ("grant", merged(request, json!({ "order_no": order_no, "idempotency_key": key })))
    };
    let refund = json!({ "user_uuid": "u", "generation_uuid": "fenced", "reason": "r" });
    for ((path, body), header, expected) in [
        (charge(None, None), "k1", json!(false)),
        (charge(None, None), "k1", json!(true)),
        (charge(None, Some("k1")), "k1", json!(true)),
        (charge(None, None), "k2", json!(false)),
        (charge(None, Some("k2")), "k1", json!("InvalidRequest")),
        (charge(None, None), "not a key", json!("InvalidRequest")),
        (charge(Some("s"), None), "k1", json!(false)),
        (charge(Some("s"), None), "k2", json!(true)),
        (charge(Some("s"), None), "not a key", json!(true)),
        (charge(Some("s"), Some("k1")), "k2", json!(false)),
        (grant("system_add", None, None), "k1", json!(false)),
        (grant("system_add", None, None), "k1", json!(true)),
        (grant("system_add", None, Some("k2")), "k1", json!("InvalidRequest")),
        (grant("order_pay", Some("o"), None), "k1", json!(false)),
        (grant("order_pay", Some("o"), Some("k3")), "k2", json!(true)),
        (("refund", refund), "k1", Value::Null),
        (charge(Some("fenced"), None), "k2", json!("GenerationVoided")),
    ] {
        let (url, headers) = (format!("/credits/{path}"), json!({ "idempotency-key": header }));
        let answer = ledger.http_with("POST", &url, body.to_string(), claims(ALL), headers).await;
        let outcome = if answer.status < 400 { &answer.body["replayed"] } else { &answer.body["code"] };
        assert_eq!(outcome, &expected, "{body} {header}: {answer:?}");
    }
}

fn merged(mut base: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

/// The functions are what the routes are served by, each by one.
#[test]
fn every_route_has_one_function() {
    for route in scrip::transport::ROUTES {
        let path = route.path.replace(['{', '}'], "");
        let serving = FUNCTIONS.iter().filter(|function| function.route_at(route.method, &path).is_some());
        assert_eq!(serving.count(), 1, "{route:?}");
    }
}
