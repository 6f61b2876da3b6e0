//! Metrics of the local stack: the endpoint and the summary at shutdown.

use serde_json::json;

use crate::support::{Stack, charge, rest};

#[test]
fn metrics_are_served_and_summarized_at_shutdown() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("u", 20);
    client.post("/credits/decrease", &charge("u", 3, "g1"));
    client.post("/credits/decrease", &charge("u", 4, "g2"));
    client.post(
        "/credits/refund",
        &json!({ "user_uuid": "u", "generation_uuid": "g2", "reason": "it failed" }),
    );
    client.balance("u");
    let rejected =
        client.send("POST", "/credits/decrease", &[], charge("u", 90, "g3").to_string().as_bytes());
    assert_eq!(rejected.status, 402);

    let metrics = rest(stack.connection("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    for line in [
        "# TYPE requests_total counter",
        "requests_total{operation=\"decrease\"} 3",
        "requests_total{operation=\"balance\"} 1",
        "errors_total{operation=\"decrease\",code=\"InsufficientCredits\"} 1",
        "credits_voided_total{kind=\"generation\"} 4",
        "refunds_total{outcome=\"voided\"} 1",
        "latency_seconds_count{operation=\"grant\"} 1",
        "round_trips_sum{operation=\"balance\"} 1",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}: {metrics}");
    }
    assert_eq!(
        stack.last_line(),
        "requests: 6, errors: 1, failures: 0; credits granted: 20, charged: 7, voided: 4"
    );
}
