//! The functions' metrics, as the local stack shows them.

use serde_json::json;

use crate::support::{Stack, charge, rest};

#[test]
fn the_figures_are_at_metrics_and_summed_up_at_the_end() {
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
    let refused = client.send("POST", "/credits/decrease", &[], charge("u", 90, "g3").to_string().as_bytes());
    assert_eq!(refused.status, 402);

    let told = rest(stack.connection("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
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
        assert!(told.lines().any(|said| said == line), "{line}: {told}");
    }
    let expected = "answered 6 requests, 1 of them by an error, 0 by a failure; credits: 20 granted, 7 charged, 4 voided";
    assert_eq!(stack.last_line(), expected);
}
