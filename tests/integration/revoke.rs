//! Revocations of paid orders: statements of sources, shortfall and debt.

mod requests;

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::{
    domain::Wallet,
    transport::functions::{DECREASE, GRANT},
};
use scrip_tests::TestLedger;
use serde_json::{Value, json};

/// A request, or time that passes.
enum Step {
    /// Grants an order, with a time in days until it expires, if it does.
    Grant(&'static str, u64, Option<i64>),
    Charge(&'static str, u64),
    /// Settles a charge with debt.
    Settle(&'static str, u64),
    Refund(&'static str),
    /// Revokes an order by a source, as of a day of January. The other fields are the amount and
    /// the policy.
    Revoke(&'static str, &'static str, u8, Value),
    Days(i64),
}

use Step::{Charge, Days, Grant, Refund, Revoke, Settle};

/// Steps with some fields of their answers.
type Scenario = (&'static str, Vec<(Step, Value)>);

fn revocation(order_no: &str, source: &str, day: u8, fields: Value) -> Value {
    let request = json!({
        "operation": "revoke", "order_no": order_no, "source": source,
        "as_of": format!("2026-01-{day:02}T00:00:00Z"), "reason": "the payment was returned",
    });
    with(request, fields)
}

fn with(mut object: Value, fields: Value) -> Value {
    object.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    object
}

/// The amount in credits, with the policy `debt`.
fn owed(credits: u64) -> Value {
    json!({ "credits": credits, "shortfall": "debt" })
}

async fn run(ledger: &TestLedger, step: &Step) -> Result<Value, (String, String)> {
    match step {
        Grant(order_no, credits, days) => {
            let expired_at =
                days.map(|days| ledger.clock.now().plus_millis(days * 24 * 3_600_000).to_string());
            let grant = json!({
                "user_uuid": "u", "trans_type": "order_pay", "order_no": order_no, "credits": credits,
                "expired_at": expired_at,
            });
            ledger.invoke(GRANT, grant).await
        }
        Charge(generation, credits) => ledger.charge("u", *credits, generation, None).await,
        Settle(generation, credits) => {
            let settlement = json!({
                "operation": "settle", "user_uuid": "u", "generation_uuid": generation, "credits": credits,
                "overage": "debt",
            });
            ledger.invoke(DECREASE, settlement).await
        }
        Refund(generation) => ledger.refund(Some("u"), generation, None).await,
        Revoke(order_no, source, day, fields) => {
            ledger.invoke(GRANT, revocation(order_no, source, *day, fields.clone())).await
        }
        Days(days) => {
            ledger.clock.pass_days(*days);
            Ok(json!({}))
        }
    }
}

/// Compares some fields. An absent field equals `null`.
#[track_caller]
fn assert_fields(object: &Value, fields: &Value, name: &str) {
    for (field, value) in fields.as_object().unwrap() {
        assert_eq!(object[field], *value, "{name}: {field} of {object}");
    }
}

/// After each step the summary equals the records, and the audit finds no discrepancy. After the
/// last one a repair makes the same wallet of the records.
async fn check(scenarios: Vec<Scenario>) {
    for (name, steps) in scenarios {
        let ledger = TestLedger::new().await;
        for (nth, (step, expected)) in steps.iter().enumerate() {
            let name = format!("{name}, step {}", nth + 1);
            match run(&ledger, step).await {
                Ok(answer) => assert_fields(&answer, expected, &name),
                Err((code, detail)) => assert_eq!(json!(code), *expected, "{name}: {detail}"),
            }
            ledger.audited_balance("u").await;
        }
        check_rebuilt_wallet(&ledger, name).await;
    }
}

/// Damages the wallet, and compares what a repair makes of the records with the wallet before.
async fn check_rebuilt_wallet(ledger: &TestLedger, name: &str) {
    let user = "u".to_owned().try_into().unwrap();
    let before = ledger.store().wallet(&user).await.unwrap().wallet;
    ledger.set("u", "wallet", "packs", AttributeValue::S("damaged".to_owned())).await;
    let now = ledger.clock.now();
    let rebuilt = ledger.ledger().repair(&user, now.plus_millis(60_000)).await.unwrap().after.unwrap();
    let compared = |wallet: Wallet| {
        (wallet.balance(now), wallet.debts.clone(), wallet.revoked, wallet.shortfalls.clone(), wallet.totals)
    };
    assert_eq!(compared(rebuilt), compared(before), "{name}");
}

/// An order of 100 credits.
fn order() -> (Step, Value) {
    (Grant("o", 100, None), json!({ "credits": 100, "revoked": null, "balance": 100 }))
}

fn unchanged(revoked: u64) -> Value {
    json!({ "outcome": "unchanged", "revoked": revoked, "taken": 0, "restored": 0, "expired": 0 })
}

#[tokio::test]
async fn latest_statement_of_each_source_counts() {
    let part = |part: u64, of: u64| json!({ "part": part, "of": of });
    let credits = |credits: u64| json!({ "credits": credits });
    let revoked = |revoked: u64, taken: u64| json!({ "outcome": "revoked", "revoked": revoked, "taken": taken, "restored": 0, "shortfall": 0, "debt": 0, "balance": 100 - revoked });
    let restored = |revoked: u64, restored: u64| json!({ "outcome": "restored", "revoked": revoked, "taken": 0, "restored": restored, "balance": 100 - revoked });
    check(vec![
        (
            "the same statement again",
            vec![
                order(),
                (Revoke("o", "refund", 2, part(2_000, 10_000)), revoked(20, 20)),
                (Revoke("o", "refund", 2, part(2_000, 10_000)), unchanged(20)),
                (Revoke("o", "refund", 3, part(2_000, 10_000)), unchanged(20)),
                (Revoke("o", "refund", 4, part(5_000, 10_000)), revoked(50, 30)),
            ],
        ),
        (
            "two statements in the other order",
            vec![
                order(),
                (Revoke("o", "refund", 4, part(5_000, 10_000)), revoked(50, 50)),
                (Revoke("o", "refund", 2, part(2_000, 10_000)), unchanged(50)),
            ],
        ),
        (
            "of one time the larger amount counts",
            vec![
                order(),
                (Revoke("o", "refund", 2, credits(10)), revoked(10, 10)),
                (Revoke("o", "refund", 2, credits(9)), unchanged(10)),
                (Revoke("o", "refund", 2, credits(12)), revoked(12, 2)),
                (Revoke("o", "refund", 2, part(1, 20)), restored(5, 7)),
                (Revoke("o", "refund", 2, credits(12)), unchanged(5)),
                (Revoke("o", "refund", 2, part(2, 40)), unchanged(5)),
                (Revoke("o", "refund", 2, part(3, 40)), revoked(7, 2)),
            ],
        ),
        (
            "a share is rounded down",
            vec![
                order(),
                (Revoke("o", "refund", 2, part(1, 3)), revoked(33, 33)),
                (Revoke("o", "refund", 3, part(2, 3)), revoked(66, 33)),
                (Revoke("o", "refund", 4, part(1, 101)), restored(0, 66)),
                (
                    Revoke("o", "refund", 5, part(9_007_199_254_740_991, 9_007_199_254_740_991)),
                    revoked(100, 100),
                ),
            ],
        ),
        (
            "sources add up to the grant at most",
            vec![
                order(),
                (Revoke("o", "refund", 2, credits(60)), revoked(60, 60)),
                (Revoke("o", "dispute:dp_1", 3, credits(70)), revoked(100, 40)),
                (Revoke("o", "dispute:dp_2", 3, credits(1_000)), unchanged(100)),
                (Revoke("o", "dispute:dp_2", 4, credits(0)), unchanged(100)),
                (Revoke("o", "dispute:dp_1", 4, credits(0)), restored(60, 40)),
                (Revoke("o", "refund", 1, credits(0)), unchanged(60)),
                (Revoke("o", "refund", 3, credits(0)), restored(0, 60)),
            ],
        ),
        (
            "a user of the request must be the order's",
            vec![
                order(),
                (Revoke("o", "refund", 2, json!({ "credits": 5, "user_uuid": "u" })), revoked(5, 5)),
                (
                    Revoke("o", "refund", 3, json!({ "credits": 9, "user_uuid": "u2" })),
                    json!("IdempotencyConflict"),
                ),
                (Revoke("o", "refund", 1, credits(7)), unchanged(5)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn kept_shortfall_is_filled_by_later_refunds() {
    let revoke = |source, day, credits: u64| Revoke("o", source, day, json!({ "credits": credits }));
    check(vec![
        (
            "a refund fills the shortfall first",
            vec![
                order(),
                (Charge("a", 30), json!({ "balance": 70 })),
                (Charge("b", 50), json!({ "balance": 20 })),
                (
                    revoke("refund", 2, 60),
                    json!({ "outcome": "revoked", "revoked": 60, "taken": 20, "shortfall": 40, "debt": 0, "balance": 0 }),
                ),
                (
                    Refund("a"),
                    json!({ "credits": 30, "restored": 0, "expired": 0, "revoked": 30, "balance": 0 }),
                ),
                (revoke("refund", 2, 60), with(unchanged(60), json!({ "shortfall": 10 }))),
                (Refund("b"), json!({ "credits": 50, "restored": 40, "revoked": 10, "balance": 40 })),
                (revoke("refund", 2, 60), with(unchanged(60), json!({ "shortfall": 0 }))),
                (
                    revoke("refund", 3, 0),
                    json!({ "outcome": "restored", "revoked": 0, "restored": 60, "balance": 100 }),
                ),
            ],
        ),
        (
            "a settlement fills it too",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (revoke("refund", 2, 20), json!({ "taken": 0, "shortfall": 20, "balance": 0 })),
                (Settle("a", 70), json!({ "returned": 10, "expired": 0, "revoked": 20, "balance": 10 })),
                (Refund("a"), json!({ "credits": 70, "restored": 70, "revoked": null, "balance": 80 })),
            ],
        ),
        (
            "a dispute that is won reduces the shortfall first",
            vec![
                order(),
                (Charge("a", 30), json!({ "balance": 70 })),
                (
                    revoke("dispute:dp_1", 2, 100),
                    json!({ "taken": 70, "shortfall": 30, "balance": 0 }),
                ),
                (
                    revoke("dispute:dp_1", 3, 80),
                    json!({ "outcome": "restored", "revoked": 80, "restored": 0, "shortfall": 10, "balance": 0 }),
                ),
                (
                    revoke("dispute:dp_1", 4, 0),
                    json!({ "outcome": "restored", "revoked": 0, "restored": 70, "shortfall": 0, "balance": 70 }),
                ),
                (Refund("a"), json!({ "restored": 30, "revoked": null, "balance": 100 })),
            ],
        ),
        (
            "an order without spent credits is left alone",
            vec![
                order(),
                (Grant("other", 50, None), json!({ "balance": 150 })),
                (Charge("a", 120), json!({ "balance": 30 })),
                (revoke("refund", 2, 100), json!({ "taken": 0, "shortfall": 100, "balance": 30 })),
                (Refund("a"), json!({ "restored": 20, "revoked": 100, "balance": 50 })),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn debt_is_paid_by_other_packs_and_later_credits() {
    let revoke = |source, day, credits| Revoke("o", source, day, owed(credits));
    check(vec![
        (
            "other packs pay in spending order, and a dispute that is won returns to them",
            vec![
                order(),
                (Charge("a", 80), json!({ "balance": 20 })),
                (Grant("late", 30, None), json!({ "balance": 50 })),
                (Grant("early", 40, Some(9)), json!({ "balance": 90 })),
                (
                    revoke("dispute:dp_1", 2, 100),
                    json!({ "outcome": "revoked", "revoked": 100, "taken": 90, "shortfall": 0, "debt": 10, "balance": 0 }),
                ),
                (Charge("b", 1), json!("InsufficientCredits")),
                (
                    revoke("dispute:dp_1", 3, 70),
                    json!({ "outcome": "restored", "revoked": 70, "restored": 20, "debt": 0, "balance": 20 }),
                ),
                (
                    revoke("dispute:dp_1", 4, 0),
                    json!({ "outcome": "restored", "revoked": 0, "restored": 70, "expired": 0, "debt": 0, "balance": 90 }),
                ),
                (Refund("a"), json!({ "restored": 80, "balance": 170 })),
            ],
        ),
        (
            "a later grant pays",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (revoke("refund", 2, 60), json!({ "taken": 0, "shortfall": 0, "debt": 60, "balance": 0 })),
                (Grant("next", 50, None), json!({ "repaid": 50, "balance": 0 })),
                (revoke("refund", 2, 60), with(unchanged(60), json!({ "debt": 10 }))),
                (Grant("last", 50, None), json!({ "repaid": 10, "balance": 40 })),
                (
                    revoke("refund", 3, 0),
                    json!({ "outcome": "restored", "restored": 60, "debt": 0, "balance": 100 }),
                ),
            ],
        ),
        (
            "credits that return pay",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (revoke("refund", 2, 60), json!({ "debt": 60 })),
                (Refund("a"), json!({ "restored": 100, "repaid": 60, "revoked": null, "balance": 40 })),
                (revoke("refund", 3, 0), json!({ "restored": 60, "debt": 0, "balance": 100 })),
            ],
        ),
        (
            "a debt that is not paid is cancelled",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (revoke("refund", 2, 60), json!({ "debt": 60 })),
                (revoke("refund", 3, 0), json!({ "outcome": "restored", "restored": 0, "debt": 0, "balance": 0 })),
                (Grant("next", 5, None), json!({ "repaid": null, "balance": 5 })),
            ],
        ),
        (
            "what returns to an order repays the debt of a charge",
            vec![
                order(),
                (Charge("a", 20), json!({ "balance": 80 })),
                (Revoke("o", "dispute:dp_1", 2, json!({ "credits": 80 })), json!({ "taken": 80, "balance": 0 })),
                (Settle("a", 35), json!({ "debt_added": 15, "debt": 15 })),
                (
                    revoke("dispute:dp_1", 3, 0),
                    json!({ "outcome": "restored", "taken": 0, "restored": 80, "debt": 0, "balance": 65 }),
                ),
            ],
        ),
        (
            "two policies, one after the other",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (Revoke("o", "refund", 2, json!({ "credits": 30 })), json!({ "shortfall": 30, "debt": 0 })),
                (revoke("dispute:dp_1", 3, 50), json!({ "revoked": 80, "shortfall": 30, "debt": 50 })),
                (revoke("dispute:dp_1", 4, 0), json!({ "revoked": 30, "shortfall": 30, "debt": 0 })),
                (Refund("a"), json!({ "restored": 70, "revoked": 30, "balance": 70 })),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn expired_pack_is_revoked_while_it_is_in_the_wallet() {
    check(vec![
        (
            "the pack is still in the wallet",
            vec![
                (Grant("o", 100, Some(1)), json!({ "balance": 100 })),
                (Charge("a", 30), json!({ "balance": 70 })),
                (Days(2), json!({})),
                (
                    Revoke("o", "refund", 2, json!({ "credits": 100 })),
                    json!({ "revoked": 100, "taken": 70, "shortfall": 30, "balance": 0 }),
                ),
                (
                    Revoke("o", "refund", 3, json!({ "credits": 10 })),
                    json!({ "outcome": "restored", "revoked": 10, "restored": 0, "expired": 60, "shortfall": 0 }),
                ),
                (Refund("a"), json!({ "restored": 0, "expired": 30, "revoked": null })),
            ],
        ),
        (
            "a refund fills the shortfall of an expired pack",
            vec![
                (Grant("o", 100, Some(1)), json!({ "balance": 100 })),
                (Charge("a", 30), json!({ "balance": 70 })),
                (
                    Revoke("o", "refund", 2, json!({ "credits": 80 })),
                    json!({ "taken": 70, "shortfall": 10, "balance": 0 }),
                ),
                (Days(2), json!({})),
                (Refund("a"), json!({ "credits": 30, "restored": 0, "expired": 20, "revoked": 10 })),
                (
                    Revoke("o", "refund", 3, json!({ "credits": 0 })),
                    json!({ "outcome": "restored", "restored": 0, "expired": 80, "balance": 0 }),
                ),
            ],
        ),
        (
            "another write has removed the pack",
            vec![
                (Grant("o", 100, Some(1)), json!({ "balance": 100 })),
                (Days(2), json!({})),
                (Grant("next", 5, None), json!({ "balance": 5 })),
                (
                    Revoke("o", "refund", 2, json!({ "credits": 40 })),
                    json!({ "revoked": 40, "taken": 0, "shortfall": 40, "balance": 5 }),
                ),
                (
                    Revoke("o", "refund", 3, json!({ "credits": 0 })),
                    json!({ "outcome": "restored", "restored": 0, "expired": 0, "shortfall": 0, "balance": 5 }),
                ),
            ],
        ),
        (
            "a pack that paid has expired since",
            vec![
                order(),
                (Charge("a", 100), json!({ "balance": 0 })),
                (Grant("early", 40, Some(1)), json!({ "balance": 40 })),
                (Grant("late", 40, None), json!({ "balance": 80 })),
                (Revoke("o", "refund", 2, owed(60)), json!({ "taken": 60, "debt": 0, "balance": 20 })),
                (Days(2), json!({})),
                (
                    Revoke("o", "refund", 3, owed(0)),
                    json!({ "outcome": "restored", "restored": 20, "expired": 40, "balance": 40 }),
                ),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn revoke_before_the_grant_is_kept_for_it() {
    let kept = json!({
        "outcome": "kept", "user_uuid": null, "granted": null, "revoked": 0, "taken": 0, "restored": 0, "expired": 0,
        "shortfall": 0, "debt": 0, "balance": null,
    });
    let granted = |revoked: Value, balance: u64, replayed: bool| json!({ "credits": 100, "revoked": revoked, "balance": balance, "replayed": replayed });
    let grant = || Grant("o", 100, None);
    check(vec![
        (
            "the grant gives the rest",
            vec![
                (Revoke("o", "refund", 2, json!({ "part": 1, "of": 4 })), kept.clone()),
                (Revoke("o", "dispute:dp_1", 2, json!({ "credits": 15 })), kept.clone()),
                (Revoke("o", "refund", 1, json!({ "credits": 99 })), kept.clone()),
                (grant(), granted(json!(40), 60, false)),
                (grant(), granted(json!(40), 60, true)),
                (Revoke("o", "dispute:dp_1", 2, json!({ "credits": 15 })), unchanged(40)),
                (
                    Revoke("o", "dispute:dp_1", 3, json!({ "credits": 0 })),
                    json!({ "outcome": "restored", "restored": 15, "balance": 75 }),
                ),
                (grant(), granted(json!(40), 75, true)),
            ],
        ),
        (
            "a later statement of 0",
            vec![
                (Revoke("o", "refund", 2, json!({ "credits": 30 })), kept.clone()),
                (Revoke("o", "refund", 3, json!({ "credits": 0 })), kept.clone()),
                (grant(), granted(Value::Null, 100, false)),
            ],
        ),
        (
            "all of it, under debt",
            vec![
                (Grant("first", 10, None), json!({ "balance": 10 })),
                (Charge("a", 10), json!({ "balance": 0 })),
                (Settle("a", 25), json!({ "debt": 15 })),
                (Revoke("o", "refund", 2, owed(95)), kept.clone()),
                (grant(), json!({ "revoked": 95, "repaid": 5, "balance": 0 })),
                (
                    Revoke("o", "refund", 3, owed(0)),
                    json!({ "outcome": "restored", "restored": 95, "taken": 0, "balance": 85 }),
                ),
            ],
        ),
    ])
    .await;
}

/// Earlier versions granted orders without an item.
#[tokio::test]
async fn revoke_with_its_user_finds_an_order_without_an_item() {
    for (user, outcome, balance) in [("u", "revoked", 75), ("another", "kept", 100)] {
        let ledger = TestLedger::new().await;
        run(&ledger, &Grant("o", 100, None)).await.unwrap();
        ledger.corrupt("order#o", "order", None).await;
        let request = revocation("o", "refund", 1, json!({ "part": 1, "of": 4, "user_uuid": user }));
        let answer = ledger.invoke(GRANT, request).await.unwrap();
        assert_eq!(answer["outcome"], outcome, "{user}");
        assert_eq!(ledger.sound_balance("u").await, balance, "{user}");
    }
}
