//! Holds: the stack voids overdue charges without a request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Stack, charge, command, wait_until};

/// The longest time from the end of a hold to its void.
const DELAY_MAX: Duration = Duration::from_secs(2);

fn charge_held(client: &Client, generation: &str, seconds: u64) {
    let mut body = charge("u", 4, generation);
    body["hold_seconds"] = json!(seconds);
    client.post("/credits/decrease", &body);
}

/// The newest record of the user when its balance is back, and the time until then.
fn void_of(client: &Client, balance: u64, since: Instant) -> (Value, Duration) {
    wait_until("the hold times out", || client.balance("u") == balance);
    let took = since.elapsed();
    (client.records("u").remove(0), took)
}

#[test]
fn hold_is_voided_within_two_seconds_of_its_end() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("u", 9);
    let start = Instant::now();
    charge_held(&client, "g", 1);
    let (record, took) = void_of(&client, 9, start);
    assert_eq!((&record["is_voided"], &record["voided_reason"]), (&json!(true), &json!("hold timed out")));
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(1) + DELAY_MAX, "{took:?}");
    let late = json!({ "user_uuid": "u", "generation_uuid": "g", "credits": 1 }).to_string();
    let late = client.send("POST", "/credits/settle", &[], late.as_bytes());
    assert_eq!((late.status, &late.body["code"]), (409, &json!("GenerationVoided")));
}

#[test]
fn hold_is_voided_after_the_test_clock_moved() {
    let stack = Stack::start(&["--memory", "--test-clock"]);
    let client = stack.client();
    client.grant("u", 9);
    charge_held(&client, "g", 604_800);
    charge_held(&client, "settled", 604_800);
    client.post("/credits/settle", &json!({ "user_uuid": "u", "generation_uuid": "settled", "credits": 3 }));
    assert_eq!(client.balance("u"), 2);
    client.post("/test/clock", &json!({ "advance_seconds": 604_801 }));
    let (_, took) = void_of(&client, 6, Instant::now());
    assert!(took < DELAY_MAX, "{took:?}");
}

/// A process that dies leaves its hold in the table. The next process voids it.
#[test]
fn hold_outlives_the_process_that_made_it() {
    let first = Stack::start(&["--memory"]);
    let second = Stack::run(command(&["--port", "0", "--dynamodb-endpoint", &first.engine]));
    let client = first.client();
    client.grant("u", 9);
    charge_held(&second.client(), "g", 1);
    second.kill();
    let (record, _) = void_of(&client, 9, Instant::now());
    assert_eq!(record["voided_reason"], "hold timed out");
}
