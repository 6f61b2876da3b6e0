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
    costs_of_changed_charges(&mut costs).await;
    costs.lines
}

/// Charges that are settled, refunded by output and in debt.
async fn costs_of_changed_charges(costs: &mut Costs) {
    let settle = |user: &str, generation: &str, credits: u64| {
        json!({
            "operation": "settle", "user_uuid": user, "generation_uuid": generation, "credits": credits,
            "overage": "debt",
        })
    };
    let less = settle("u", "held", 1);
    let hold = json!({ "hold_seconds": 60 });
    costs
        .record("decrease with a hold", 0, async |ledger| ledger.charge_with("u", 4, "held", hold).await)
        .await;
    costs.record("settle", 1, async |ledger| ledger.invoke(DECREASE, less.clone()).await).await;
    costs.record("settle, replay", 1, async |ledger| ledger.invoke(DECREASE, less.clone()).await).await;
    costs.ledger.charge_with("u", 4, "images", json!({ "outputs": 4 })).await.unwrap();
    let output = json!({ "user_uuid": "u", "generation_uuid": "images", "outputs": [2], "reason": "r" });
    costs.record("refund of an output", 1, async |ledger| ledger.invoke(REFUND, output.clone()).await).await;
    costs.ledger.grant("debtor", 2, None).await;
    for generation in ["d1", "d2"] {
        costs.ledger.charge("debtor", 1, generation, None).await.unwrap();
    }
    for generation in ["d1", "d2"] {
        costs.ledger.invoke(DECREASE, settle("debtor", generation, 5)).await.unwrap();
    }
    costs
        .record("grant of an order, repaying two debts", 0, async |ledger| {
            ledger.grant("debtor", 20, None).await
        })
        .await;
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
        "decrease: 2 round trips, 1 RRU, 4 WRU",
        "decrease, replay: 2 round trips, 1 RRU, 0 WRU",
        "decrease beyond the balance: 2 round trips, 5 RRU, 0 WRU",
        "refund: 2 round trips, 2 RRU, 4 WRU",
        "refund, replay: 1 round trips, 2 RRU, 0 WRU",
        "refund, fence: 2 round trips, 2 RRU, 4 WRU",
        "refund by generation alone: 3 round trips, 2 RRU, 4 WRU",
        "generation: 3 round trips, 1 RRU, 0 WRU",
        "refund with a key: 2 round trips, 2 RRU, 4 WRU",
        "refund of a session: 3 round trips, 3 RRU, 4 WRU",
        "refund of a session, replay: 2 round trips, 3 RRU, 0 WRU",
        "decrease with a hold: 2 round trips, 1 RRU, 4 WRU",
        "settle: 2 round trips, 2 RRU, 4 WRU",
        "settle, replay: 1 round trips, 2 RRU, 0 WRU",
        "refund of an output: 2 round trips, 2 RRU, 4 WRU",
        "grant of an order, repaying two debts: 2 round trips, 1 RRU, 10 WRU",
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
