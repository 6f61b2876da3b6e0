//! The binary `decrease` in the environment of Lambda, with events from the runtime API.

use scrip::transport::functions::GRANT;
use scrip_tests::{
    ENGINE_PLACEHOLDER, Lambda,
    cloudwatch_emf::{parse_metrics, sum},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Starts the function with these variables and Lambda's own.
async fn started(environment: &[(&str, &str)]) -> Lambda {
    Lambda::start(env!("CARGO_BIN_EXE_decrease"), environment).await
}

/// Grants a user the first pack directly, and returns its identity.
async fn grant(lambda: &Lambda, user: &str, credits: u64) -> Value {
    let request = json!({ "user_uuid": user, "trans_type": "new_user", "credits": credits });
    lambda.ledger.invoke(GRANT, request).await.expect("a grant")["trans_no"].take()
}

/// A charge of one credit.
fn charge(user: &str, generation: &str) -> Value {
    json!({ "user_uuid": user, "trans_type": "chat", "credits": 1, "generation_uuid": generation })
}

/// An event of an HTTP API, payload format 2.0, as API Gateway sends it with a JWT authorizer.
fn event(claims: &Value, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /credits/decrease",
        "rawPath": "/credits/decrease",
        "rawQueryString": "",
        "cookies": ["session=1", "theme=dark"],
        "headers": {
            "accept": "*/*",
            "authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "curl/8.9.1",
            "x-amzn-trace-id": "Root=1-68f0a0b1-0123456789abcdef01234567",
            "x-forwarded-for": "203.0.113.7, 198.51.100.2",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "authorizer": { "jwt": { "claims": claims, "scopes": null } },
            "domainName": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": "/credits/decrease",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.9.1",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /credits/decrease",
            "stage": "$default",
            "time": "16/Oct/2026:07:36:49 +0000",
            "timeEpoch": 1_792_136_209_583_i64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// Claims with the scope to write, in the form of API Gateway: all values are text.
fn writer() -> Value {
    json!({
        "aud": "[app api]", "exp": "1790000000", "iat": "1789996400", "iss": "https://issuer.example/",
        "scope": "openid credits:write", "sub": "service-1", "token_use": "access",
    })
}

/// The event with one value replaced.
fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    *event.pointer_mut(pointer).expect(pointer) = value;
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_payload_charges_and_returns_the_documented_object() {
    let mut lambda = started(&[]).await;
    let pack = grant(&lambda, "u", 100).await;
    let request = json!({
        "user_uuid": "u", "trans_type": "anime_generation", "credits": 30, "generation_uuid": "g",
        "order_no": null, "idempotency_key": "k",
    });
    for replayed in [false, true] {
        let answer = lambda.invoke(&request).await.unwrap();
        let expected = json!({
            "trans_no": answer["trans_no"], "user_uuid": "u", "generation_uuid": "g",
            "trans_type": "anime_generation", "credits": -30,
            "allocations": [{ "pack": pack, "credits": 30 }],
            "created_at": answer["created_at"], "balance": 70, "replayed": replayed,
        });
        assert_eq!(answer, expected);
        assert_eq!(answer["trans_no"].as_str().map(str::len), Some(36), "{answer}");
        assert_eq!(answer["created_at"].as_str().map(str::len), Some(24), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_is_a_function_error_with_the_code() {
    let mut lambda = started(&[]).await;
    grant(&lambda, "u", 1).await;
    lambda.invoke(&charge("u", "g")).await.unwrap();
    let conflicting = with(charge("u", "g"), "/credits", json!(2)).to_string();
    let deep = |levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let padded = |bytes| format!("{{\"user_uuid\":\"{}\"}}", "u".repeat(bytes));
    for (payload, code) in [
        (charge("u", "g2").to_string(), "InsufficientCredits"),
        (charge("nobody", "g").to_string(), "InsufficientCredits"),
        (conflicting, "IdempotencyConflict"),
        ("1".to_owned(), "InvalidRequest"),
        ("-1.5e300".to_owned(), "InvalidRequest"),
        ("\"x\"".to_owned(), "InvalidRequest"),
        ("true".to_owned(), "InvalidRequest"),
        ("[]".to_owned(), "InvalidRequest"),
        (format!("[{}]", charge("u", "g2")), "InvalidRequest"),
        ("null".to_owned(), "InvalidRequest"),
        ("{}".to_owned(), "InvalidRequest"),
        (" { } ".to_owned(), "InvalidRequest"),
        ("{\"requestContext\":{}}".to_owned(), "InvalidRequest"),
        ("{\"requestContext\":{\"http\":null}}".to_owned(), "InvalidRequest"),
        ("{\"requestContext\":{\"http\":{}},\"rawPath\":1}".to_owned(), "InvalidRequest"),
        ("{\"httpMethod\":\"POST\",\"path\":\"/\",\"requestContext\":{}}".to_owned(), "InvalidRequest"),
        (deep(1_000), "InvalidRequest"),
        (deep(10_000), "PayloadTooLarge"),
        (padded(16 * 1024), "PayloadTooLarge"),
        (padded(5 * 1024 * 1024), "PayloadTooLarge"),
    ] {
        let start: String = payload.chars().take(80).collect();
        let (error_type, message) = lambda.invoke_raw(payload).await.unwrap_err();
        assert_eq!(error_type, code, "{start}: {message}");
        assert!(!message.is_empty() && !message.contains("::"), "{start}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_api_gateway_returns_an_http_response() {
    let mut lambda = started(&[]).await;
    grant(&lambda, "u", 6).await;
    let body = |generation| charge("u", generation).to_string();
    let good = |generation| event(&writer(), &body(generation));
    let claims = |claims| event(&claims, &body("refused"));
    let numbers = json!({ "exp": 1_790_000_000, "scope": "credits:write", "roles": ["a"], "admin": true });
    let names = json!({ "x-name": "Zo\u{eb} \u{1f600}", "content-type": "application/json" });
    let key = json!({ "idempotency-key": "no key" });
    let unrouted = || with(good("refused"), "/routeKey", json!("$default"));
    let staged = with(good("g5"), "/requestContext/stage", json!("prod"));
    let base64 = with(
        good("g6"),
        "/body",
        json!("eyJ1c2VyX3V1aWQiOiJ1IiwidHJhbnNfdHlwZSI6ImNoYXQiLCJjcmVkaXRzIjoxfQ=="),
    );
    let minimal = json!({
        "rawPath": "/credits/decrease",
        "requestContext": {
            "http": { "method": "POST" }, "authorizer": { "jwt": { "claims": { "scp": "credits:write" } } },
        },
        "body": body("g1"),
    });
    for (event, status, code) in [
        (good("g1"), 200, None),
        (good("g1"), 200, None),
        (minimal, 200, None),
        (event(&numbers, &body("g2")), 200, None),
        (with(good("g3"), "/headers", names), 200, None),
        (with(good("g4"), "/requestContext/authorizer/jwt/scopes", json!(["credits:write"])), 200, None),
        (with(staged, "/rawPath", json!("/prod/credits/decrease")), 200, None),
        (with(base64, "/isBase64Encoded", json!(true)), 200, None),
        (good("g7"), 402, Some("InsufficientCredits")),
        (event(&writer(), "{"), 400, Some("InvalidRequest")),
        (event(&writer(), &"[".repeat(10_000)), 400, Some("InvalidRequest")),
        (event(&writer(), &" ".repeat(16 * 1024 + 1)), 413, Some("PayloadTooLarge")),
        (with(good("refused"), "/body", Value::Null), 400, Some("InvalidRequest")),
        (with(good("refused"), "/isBase64Encoded", json!(true)), 400, Some("InvalidRequest")),
        (with(good("g1"), "/headers", key), 200, None),
        (with(good("g1"), "/rawPath", json!("/ledger/credits/decrease")), 200, None),
        (with(unrouted(), "/rawPath", json!("/credits/other")), 404, Some("NotFound")),
        (with(unrouted(), "/requestContext/http/method", json!("GET")), 405, Some("MethodNotAllowed")),
        (with(good("refused"), "/requestContext/authorizer", Value::Null), 401, Some("Unauthorized")),
        (with(good("refused"), "/requestContext/authorizer", json!({})), 401, Some("Unauthorized")),
        (
            with(
                good("refused"),
                "/requestContext/authorizer",
                json!({ "lambda": { "scope": "credits:write" } }),
            ),
            401,
            Some("Unauthorized"),
        ),
        (
            with(
                good("refused"),
                "/requestContext/authorizer",
                json!({ "iam": { "userArn": "arn:aws:iam::1:user/u" } }),
            ),
            401,
            Some("Unauthorized"),
        ),
        (claims(json!({})), 403, Some("Forbidden")),
        (claims(json!({ "sub": "u", "scope": "credits:read" })), 403, Some("Forbidden")),
        (claims(json!({ "scope": 1, "scp": null })), 403, Some("Forbidden")),
    ] {
        let answer = lambda.invoke(&event).await.expect("an HTTP response is not a function error");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["statusCode"], body["code"].as_str()), (&json!(status), code), "{event}");
        let content_type = if code.is_some() { "application/problem+json" } else { "application/json" };
        assert_eq!(answer["headers"]["content-type"], content_type, "{answer}");
        assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_without_claims_is_accepted_only_by_configuration() {
    for (value, status) in
        [(None, 401), (Some(""), 401), (Some("false"), 401), (Some("1"), 401), (Some("true"), 200)]
    {
        let environment: Vec<_> = value.map(|value| ("SCRIP_ADMIT_ANYONE", value)).into_iter().collect();
        let mut lambda = started(&environment).await;
        grant(&lambda, "u", 1).await;
        let event =
            with(event(&writer(), &charge("u", "g").to_string()), "/requestContext/authorizer", Value::Null);
        assert_eq!(lambda.invoke(&event).await.unwrap()["statusCode"], status, "{value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn function_starts_with_additional_variables() {
    for environment in [
        &[("AWS_ENDPOINT_URL", "")][..],
        &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
        &[("AWS_ENDPOINT_URL", ENGINE_PLACEHOLDER), ("AWS_ENDPOINT_URL_DYNAMODB", "")],
        &[("AWS_PROFILE", "")],
        &[("AWS_SESSION_TOKEN", "token")],
        &[("RUST_LOG", "trace")],
        &[("AWS_LAMBDA_LOG_LEVEL", "DEBUG"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")],
        &[("AWS_RETRY_MODE", "legacy")],
        &[("AWS_MAX_ATTEMPTS", "0")],
    ] {
        let mut lambda = started(environment).await;
        grant(&lambda, "u", 1).await;
        let answer = lambda
            .invoke(&charge("u", "g"))
            .await
            .unwrap_or_else(|error| panic!("{environment:?}: {error:?}"));
        assert_eq!(answer["balance"], 0, "{environment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_endpoint_means_the_endpoint_of_the_region() {
    let mut lambda = started(&[("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_DYNAMODB", "")]).await;
    let (error_type, _) = lambda.invoke(&json!({})).await.unwrap_err();
    assert_eq!(error_type, "InvalidRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_store_is_an_error_over_http_and_directly() {
    let mut lambda = started(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await;
    let (error_type, message) = lambda.invoke(&charge("u", "g")).await.unwrap_err();
    assert_eq!(error_type, "StoreUnavailable");
    assert!(!message.contains("127.0.0.1"), "{message}");
    let answer = lambda.invoke(&event(&writer(), &charge("u", "g").to_string())).await.unwrap();
    assert_eq!(answer["statusCode"], 503);
    let retry_after = answer["headers"]["retry-after"].as_str().unwrap();
    assert!(["1", "2", "3"].contains(&retry_after), "{retry_after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn function_connects_to_the_table_before_the_first_event() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut lambda = started(&[("AWS_ENDPOINT_URL_DYNAMODB", &endpoint)]).await;
    let _connection = silent.accept().await.unwrap();
    let (error_type, _) = lambda.invoke(&json!({})).await.unwrap_err();
    assert_eq!(error_type, "InvalidRequest", "an unreachable table does not prevent the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_log_have_the_forms_of_cloudwatch() {
    let mut lambda = started(&[("SCRIP_STACK", "prod"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")]).await;
    grant(&lambda, "u", 10).await;
    lambda.invoke(&charge("u", "g1")).await.unwrap();
    lambda.invoke(&charge("u", "g1")).await.unwrap();
    lambda.invoke(&event(&writer(), &charge("u", "g2").to_string())).await.unwrap();
    lambda.invoke(&with(charge("u", "g3"), "/generation_uuid", Value::Null)).await.unwrap();
    lambda.invoke(&with(charge("u", "g3"), "/credits", json!(20))).await.unwrap_err();
    lambda.invoke(&json!([])).await.unwrap_err();
    let log = lambda.into_output().await;
    let metrics = parse_metrics(&log);
    assert!(metrics.iter().all(|metric| metric.namespace == "Scrip" && metric.dimensions["stack"] == "prod"));
    for (name, dimensions, expected) in [
        ("requests", &[("operation", "decrease")][..], 5.0),
        ("requests", &[("operation", "none")], 1.0),
        ("errors", &[("operation", "decrease"), ("code", "InsufficientCredits")], 1.0),
        ("errors", &[("operation", "none"), ("code", "InvalidRequest")], 1.0),
        ("errors", &[], 2.0),
        ("failures", &[], 0.0),
        ("credits_charged", &[("kind", "chat")], 3.0),
        ("anomalies", &[("anomaly", "charge_without_generation")], 1.0),
        // Two for each charge, also for the replay; the rejection reads the wallet, and then
        // the snapshot.
        ("round_trips", &[("operation", "decrease")], 10.0),
        ("wallet_packs", &[("operation", "decrease")], 5.0),
    ] {
        assert_eq!(sum(&metrics, name, dimensions), expected, "{name} {dimensions:?}: {log}");
    }
    assert!(sum(&metrics, "latency", &[("operation", "decrease")]) > 0.0);
    assert!(sum(&metrics, "write_units", &[("operation", "decrease")]) >= 3.0 * 4.0, "{metrics:?}");
    let line = log.lines().find(|line| {
        line.contains("InsufficientCredits") && line.contains("\"message\"")
            || line.contains("\"code\":\"InsufficientCredits\"") && line.contains("round_trips")
    });
    let line: Value = serde_json::from_str(line.expect("a log line")).unwrap();
    let fields = &line["fields"];
    assert_eq!((&fields["operation"], &fields["user_uuid"]), (&json!("decrease"), &json!("u")), "{line}");
    assert_eq!((&fields["generation_uuid"], &fields["round_trips"]), (&json!("g3"), &json!(2)), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_off_without_a_stack() {
    let mut lambda = started(&[]).await;
    grant(&lambda, "u", 10).await;
    lambda.invoke(&charge("u", "g1")).await.unwrap();
    assert_eq!(parse_metrics(&lambda.into_output().await), []);
}

/// Every text with `planted` is a secret, or is at a place where secrets occur.
#[tokio::test(flavor = "multi_thread")]
async fn log_contains_no_secret_at_any_level() {
    let planted = json!({
        "authorization": "Bearer planted-token", "cookie": "planted-cookie", "x-signature": "planted-signature",
        "idempotency-key": "planted-key #",
    });
    let mut claims = writer();
    claims["email"] = json!("planted-claim");
    let good =
        with(event(&claims, &charge("u", "g").to_string()), "/headers", json!({ "a": "planted-header" }));
    let unreadable = with(event(&claims, "{\"a\":planted-body"), "/headers", planted.clone());
    let invalid = with(event(&claims, &charge("u", "planted #").to_string()), "/headers", planted);
    let forging = with(good.clone(), "/requestContext/requestId", json!("id\nforged line\u{1b}[2J"));
    let mut broken = good.clone();
    broken["rawPath"] = json!(["planted-path"]);
    let direct = json!({ "user_uuid": "planted #", "password": "planted-field" });

    for environment in [
        &[][..],
        &[("RUST_LOG", "trace")],
        &[("RUST_LOG", "trace"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")],
        &[("AWS_LAMBDA_LOG_LEVEL", "TRACE")],
        &[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")],
    ] {
        let secrets = [("AWS_SECRET_ACCESS_KEY", "planted-secret"), ("AWS_SESSION_TOKEN", "planted-session")];
        let mut lambda = started(&[&secrets, environment].concat()).await;
        grant(&lambda, "u", 1).await;
        for payload in [&good, &unreadable, &invalid, &forging, &broken, &direct, &json!("planted-text")] {
            let result = format!("{:?}", lambda.invoke(payload).await);
            assert!(!result.contains("planted"), "{environment:?} {payload}: {result}");
        }
        let log = lambda.into_output().await;
        assert!(log.matches("request_id").count() >= 7, "{environment:?}: {log}");
        assert!(!log.contains("planted") && !log.contains("eyJ"), "{environment:?}: {log}");
        assert!(!log.contains("\nforged line") && !log.contains("\u{1b}[2J"), "{environment:?}: {log}");
    }
}
