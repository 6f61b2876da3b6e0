//! Revocations beside other callers: invalid and unauthorized requests, limits, lost responses and
//! races.

use std::time::Duration;

use scrip::transport::functions::{GRANT, HISTORY};
use scrip_tests::{
    Fault, TestLedger,
    engine::{Schedule, Timing},
};
use serde_json::{Value, json};
use tokio::{join, time::sleep};

use super::*;

#[tokio::test]
async fn invalid_revocations_name_their_problems() {
    let ledger = TestLedger::new().await;
    for (fields, detail) in [
        (json!({}), "`credits` is required, or `part` and `of`, but not both."),
        (
            json!({ "credits": 1, "part": 1, "of": 2 }),
            "`credits` is required, or `part` and `of`, but not both.",
        ),
        (json!({ "part": 1 }), "`credits` is required, or `part` and `of`, but not both."),
        (json!({ "of": 1 }), "`credits` is required, or `part` and `of`, but not both."),
        (json!({ "part": 3, "of": 2 }), "`part` must be at most `of`, which must be at least 1."),
        (json!({ "part": 0, "of": 0 }), "`part` must be at most `of`, which must be at least 1."),
        (json!({ "credits": 1, "source": null }), "`source` is required."),
        (
            json!({ "credits": 1, "as_of": "yesterday" }),
            "`as_of` must be an RFC 3339 timestamp up to the year 9999.",
        ),
        (json!({ "credits": 1, "reason": null }), "`reason` is required."),
        (json!({ "credits": 1, "shortfall": "forgive" }), "`shortfall` must be `keep` or `debt`."),
        (
            json!({ "credits": 1, "idempotency_key": "k" }),
            "`idempotency_key` is not a field of this request.",
        ),
        (json!({ "credits": 1.5 }), "`credits` must be a whole number from 0 to 1000000000000."),
        (json!({ "part": 1.5, "of": 2 }), "`part` must be a whole number from 0 to 9007199254740991."),
    ] {
        let outcome = ledger.invoke(GRANT, revocation("o", "refund", 1, fields.clone())).await;
        assert_eq!(outcome.unwrap_err(), ("InvalidRequest".to_owned(), detail.to_owned()), "{fields}");
    }
    assert_eq!(ledger.items().await.len(), 0);
}

/// The same request over HTTP and by direct invocation; the caller needs permission to write.
#[tokio::test]
async fn revoke_over_http_needs_permission_to_write() {
    let ledger = TestLedger::new().await;
    run(&ledger, &Grant("in_1/a", 100, None)).await.unwrap();
    let body = json!({ "source": "refund", "credits": 30, "as_of": "2026-01-01T00:00:00Z", "reason": "r" });
    for (claims, status) in [
        (None, 401),
        (Some(json!({ "sub": "u" })), 403),
        (Some(json!({ "sub": "u", "scope": "credits:read" })), 403),
        (Some(json!({ "scope": "credits:write" })), 200),
    ] {
        let url = "/credits/orders/in_1%2Fa/revoke";
        let response = ledger.http("POST", url, body.to_string(), claims.clone()).await;
        assert_eq!(response.status, status, "{claims:?}: {}", response.body);
        if status == 200 {
            let expected = json!({
                "outcome": "revoked", "order_no": "in_1/a", "user_uuid": "u", "granted": 100, "revoked": 30, "taken": 30,
                "restored": 0, "expired": 0, "shortfall": 0, "debt": 0, "balance": 70,
            });
            assert_eq!(response.body, expected);
        }
    }
    let direct = with(body, json!({ "operation": "revoke", "order_no": "in_1/a" }));
    assert_fields(&ledger.invoke(GRANT, direct).await.unwrap(), &unchanged(30), "directly");
}

#[tokio::test]
async fn timeline_and_summary_show_revoked_credits() {
    let ledger = TestLedger::new().await;
    let range = json!({ "operation": "summary", "user_uuid": "u", "from": "2025-01-01T00:00:00Z" });
    let summary = json!({ "operation": "summary", "user_uuid": "u" });
    for (step, record, revoked) in [
        (order().0, json!(null), 0),
        (Charge("a", 80), json!(null), 0),
        (Revoke("o", "refund", 2, json!({ "credits": 50 })), json!(50), 20),
        (Revoke("o", "dispute:dp_1", 2, owed(30)), json!(80), 50),
        (Revoke("o", "dispute:dp_1", 3, owed(0)), json!(50), 20),
        (Refund("a"), json!(50), 50),
        (Revoke("o", "refund", 3, json!({ "credits": 0 })), json!(null), 0),
    ] {
        run(&ledger, &step).await.unwrap();
        let records = ledger.records("u").await;
        assert_eq!(records.last().unwrap()["revoked"], record);
        let summary = ledger.invoke(HISTORY, summary.clone()).await.unwrap();
        assert_eq!(summary["revoked"], json!({ "credits": revoked }), "{summary}");
        assert_eq!(ledger.invoke(HISTORY, range.clone()).await.unwrap()["revoked"], Value::Null);
        ledger.audited_balance("u").await;
    }
}

#[tokio::test]
async fn revocations_have_limits() {
    let ledger = TestLedger::new().await;
    run(&ledger, &order().0).await.unwrap();
    let revoke = |order_no: &str, source: &str, day: u8, fields: Value| {
        let request = revocation(order_no, source, day, fields);
        let ledger = &ledger;
        async move { ledger.invoke(GRANT, request).await.map_err(|(code, detail)| format!("{code}: {detail}")) }
    };
    for nth in 0..20 {
        revoke("o", &format!("dispute:{nth}"), 1, json!({ "credits": 1 })).await.unwrap();
    }
    let many = revoke("o", "dispute:20", 1, json!({ "credits": 1 })).await.unwrap_err();
    assert_eq!(many, "LimitExceeded: The order is already revoked by 20 sources.");
    for nth in 0..80_u64 {
        let fields = json!({ "credits": nth % 2, "as_of": format!("2026-02-01T00:00:00.{nth:03}Z") });
        revoke("o", "dispute:0", 1, fields).await.unwrap();
    }
    let many = revoke("o", "dispute:0", 1, json!({ "credits": 0, "as_of": "2026-02-02T00:00:00Z" })).await;
    assert_eq!(
        many.unwrap_err(),
        "LimitExceeded: The revoked credits of the order have already changed 100 times."
    );
    let same = revoke("o", "dispute:1", 2, json!({ "credits": 1 })).await.unwrap();
    assert_fields(&same, &unchanged(20), "no credits change");
    run(&ledger, &Charge("a", 80)).await.unwrap();
    for nth in 0..51 {
        let order_no = format!("o{nth}");
        let grant =
            json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": order_no, "credits": 1 });
        ledger.invoke(GRANT, grant).await.unwrap();
        run(&ledger, &Charge(["g", &order_no].concat().leak(), 1)).await.unwrap();
        let outcome = revoke(&order_no, "refund", 1, json!({ "credits": 1 })).await;
        let expected = "LimitExceeded: The wallet already has 50 revoked orders with a shortfall.";
        assert_eq!(outcome.err().as_deref(), (nth == 50).then_some(expected), "{nth}");
    }
    assert_eq!(ledger.audited_balance("u").await, 0);
}

/// The response of the transaction is lost. The same call finds its own change.
#[tokio::test]
async fn revocation_whose_response_is_lost_is_done_once() {
    for (before, step, expected) in [
        (
            vec![order().0],
            Revoke("o", "refund", 2, json!({ "credits": 30 })),
            json!({ "outcome": "revoked", "taken": 30 }),
        ),
        (vec![], Revoke("o", "refund", 2, json!({ "credits": 30 })), json!({ "outcome": "kept" })),
        (
            vec![order().0, Revoke("o", "refund", 1, json!({ "credits": 30 }))],
            Revoke("o", "refund", 2, json!({ "credits": 10 })),
            json!({ "outcome": "restored", "restored": 20, "taken": 0 }),
        ),
        (
            // What returns repays the debt of a charge in the same transaction.
            vec![
                order().0,
                Charge("a", 50),
                Revoke("o", "refund", 1, json!({ "credits": 50 })),
                Settle("a", 60),
            ],
            Revoke("o", "refund", 2, json!({ "credits": 10 })),
            json!({ "outcome": "restored", "restored": 40, "taken": 0, "balance": 30 }),
        ),
    ] {
        let ledger = TestLedger::new().await;
        for step in &before {
            run(&ledger, step).await.unwrap();
        }
        ledger.http_client.fail_writes([Fault::ResponseAndTokenLost]);
        let answer = run(&ledger, &step).await.unwrap();
        assert_fields(&answer, &expected, "after a lost response");
        ledger.audited_balance("u").await;
    }
}

/// Sources, a charge, a repeat and the grant itself at the same time: every statement counts.
#[tokio::test]
async fn statements_that_race_all_count() {
    let ledger = TestLedger::new().await;
    let other = ledger.second_process();
    for round in 0..10 {
        let order_no: &str = format!("race-{round}").leak();
        let generation: &str = format!("g-{round}").leak();
        let grant = Grant(order_no, 100, None);
        let statement = |source, credits: u64| Revoke(order_no, source, 2, json!({ "credits": credits }));
        let (refund, dispute, won) =
            (statement("refund", 30), statement("dispute:dp_1", 40), statement("dispute:dp_2", 0));
        if round % 2 == 0 {
            run(&ledger, &grant).await.unwrap();
        }
        let outcomes = join!(
            run(&ledger, &refund),
            run(&other, &dispute),
            run(&ledger, &won),
            run(&other, &refund),
            run(&ledger, &grant),
        );
        let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3, outcomes.4];
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let charge = Charge(generation, 10);
        let (charged, again) = join!(run(&ledger, &charge), run(&other, &dispute));
        assert_fields(&charged.unwrap(), &json!({ "credits": -10 }), order_no);
        assert_fields(&again.unwrap(), &unchanged(70), order_no);
        assert_eq!(ledger.audited_balance("u").await, 20 * (round + 1));
    }
}

/// The items of the grant become visible one after the other.
#[tokio::test(start_paused = true)]
async fn revoke_beside_a_partly_visible_grant() {
    for visible in [[1_000, 0], [0, 1_000], [1_000, 1_000]] {
        let (ledger, schedule): (TestLedger, Schedule) = TestLedger::with_delays().await;
        schedule.set([Timing { visible, ..Timing::default() }]);
        let (order, revoke) = (order().0, Revoke("o", "refund", 2, json!({ "credits": 30 })));
        let (granted, revoked) = join!(run(&ledger, &order), async {
            sleep(Duration::from_millis(500)).await;
            run(&ledger, &revoke).await
        });
        granted.unwrap();
        let expected = json!({ "outcome": "revoked", "revoked": 30, "taken": 30, "balance": 70 });
        assert_fields(&revoked.unwrap(), &expected, &format!("{visible:?}"));
        sleep(Duration::from_millis(1_000)).await;
        assert_eq!(ledger.audited_balance("u").await, 70, "{visible:?}");
    }
}
