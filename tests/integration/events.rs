//! The sample events beside each function.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use scrip::{
    domain::Timestamp,
    ledger::{ClockAndRandom, Ledger},
    transport::{
        App, Function, ROUTES, Reply,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, PAYMENTS, REFUND, WEBHOOK},
    },
};
use scrip_tests::{
    HttpResponse, TestLedger, callbacks_signed_with, function_at, invoke, payments_signed_with,
};
use serde_json::json;

/// The events of a function with their names, short ones first: a settlement follows its charge.
fn events(function: Function) -> Vec<(String, String)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions").join(function.name).join("events");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(&path).unwrap());
    let mut events: Vec<_> = files.map(read).collect();
    events.sort_by_key(|(path, _)| path.len());
    events
}

/// In an order in which each finds what it needs.
#[tokio::test]
async fn every_sample_event_is_answered() {
    let test_ledger = TestLedger::new().await;
    let ledger = Ledger::new(test_ledger.store(), test_ledger.clock.sources());
    let callbacks = callbacks_signed_with("local-webhook-secret");
    let payments = payments_signed_with("local-stripe-secret");
    let app = Arc::new(App::new(ledger).with_callbacks(callbacks).with_payments(payments));
    let deadline = test_ledger.clock.now().plus_millis(60_000);
    for function in [GRANT, DECREASE, BALANCE, HISTORY, REFUND, WEBHOOK, PAYMENTS] {
        let events = events(function);
        assert!(events.len() >= 2, "{}", function.name);
        for (path, event) in events {
            match invoke(&app, function, event, deadline).await {
                Ok(Reply::Http(answer)) => {
                    assert!(path.contains("/http"), "{path}");
                    assert!((200..300).contains(&answer.status_code), "{path}: {answer:?}");
                }
                Ok(Reply::Direct(_)) => assert!(path.contains("/direct"), "{path}"),
                Err(failure) => panic!("{path}: {failure:?}"),
            }
        }
    }
}

/// What is empty is `null`, there are no claims, and the deadline lies in 1970.
#[tokio::test]
async fn event_as_cargo_lambda_writes_it_is_answered() {
    let test_ledger = TestLedger::new().await;
    let ledger = Ledger::new(test_ledger.store(), ClockAndRandom::system());
    let app = Arc::new(App::new(ledger).without_authentication());
    let event = json!({
        "version": "2.0", "rawPath": "/credits/u/balance", "rawQueryString": null, "headers": null,
        "body": null, "isBase64Encoded": null,
        "requestContext": {
            "http": { "method": "GET", "path": "/credits/u/balance" }, "requestId": null, "stage": null,
            "authorizer": null,
        },
    });
    let deadline = Timestamp::from_millis(600_000).unwrap();
    let Ok(Reply::Http(answer)) = invoke(&app, BALANCE, event.to_string(), deadline).await else {
        panic!("no HTTP answer");
    };
    assert_eq!(answer.status_code, 200, "{answer:?}");
}

#[test]
fn cargo_lambda_serves_every_route() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
    for route in ROUTES {
        let function = function_at(route.method, &route.path.replace(['{', '}'], ""));
        let line = format!("\"{}\" = \"{}\"", route.path, function.name);
        assert!(manifest.lines().any(|listed| listed == line), "{line}");
    }
}

/// A custom domain with a base path changes the path of an event, and neither its route nor the
/// path parameters, which API Gateway decodes.
#[tokio::test]
async fn route_is_found_by_route_key_and_path_parameters() {
    let ledger = TestLedger::new().await;
    ledger.grant("auth0|5f", 7, None).await;
    let event = |route: &str, path: &str, parameters: serde_json::Value| {
        json!({
            "version": "2.0", "routeKey": route, "rawPath": path, "pathParameters": parameters,
            "requestContext": {
                "http": { "method": "GET" }, "authorizer": { "jwt": { "claims": { "sub": "auth0|5f" } } },
            },
        })
    };
    let route = "GET /credits/{user_uuid}/balance";
    for (event, status) in [
        (event(route, "/ledger/credits/auth0%7C5f/balance", json!({ "user_uuid": "auth0|5f" })), 200),
        (event(route, "/ledger/credits/u/balance", json!({ "user_uuid": "u" })), 403),
        (event("$default", "/credits/auth0%7C5f/balance", json!(null)), 200),
        (event(route, "/credits/auth0%7C5f/balance", json!(null)), 200),
        (event("$default", "/ledger/credits/auth0%7C5f/balance", json!(null)), 404),
        (event("GET /credits/{user_uuid}/other", "/credits/auth0%7C5f/balance", json!({})), 200),
    ] {
        let response = HttpResponse::from_reply(ledger.send(BALANCE, event.to_string()).await);
        assert_eq!(response.status, status, "{event}");
        if status == 200 {
            assert_eq!(
                (&response.body["user_uuid"], &response.body["balance"]),
                (&json!("auth0|5f"), &json!(7))
            );
        }
    }
}
