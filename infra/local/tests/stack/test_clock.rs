//! `--test-clock`: a clock that tests move.

use serde_json::{Value, json};

use crate::support::{Client, Stack, charge};

fn advance(client: &Client, body: &Value) -> (u16, Value) {
    let answer = client.send("POST", "/test/clock", &[], body.to_string().as_bytes());
    (answer.status, answer.body)
}

#[test]
fn clock_has_no_route_without_the_flag() {
    let stack = Stack::start(&["--memory"]);
    let (status, body) = advance(&stack.client(), &json!({ "advance_seconds": 60 }));
    assert_eq!((status, &body["code"]), (404, &json!("NotFound")));
}

#[test]
fn clock_expires_packs_and_signatures() {
    let stack = Stack::start(&["--memory", "--test-clock"]);
    let client = stack.client();
    let now =
        || advance(&client, &json!({ "advance_seconds": 0 })).1["now"].as_str().expect("a time").to_owned();
    let before = now();
    let expired_at =
        before.replacen(&before[..4], &format!("{}", before[..4].parse::<u32>().unwrap() + 1), 1);
    let pack = json!({
        "user_uuid": "u", "trans_type": "system_add", "credits": 5, "expired_at": expired_at, "idempotency_key": "k",
    });
    client.post("/credits/grant", &pack);
    client.post("/credits/decrease", &charge("u", 1, "g"));
    assert_eq!(client.balance("u"), 4);
    let (status, _) = advance(&client, &json!({ "advance_seconds": 367 * 24 * 60 * 60 }));
    assert_eq!((status, client.balance("u")), (200, 0));
    assert!(now() > expired_at, "the clock is after the expiry");
    client.grant("u", 7);
    assert!(client.records("u")[0]["created_at"].as_str().unwrap() > expired_at.as_str());
    let answer = client.callback("local-webhook-secret", "g");
    assert_eq!(answer.status, 401, "the signature is of the system's time: {answer:?}");
}

#[test]
fn clock_moves_forward_by_whole_seconds() {
    let stack = Stack::start(&["--memory", "--test-clock"]);
    let client = stack.client();
    for seconds in
        [json!(-1), json!(1.5), json!("60"), json!(null), json!(i64::MAX), json!(3_155_760_001_u64)]
    {
        assert_eq!(advance(&client, &json!({ "advance_seconds": seconds })).0, 400, "{seconds}");
    }
    assert_eq!(advance(&client, &json!([])).0, 400);
    assert_eq!(client.send("GET", "/test/clock", &[], b"").status, 404);
    assert_eq!(advance(&client, &json!({ "advance_seconds": 3_155_000_000_u64 })).0, 200);
    assert_eq!(advance(&client, &json!({ "advance_seconds": 3_155_000_000_u64 })).0, 400, "100 years in all");
}
