//! What each operation costs, counted on the http_client: round trips, and units of the
//! table. Engines disagree on the units of indexes inside a transaction.

use aws_sdk_dynamodb::types::{AttributeValue, Get, ReturnConsumedCapacity, TransactGetItem};
use scrip::transport::functions::{DECREASE, GRANT, HISTORY, REFUND};
use scrip_tests::{RecordedRequest, TestLedger, engine_is_external};
use serde_json::json;

/// A user with this much history, and what each operation costs.
struct Costs {
    ledger: TestLedger,
    lines: Vec<String>,
}

impl Costs {
    async fn new(history: i64) -> Costs {
        let ledger = TestLedger::new().await;
        ledger.grant("u", 1_000, None).await;
        ledger.charge("u", 1, "old", None).await.unwrap();
        ledger.copy("u", "charge#old#", history).await;
        Costs { ledger, lines: Vec::new() }
    }

    /// Records what one call costs. Calls at once are one round trip.
    async fn record<T>(&mut self, name: &str, at_once: usize, call: impl AsyncFnOnce(&TestLedger) -> T) {
        self.ledger.http_client.take_requests();
        call(&self.ledger).await;
        let sent = self.ledger.http_client.take_requests();
        let (writes, reads): (Vec<_>, Vec<_>) = sent.iter().partition(|sent| sent.is_write());
        // An empty sum is -0.
        let units = |sent: &[&RecordedRequest]| sent.iter().map(|sent| sent.table_units()).sum::<f64>().abs();
        let (trips, read, write) = (sent.len() - at_once, units(&reads), units(&writes));
        self.lines.push(format!("{name}: {trips} round trips, {read} RRU, {write} WRU"));
    }
}

async fn costs(history: i64) -> Vec<String> {
    let mut costs = Costs::new(history).await;
    let new_user = json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 5 });
    let summary = json!({ "operation": "summary", "user_uuid": "u" });
    let timeline = json!({ "operation": "timeline", "user_uuid": "u", "limit": 5, "include_voided": true });
    costs.record("balance", 0, async |ledger| ledger.balance("u").await).await;
    costs.record("summary", 0, async |ledger| ledger.invoke(HISTORY, summary).await).await;
    costs.record("timeline", 0, async |ledger| ledger.invoke(HISTORY, timeline).await).await;
    costs.record("grant", 0, async |ledger| ledger.invoke(GRANT, new_user.clone()).await).await;
    costs.record("grant, replay", 0, async |ledger| ledger.invoke(GRANT, new_user.clone()).await).await;
    let order = json!({ "user_uuid": "u", "trans_type": "order_pay", "credits": 5, "order_no": "o" });
    costs.record("grant of an order", 0, async |ledger| ledger.invoke(GRANT, order.clone()).await).await;
    costs
        .record("grant of an order, replay", 0, async |ledger| ledger.invoke(GRANT, order.clone()).await)
        .await;
    let revocation = json!({
        "operation": "revoke", "order_no": "o", "source": "refund", "credits": 5, "as_of": "2026-01-01T00:00:00Z",
        "reason": "the payment was returned",
    });
    for name in ["revoke", "revoke, replay"] {
        costs.record(name, 1, async |ledger| ledger.invoke(GRANT, revocation.clone()).await).await;
    }
    let unknown = json!({
        "operation": "revoke", "order_no": "unknown", "source": "refund", "credits": 5,
        "as_of": "2026-01-01T00:00:00Z", "reason": "the payment was returned",
    });
    costs.record("revoke before the grant", 0, async |ledger| ledger.invoke(GRANT, unknown).await).await;
    costs.record("decrease", 0, async |ledger| ledger.charge("u", 1, "g", None).await).await;
    costs.record("decrease, replay", 0, async |ledger| ledger.charge("u", 1, "g", None).await).await;
    costs
        .record("decrease beyond the balance", 0, async |ledger| ledger.charge("u", 9_999, "h", None).await)
        .await;
    costs.record("refund", 1, async |ledger| ledger.refund(Some("u"), "g", None).await).await;
    costs.record("refund, replay", 1, async |ledger| ledger.refund(Some("u"), "g", None).await).await;
    costs.record("refund, fence", 1, async |ledger| ledger.refund(Some("u"), "fenced", None).await).await;
    costs.ledger.charge("u", 1, "g2", None).await.unwrap();
    costs.record("refund by generation alone", 2, async |ledger| ledger.refund(None, "g2", None).await).await;
    costs
        .record("generation", 1, async |ledger| {
            ledger.invoke(HISTORY, json!({ "operation": "generation", "generation_uuid": "g2" })).await
        })
        .await;
    record_settlements(&mut costs).await;
    for key in ["m1", "m2"] {
        costs.ledger.charge("u", 1, "s", Some(key)).await.unwrap();
    }
    costs
        .record("refund with a key", 1, async |ledger| ledger.refund(Some("u"), "s", Some("m1")).await)
        .await;
    costs.record("refund of a session", 1, async |ledger| ledger.refund(Some("u"), "s", None).await).await;
    costs
        .record("refund of a session, replay", 1, async |ledger| ledger.refund(Some("u"), "s", None).await)
        .await;
    let report = json!({ "user_uuid": "u", "generation_uuid": "s2", "status": "succeeded" });
    costs.ledger.charge("u", 1, "s2", None).await.unwrap();
    costs.record("success of a session", 1, async |ledger| ledger.callback(report).await).await;
    costs.lines
}

/// Records what settlements, returned outputs and successes cost.
async fn record_settlements(costs: &mut Costs) {
    let settlement = json!({
        "operation": "settle", "user_uuid": "u", "generation_uuid": "settled", "credits": 1,
    });
    let report = json!({ "user_uuid": "u", "generation_uuid": "reported", "status": "succeeded" });
    let outputs = json!({
        "user_uuid": "u", "generation_uuid": "images", "reason": "it failed", "outputs": [1],
    });
    costs.ledger.charge("u", 2, "settled", None).await.unwrap();
    for name in ["settle", "settle, replay"] {
        costs.record(name, 1, async |ledger| ledger.invoke(DECREASE, settlement.clone()).await).await;
    }
    let hold = json!({ "hold_seconds": 60 });
    costs
        .record("decrease with a hold", 0, async |ledger| ledger.charge_with("u", 1, "reported", hold).await)
        .await;
    for name in ["success by call-back", "success by call-back, replay"] {
        costs.record(name, 1, async |ledger| ledger.callback(report.clone()).await).await;
    }
    costs.ledger.charge_with("u", 2, "images", json!({ "outputs": 2 })).await.unwrap();
    for name in ["refund of an output", "refund of an output, replay"] {
        costs.record(name, 1, async |ledger| ledger.invoke(REFUND, outputs.clone()).await).await;
    }
}

/// A grant repays each debt in its own transaction.
#[tokio::test]
async fn grant_that_repays_debts_costs_two_write_units_for_each() {
    for debts in [1, 2, 10] {
        let mut costs = Costs { ledger: TestLedger::new().await, lines: Vec::new() };
        costs.ledger.grant("u", debts, None).await;
        for nth in 0..debts {
            costs.ledger.charge("u", 1, &format!("g{nth}"), None).await.unwrap();
        }
        for nth in 0..debts {
            let settlement = json!({
                "operation": "settle", "user_uuid": "u", "generation_uuid": format!("g{nth}"), "credits": 2,
                "overage": "debt",
            });
            costs.ledger.invoke(DECREASE, settlement).await.unwrap();
        }
        let gift = json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 50 });
        costs.record("grant", 0, async |ledger| ledger.invoke(GRANT, gift).await.unwrap()).await;
        let expected = format!("grant: 2 round trips, 1 RRU, {} WRU", 4 + 2 * debts);
        assert_eq!(counted(&costs.lines), counted(&[expected]), "{debts} debts");
        assert_eq!(costs.ledger.audited_balance("u").await, 50 - debts);
    }
}

/// The indexes that a transaction writes, by name. The index of holds has held charges only.
#[tokio::test]
async fn hold_costs_a_write_of_one_more_index_when_it_begins_and_ends() {
    if engine_is_external() {
        return;
    }
    let ledger = TestLedger::new().await;
    ledger.grant("u", 100, None).await;
    for (hold, charged, settled) in [
        (json!(null), vec!["generation_uuid", "timeline"], vec!["timeline"]),
        (json!(60), vec!["generation_uuid", "holds", "timeline"], vec!["holds", "timeline"]),
    ] {
        let generation = format!("g{hold}");
        ledger.http_client.take_requests();
        ledger.charge_with("u", 2, &generation, json!({ "hold_seconds": hold })).await.unwrap();
        assert_eq!(written_indexes(&ledger), charged, "{hold}");
        let settlement = json!({
            "operation": "settle", "user_uuid": "u", "generation_uuid": generation, "credits": 1,
        });
        ledger.invoke(DECREASE, settlement).await.unwrap();
        assert_eq!(written_indexes(&ledger), settled, "{hold}");
    }
}

fn written_indexes(ledger: &TestLedger) -> Vec<String> {
    let sent = ledger.http_client.take_requests();
    let write = sent.iter().find(|sent| sent.is_write()).expect("a transaction");
    let response = write.response.as_ref().expect("a response");
    let indexes = response["ConsumedCapacity"][0]["GlobalSecondaryIndexes"].as_object();
    indexes.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn no_cost_grows_with_the_history() {
    let expected = [
        "balance: 1 round trips, 1 RRU, 0 WRU",
        "summary: 1 round trips, 1 RRU, 0 WRU",
        "timeline: 1 round trips, 0 RRU, 0 WRU",
        "grant: 2 round trips, 1 RRU, 4 WRU",
        "grant, replay: 2 round trips, 1 RRU, 0 WRU",
        "grant of an order: 2 round trips, 1 RRU, 6 WRU",
        "grant of an order, replay: 2 round trips, 1 RRU, 0 WRU",
        "revoke: 3 round trips, 3 RRU, 6 WRU",
        "revoke, replay: 2 round trips, 3 RRU, 0 WRU",
        "revoke before the grant: 2 round trips, 1 RRU, 2 WRU",
        "decrease: 2 round trips, 1 RRU, 4 WRU",
        "decrease, replay: 2 round trips, 1 RRU, 0 WRU",
        "decrease beyond the balance: 2 round trips, 5 RRU, 0 WRU",
        "refund: 2 round trips, 2 RRU, 4 WRU",
        "refund, replay: 1 round trips, 2 RRU, 0 WRU",
        "refund, fence: 2 round trips, 2 RRU, 4 WRU",
        "refund by generation alone: 3 round trips, 2 RRU, 4 WRU",
        "generation: 3 round trips, 1 RRU, 0 WRU",
        "settle: 2 round trips, 2 RRU, 4 WRU",
        "settle, replay: 1 round trips, 2 RRU, 0 WRU",
        "decrease with a hold: 2 round trips, 1 RRU, 4 WRU",
        "success by call-back: 2 round trips, 2 RRU, 4 WRU",
        "success by call-back, replay: 1 round trips, 2 RRU, 0 WRU",
        "refund of an output: 2 round trips, 2 RRU, 4 WRU",
        "refund of an output, replay: 1 round trips, 2 RRU, 0 WRU",
        "refund with a key: 2 round trips, 2 RRU, 4 WRU",
        "refund of a session: 3 round trips, 3 RRU, 4 WRU",
        "refund of a session, replay: 2 round trips, 3 RRU, 0 WRU",
        "success of a session: 3 round trips, 3 RRU, 4 WRU",
    ];
    for history in [10, 10_000] {
        assert_eq!(counted(&costs(history).await), counted(&expected), "{history} records");
    }
}

/// The part of the costs that every engine counts equally: engines differ in the units of transactions and batches.
fn counted(costs: &[impl AsRef<str>]) -> Vec<&str> {
    let round_trips = |cost: &'_ str| cost.find(" round trips").unwrap();
    let costs = costs.iter().map(AsRef::as_ref);
    costs.map(|cost| if engine_is_external() { &cost[..round_trips(cost)] } else { cost }).collect()
}

#[tokio::test]
async fn transaction_of_reads_costs_two_units_an_item_whether_it_is_there_or_not() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 1, None).await;
    let get = |sort: &str| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let get = Get::builder().table_name(&ledger.table).key("user_uuid", text("u")).key("sk", text(sort));
        TransactGetItem::builder().get(get.build().unwrap()).build()
    };
    let read =
        ledger.client.transact_get_items().transact_items(get("wallet")).transact_items(get("charge#g#"));
    let read = read.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await.unwrap();
    let is_there: Vec<_> = read.responses().iter().map(|response| response.item().is_some()).collect();
    assert_eq!(is_there, [true, false], "in the order of the request");
    let units = read.consumed_capacity()[0].table().unwrap().capacity_units().unwrap();
    assert!((units - 4.0).abs() < f64::EPSILON, "{units}");
}
