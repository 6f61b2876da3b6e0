//! Retries: contention, unknown outcomes, resends, large refunds and repeated deliveries.

use std::collections::VecDeque;

use aws_sdk_dynamodb::types::AttributeValue::M;
use scrip::transport::functions::{DECREASE, GRANT, REFUND};
use scrip_tests::{Fault, RecordedRequest, TestLedger};
use serde_json::{Value, json};

use super::write_path::{ENOUGH, HOUR, charge, grant, ledger, number, refund};

const CONFLICT: Fault = Fault::Cancelled(&["None", "TransactionConflict"]);
const MISMATCH: Fault = Fault::Error(400, "IdempotentParameterMismatchException");

/// How long a request took, in milliseconds of the clock, and how it ended.
async fn timed(ledger: &TestLedger, request: &Value, millis: i64) -> (i64, Result<Value, String>) {
    let began = ledger.clock.now();
    let ended = ledger.deliver(DECREASE, request, "request-timed", millis).await;
    (ledger.clock.now().millis() - began.millis(), ended.map_err(|(code, _)| code))
}

#[tokio::test]
async fn charge_that_meets_conflicts_is_busy_after_three_seconds() {
    let ledger = ledger().await;
    ledger.http_client.inject(|sent| sent.is_write().then_some(CONFLICT));
    let (took, ended) = timed(&ledger, &charge("gen-2", None, 1), 29_500).await;
    assert_eq!(ended.unwrap_err(), "Busy");
    assert!((2_500..10_000).contains(&took), "{took} ms");
    ledger.http_client.inject(|_| None);
    assert_eq!(ledger.sound_balance("u").await, 5);
}

/// `Busy` means that nothing was done.
#[tokio::test]
async fn charge_of_unknown_outcome_is_never_busy() {
    for (faults, charged) in [
        (vec![Fault::ResponseLost], 1),
        (vec![Fault::RequestLost], 0),
        (vec![Fault::RequestLost, MISMATCH], 0),
        (vec![CONFLICT, Fault::RequestLost, MISMATCH], 0),
    ] {
        let ledger = ledger().await;
        let mut left = VecDeque::from(faults.clone());
        ledger.http_client.inject(move |sent| sent.is_write().then(|| left.pop_front().unwrap_or(CONFLICT)));
        let (took, ended) = timed(&ledger, &charge("gen-2", None, 1), 2_000).await;
        assert_eq!(ended.unwrap_err(), "StoreUnavailable", "{faults:?}");
        assert!((1_000..10_000).contains(&took), "{faults:?}: {took} ms");
        ledger.http_client.inject(|_| None);
        assert_eq!(ledger.sound_balance("u").await, 5 - charged, "{faults:?}");
    }
}

/// The bodies of the transactions since the last call.
fn bodies(ledger: &TestLedger) -> Vec<String> {
    ledger
        .http_client
        .take_requests()
        .into_iter()
        .filter(RecordedRequest::is_write)
        .map(|sent| sent.body)
        .collect()
}

#[tokio::test]
async fn resend_is_the_first_request_byte_for_byte() {
    let ledger = TestLedger::new().await;
    let numbers = || M(["a", "b", "c", "d"].map(|name| (name.to_owned(), number(1))).into());
    for pack in 0..4 {
        ledger.grant("u", 10, Some(&format!("2027-01-0{}T00:00:00Z", pack + 1))).await;
        // Members that this version does not define are written in the same order, too.
        ledger.set("u", "wallet", &format!("packs[{pack}].y"), number(1)).await;
        ledger.set("u", "wallet", &format!("packs[{pack}].z"), numbers()).await;
    }
    for (function, request) in [
        (DECREASE, charge("gen-1", None, 35)),
        (GRANT, grant("order-1", 5)),
        (REFUND, refund(Some("u"), "gen-1")),
        (REFUND, refund(Some("u"), "gen-2")),
    ] {
        bodies(&ledger);
        ledger.http_client.fail_writes([Fault::RequestLost, Fault::ResponseLost]);
        ledger.invoke(function, request.clone()).await.unwrap();
        let sent = bodies(&ledger);
        assert!(sent[0].contains("ClientRequestToken"), "{}", sent[0]);
        assert_eq!(sent, vec![sent[0].clone(); 3], "{request}");
    }
}

#[tokio::test]
async fn token_mismatch_after_an_unknown_outcome_is_looked_up() {
    for lost in [Fault::ResponseLost, Fault::RequestLost] {
        let ledger = ledger().await;
        for (function, request, change) in [
            (DECREASE, charge("gen-2", None, 3), -3),
            (GRANT, grant("order-2", 5), 5),
            (REFUND, refund(Some("u"), "gen-1"), 4),
            (REFUND, refund(Some("u"), "gen-4"), 0),
        ] {
            let before = i64::try_from(ledger.sound_balance("u").await).unwrap();
            ledger.http_client.fail_writes([lost.clone(), MISMATCH]);
            let answer = ledger.invoke(function, request.clone()).await.unwrap();
            let after = i64::try_from(ledger.sound_balance("u").await).unwrap();
            assert_eq!(after - before, change, "{lost:?}: {request}");
            if function.name == REFUND.name {
                let outcome = if change == 0 { "fenced" } else { "voided" };
                assert_eq!((&answer["outcome"], &answer["credits"]), (&json!(outcome), &json!(change)));
            } else {
                assert_eq!((&answer["replayed"], &answer["balance"]), (&json!(false), &json!(after)));
            }
        }
        assert_eq!(ledger.records("u").await.len(), 5, "{lost:?}");
    }
}

#[tokio::test]
async fn token_mismatch_without_an_unknown_outcome_is_internal() {
    let ledger = ledger().await;
    let before = ledger.items().await;
    for (function, request) in [
        (DECREASE, charge("gen-2", None, 3)),
        (GRANT, grant("order-2", 5)),
        (REFUND, refund(Some("u"), "gen-1")),
    ] {
        ledger.http_client.fail_writes([MISMATCH]);
        assert_eq!(ledger.invoke(function, request).await.unwrap_err().0, "Internal");
    }
    assert_eq!(ledger.items().await, before);
}

/// A session of so many charges of one credit each.
async fn session(charges: u64) -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.grant("u", charges, None).await;
    for message in 0..charges {
        ledger.charge("u", 1, "s", Some(&format!("m{message}"))).await.unwrap();
    }
    ledger.http_client.take_requests();
    ledger
}

/// How many charges each transaction since the last call voids.
fn voids(ledger: &TestLedger) -> Vec<usize> {
    let sent = ledger.http_client.take_requests().into_iter().filter(RecordedRequest::is_write);
    sent.map(|sent| sent.request["TransactItems"].as_array().unwrap().len() - 1).collect()
}

#[tokio::test]
async fn refund_of_many_charges_halves_its_transactions_until_they_pass() {
    let halved: &[_] = &[60, 30, 15, 8, 8, 8, 8, 8, 8, 8, 4];
    for (fault, expected) in [(CONFLICT, halved), (Fault::RequestLost, halved), (Fault::ResponseLost, &[60])]
    {
        let ledger = session(60).await;
        let injected = fault.clone();
        ledger.http_client.inject(move |sent| {
            let actions = sent.request["TransactItems"].as_array().map_or(0, Vec::len);
            (sent.is_write() && actions > 10).then(|| injected.clone())
        });
        let refund = ledger.refund(Some("u"), "s", None).await.unwrap();
        assert_eq!((&refund["outcome"], &refund["credits"]), (&json!("voided"), &json!(60)), "{fault:?}");
        assert_eq!(refund["records"].as_array().unwrap().len(), 60, "{fault:?}");
        assert_eq!(voids(&ledger), expected, "{fault:?}");
        assert_eq!(ledger.sound_balance("u").await, 60, "{fault:?}");
    }
}

#[tokio::test]
async fn refund_whose_every_transaction_meets_a_conflict_is_busy() {
    let ledger = session(60).await;
    let before = ledger.items().await;
    ledger.http_client.inject(|sent| sent.is_write().then_some(CONFLICT));
    let began = ledger.clock.now();
    assert_eq!(ledger.refund(Some("u"), "s", None).await.unwrap_err().0, "Busy");
    let took = ledger.clock.now().millis() - began.millis();
    assert!((2_500..10_000).contains(&took), "{took} ms");
    let sent = voids(&ledger);
    assert!(sent[0] == 60 && sent.windows(2).all(|pair| pair[1] == pair[0].div_ceil(2)), "{sent:?}");
    assert!(sent.len() < 100, "{sent:?}");
    assert_eq!(ledger.items().await, before);
}

#[tokio::test]
async fn request_without_an_identity_is_done_once_for_each_delivery() {
    let grant = json!({ "user_uuid": "u", "trans_type": "system_add", "credits": 5 });
    let charge = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 2 });
    let ledger = ledger().await;
    for (function, request, balances) in [(GRANT, grant, [10, 15]), (DECREASE, charge, [13, 11])] {
        let deliver = |id| ledger.deliver(function, &request, id, ENOUGH);
        let first = deliver("delivery-1").await.unwrap();
        assert_eq!((&first["replayed"], &first["balance"]), (&json!(false), &json!(balances[0])));
        let again = deliver("delivery-1").await.unwrap();
        assert_eq!((&again["replayed"], &again["balance"]), (&json!(true), &json!(balances[0])));
        assert_eq!(again["trans_no"], first["trans_no"]);
        let other = deliver("delivery-2").await.unwrap();
        assert_eq!((&other["replayed"], &other["balance"]), (&json!(false), &json!(balances[1])));
        assert_ne!(other["trans_no"], first["trans_no"]);
    }
    assert_eq!(ledger.sound_balance("u").await, 11);
}

#[tokio::test]
async fn charge_of_unknown_outcome_after_a_conflict_is_never_busy() {
    let ledger = ledger().await;
    let mut left = VecDeque::from([CONFLICT, Fault::ResponseLost]);
    ledger.http_client.inject(move |sent| sent.is_write().then(|| left.pop_front().unwrap_or(CONFLICT)));
    let (_, ended) = timed(&ledger, &charge("gen-2", None, 1), 2_000).await;
    ledger.http_client.inject(|_| None);
    assert_eq!(ledger.sound_balance("u").await, 4, "it was charged");
    assert_eq!(ended.unwrap_err(), "StoreUnavailable");
}

#[tokio::test]
async fn second_delivery_is_a_replay_where_a_new_request_would_be_refused() {
    let ledger = ledger().await;
    let charge = json!({ "user_uuid": "u", "trans_type": "chat", "credits": 4 });
    let grant = json!({
        "user_uuid": "u", "trans_type": "system_add", "credits": 4, "expired_at": "2026-01-01T03:00:00Z",
    });
    for (function, request) in [(DECREASE, charge), (GRANT, grant)] {
        let first = ledger.deliver(function, &request, "delivery-1", ENOUGH).await.unwrap();
        ledger.clock.pass_millis(2 * HOUR);
        let again = ledger.deliver(function, &request, "delivery-1", ENOUGH).await.unwrap();
        assert_eq!((&again["replayed"], &again["trans_no"]), (&json!(true), &first["trans_no"]));
    }
}

#[tokio::test]
async fn refund_of_99_charges_passes_though_large_transactions_get_no_answer() {
    let ledger = session(99).await;
    ledger.http_client.inject(|sent| {
        let actions = sent.request["TransactItems"].as_array().map_or(0, Vec::len);
        (sent.is_write() && actions > 10).then_some(Fault::RequestLost)
    });
    let refund = ledger.refund(Some("u"), "s", None).await;
    assert_eq!(refund.unwrap()["credits"], 99, "{:?}", voids(&ledger));
}
