//! `infra/openapi.yaml` compared with the API.

use std::{collections::BTreeSet, fs, path::Path};

use scrip::transport::ROUTES;
use serde_json::Value;

use crate::support::{Stack, signature};

/// Method, path and definition of each operation.
fn operations() -> Vec<(String, String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.yaml");
    let document: Value =
        yaml_serde::from_str(&fs::read_to_string(path).expect("the document")).expect("YAML");
    let paths = document["paths"].as_object().expect("paths");
    let at = |path: &String, methods: &Value| {
        let methods = methods.as_object().expect("methods").iter();
        methods
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(|(path, methods)| at(path, methods)).collect()
}

#[test]
fn openapi_document_has_exactly_the_routes() {
    let documented: BTreeSet<_> = operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let served = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(documented, served);
}

/// In an order in which each example has its preconditions.
#[test]
fn openapi_examples_succeed() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let operations = operations();
    let mut tried = 0;
    for id in ["grant", "revoke", "decrease", "settle", "refund", "webhook", "stripe", "getUserCredits"] {
        let (method, path, operation) =
            operations.iter().find(|(_, _, operation)| operation["operationId"] == id).unwrap();
        let examples = operation.pointer("/requestBody/content/application~1json/examples").unwrap();
        for (name, example) in examples.as_object().unwrap() {
            let body = example["value"].to_string();
            let [of_webhook, of_stripe] = ["local-webhook-secret", "local-stripe-secret"]
                .map(|secret| signature(secret, body.as_bytes()));
            let headers = [("X-Signature", &*of_webhook), ("Stripe-Signature", &*of_stripe)];
            let path = path.replace("{order_no}", "order-1");
            let answer = client.send(method, &path, &headers, body.as_bytes());
            assert!((200..300).contains(&answer.status), "{id} {name}: {answer:?}");
            let is_documented = operation["responses"].get(answer.status.to_string()).is_some();
            assert!(is_documented, "{id} {name}: {}", answer.status);
            tried += 1;
        }
    }
    assert_eq!(tried, 22);
}
