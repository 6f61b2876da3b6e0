//! What `decrease` costs beyond the calls of the SDK that it cannot do without.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeValue, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure::AllOld,
        TransactWriteItem, Update,
    },
};
use scrip::{
    store::TABLE,
    transport::{App, functions::GRANT},
};
use scrip_tests::invoke;
use serde_json::json;
use uuid::Uuid;

use crate::{
    cases::{DECREASE_CASE, charge, charge_event},
    document::{self, Table, median},
    engine::{Engine, plain},
    pieces::{self, Cost},
    telling::Telling,
};

/// How many charges are timed together, and how often by each of the two.
const BATCH: u64 = 60;
const ROUNDS: usize = 40;

type Item = HashMap<String, AttributeValue>;

/// A user, charged by the function or by the bare calls.
struct Charged {
    user: String,
    app: Arc<App>,
    client: Client,
    telling: &'static Telling,
    nth: AtomicU64,
}

/// The whole handler by itself.
pub(crate) fn alone() -> Table {
    let mut table = Table::new(&["packs", "time", "instructions", "allocations", "bytes"]);
    for packs in [1, 10, 200] {
        let Cost { nanos, instructions, allocations: [blocks, bytes] } = pieces::cost(DECREASE_CASE, packs);
        let [instructions, blocks, bytes] = [instructions, blocks, bytes].map(document::count);
        table.row([packs.to_string(), document::time(nanos), instructions, blocks, bytes]);
    }
    table
}

/// The whole handler against the bare calls, one after the other in the same run.
pub(crate) async fn against_bare() -> Table {
    let head = ["callers", "decrease", "bare calls", "throughput of decrease / of the bare calls"];
    let mut table = Table::new(&head);
    for callers in [1, 4] {
        eprintln!("decrease and bare calls, {callers} callers");
        let engine = Engine::start(None).await;
        let mut charged = Vec::new();
        for caller in 0..callers {
            charged.push(Arc::new(Charged::new(&engine, &format!("user-{caller}")).await));
        }
        let (mut whole, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms both up; who goes first changes.
        for round in 0..=ROUNDS {
            let mut times = [0.0; 2];
            for turn in [round % 2, 1 - round % 2] {
                times[turn] = timed(&charged, turn == 0).await;
            }
            if round > 0 {
                whole.push(times[0]);
                bare.push(times[1]);
                ratios.push(times[1] / times[0]);
            }
        }
        let [whole, bare, ratio] = [whole, bare, ratios].map(median);
        table.row([callers.to_string(), document::time(whole), document::time(bare), format!("{ratio:.3}")]);
    }
    table
}

/// The time for one charge, in nanoseconds, with every caller at work.
async fn timed(charged: &[Arc<Charged>], is_whole: bool) -> f64 {
    let began = Instant::now();
    let callers = charged.iter().cloned().map(|charged| {
        tokio::spawn(async move {
            for _ in 0..BATCH {
                if is_whole {
                    charged.whole().await;
                } else {
                    charged.bare().await;
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("charges");
    }
    let charges = document::float(BATCH) * document::float(u64::try_from(charged.len()).unwrap_or(1));
    began.elapsed().as_secs_f64() * 1e9 / charges
}

impl Charged {
    async fn new(engine: &Engine, user: &str) -> Charged {
        let app = engine.app(plain());
        let deadline = app.ledger.now().plus_millis(10_000);
        for order in ["first", "second", "third"] {
            let grant = json!({
                "user_uuid": user, "trans_type": "order_pay", "order_no": order, "credits": 1_000_000,
                "expired_at": "2099-01-01T00:00:00Z",
            });
            assert!(invoke(&app, GRANT, grant.to_string(), deadline).await.is_ok());
        }
        let client = engine.client(plain());
        let charged =
            Charged { user: user.to_owned(), app, client, telling: Telling::start(), nth: AtomicU64::new(0) };
        charged.whole().await;
        let items = [charged.item("charge#generation-1#").await, charged.bare().await];
        let [ours, bare] = items.map(|item| item.keys().cloned().collect::<std::collections::BTreeSet<_>>());
        assert_eq!(ours, bare, "both write the same attributes");
        charged
    }

    fn next(&self) -> String {
        format!("generation-{}", self.nth.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// By the function.
    async fn whole(&self) {
        charge(&self.app, self.telling, &charge_event(&self.user, &self.next())).await;
    }

    /// By the calls alone, with all that stands in the items: what was written.
    async fn bare(&self) -> Item {
        let wallet = self.item("wallet").await;
        let version: i64 = wallet["version"].as_n().expect("a number").parse().expect("a number");
        let generation = self.next();
        let trans_no = Uuid::now_v7().to_string();
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: i64| AttributeValue::N(number.to_string());
        let pack = wallet["packs"].as_l().expect("packs")[0].as_m().expect("a pack");
        let mut allocation = pack.clone();
        allocation.insert("n".to_owned(), number(1));
        let charge: Item = [
            ("user_uuid", text(&self.user)),
            ("sk", text(&format!("charge#{generation}#"))),
            ("trans_no", text(&trans_no)),
            ("trans_type", text("anime_generation")),
            ("credits", number(-1)),
            ("generation_uuid", text(&generation)),
            ("user_trans", text(&format!("{}#{trans_no}", self.user))),
            ("allocations", AttributeValue::L(vec![AttributeValue::M(allocation)])),
            ("is_voided", AttributeValue::Bool(false)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(charge.clone()))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(AllOld);
        let update = Update::builder()
            .table_name(TABLE)
            .key("user_uuid", text(&self.user))
            .key("sk", text("wallet"))
            .condition_expression("version = :from")
            .update_expression("SET packs = :packs, totals = :totals, version = :version")
            .expression_attribute_values(":from", number(version))
            .expression_attribute_values(":version", number(version + 1))
            .expression_attribute_values(":packs", wallet["packs"].clone())
            .expression_attribute_values(":totals", wallet["totals"].clone())
            .return_values_on_condition_check_failure(AllOld);
        let (put, update) = (put.build().expect("a put"), update.build().expect("an update"));
        self.client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().update(update).build())
            .client_request_token(Uuid::new_v4().to_string())
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await
            .expect("a transaction");
        charge
    }

    async fn item(&self, sort: &str) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let got =
            self.client.get_item().table_name(TABLE).key("user_uuid", text(&self.user)).key("sk", text(sort));
        let got = got.consistent_read(true).return_consumed_capacity(ReturnConsumedCapacity::Indexes);
        got.send().await.expect("an answer").item.expect("an item")
    }
}
