//! Costs of each operation by the records of a user, the packs of a wallet and the users of a
//! table.

use std::{sync::Arc, time::Instant};

use scrip::transport::{
    App, Function,
    functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND},
};
use scrip_ops::bench::{Latency, plot::Plot};
use scrip_tests::{FaultInjectingClient, RecordedRequest, invoke};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    engine::{Engine, http_client},
    report::{self, Table},
};

/// Timed requests of each operation and size, in alternation.
const SAMPLES: u64 = 300;
/// Time of the imported records: 2026-01-01.
const BEFORE: u64 = 1_767_225_600_000;

const OPERATIONS: [&str; 6] =
    ["grant", "decrease", "decrease, replay", "refund", "balance", "timeline, first page"];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Axis {
    /// Records of the user.
    Records,
    /// Packs of the wallet.
    Packs,
    /// Users of the table.
    Users,
}

/// A table of one size.
struct SizedTable {
    size: u64,
    engine: Arc<Engine>,
    app: Arc<App>,
    /// Number of users.
    users: u64,
    /// Prefix of their names.
    prefix: String,
    latency: [Latency; OPERATIONS.len()],
    costs: Vec<String>,
}

impl Axis {
    fn sizes(self, users: u64) -> Vec<u64> {
        match self {
            Axis::Records => vec![10, 1_000, 100_000],
            Axis::Packs => vec![1, 10, 50, 200],
            Axis::Users => vec![10, 1_000, users],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Axis::Records => "records",
            Axis::Packs => "packs",
            Axis::Users => "users",
        }
    }
}

/// Measures along an axis. Returns the table and the plot's lines.
pub(crate) async fn grow(axis: Axis, users: u64) -> (Table, Vec<(String, Vec<(f64, f64)>)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut samples = Vec::new();
    for size in axis.sizes(users) {
        let started = Instant::now();
        samples.push(SizedTable::create(axis, size, &folder, samples.first()).await);
        eprintln!("{size} {}: created in {:.1} s", axis.name(), started.elapsed().as_secs_f64());
    }
    for sample_table in &mut samples {
        sample_table.count().await;
    }
    for sample in 0..SAMPLES {
        for sample_table in &mut samples {
            sample_table.time(sample).await;
        }
    }
    (table(axis, &samples), lines(&samples))
}

/// The plot of an axis.
pub(crate) fn plot(axis: Axis, lines: Vec<(String, Vec<(f64, f64)>)>) -> Plot<'static> {
    let (title, size) = match axis {
        Axis::Records => ("Median by records of the user", "records"),
        Axis::Packs => ("Median by packs of the wallet", "packs"),
        Axis::Users => ("Median by users of the table", "users"),
    };
    Plot {
        title,
        axes: [size, "milliseconds"],
        logarithmic: [true, false],
        x_label: |size| size.to_string(),
        lines,
    }
}

fn table(axis: Axis, samples: &[SizedTable]) -> Table {
    let sizes = samples
        .iter()
        .map(|sample_table| format!("{}: P50, P99", report::count(report::float(sample_table.size))));
    let mut head = vec!["operation".to_owned()];
    head.extend(sizes);
    head.extend(["last / first".to_owned(), format!("calls and table units, by {}", axis.name())]);
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for (nth, operation) in OPERATIONS.into_iter().enumerate() {
        let millis = |sample_table: &SizedTable, quantile| {
            report::float(sample_table.latency[nth].micros(quantile)) / 1_000.0
        };
        let times = samples.iter().map(|sample_table| {
            format!("{:.2}, {:.2} ms", millis(sample_table, 0.5), millis(sample_table, 0.99))
        });
        let ratio = millis(&samples[samples.len() - 1], 0.5) / millis(&samples[0], 0.5);
        let costs: Vec<_> =
            samples.iter().map(|sample_table| (sample_table.size, &sample_table.costs[nth])).collect();
        let costs = if costs.iter().all(|(_, cost)| *cost == costs[0].1) {
            costs[0].1.clone()
        } else {
            let by_size = costs.iter().map(|(size, cost)| format!("{size}: {cost}"));
            by_size.collect::<Vec<_>>().join("; ")
        };
        let mut cells = vec![operation.to_owned()];
        cells.extend(times);
        cells.extend([format!("{ratio:.2}"), costs]);
        table.row(cells);
    }
    table
}

fn lines(samples: &[SizedTable]) -> Vec<(String, Vec<(f64, f64)>)> {
    let of = |(nth, operation): (usize, &str)| {
        let median =
            |sample_table: &SizedTable| report::float(sample_table.latency[nth].micros(0.5)) / 1_000.0;
        let points =
            samples.iter().map(|sample_table| (report::float(sample_table.size), median(sample_table)));
        (operation.to_owned(), points.collect())
    };
    OPERATIONS.into_iter().enumerate().map(of).collect()
}

impl SizedTable {
    /// Creates a table of this size. All but tables of many users share an engine.
    async fn create(axis: Axis, size: u64, folder: &TempDir, first: Option<&SizedTable>) -> SizedTable {
        let engine = match (axis, first) {
            (Axis::Records | Axis::Packs, Some(first)) => first.engine.clone(),
            _ => Arc::new(Engine::start(&folder.path().join(size.to_string())).await),
        };
        let prefix = format!("user-{size}-");
        let users = if let Axis::Users = axis { size } else { 1 };
        let app = engine.app(http_client());
        let sample_table =
            SizedTable { size, engine, app, users, prefix, latency: Default::default(), costs: Vec::new() };
        match axis {
            Axis::Records => {
                sample_table.grant(GRANT_ORDER, 1_000_000).await;
                sample_table.engine.import((0..size).map(|nth| charge(&sample_table.user(0), nth)));
            }
            Axis::Packs => {
                for nth in 0..size {
                    sample_table.grant(&format!("{GRANT_ORDER}-{nth}"), 1_000).await;
                }
            }
            Axis::Users => {
                sample_table.engine.import((0..size).flat_map(|nth| new_user(&sample_table.user(nth), nth)))
            }
        }
        sample_table
    }

    fn user(&self, nth: u64) -> String {
        format!("{}{nth}", self.prefix)
    }

    async fn grant(&self, order: &str, credits: u64) {
        let (_, grant) = self.grant_of(&self.user(0), order, credits, "2099-01-01T00:00:00Z");
        self.send(&self.app, GRANT, &grant).await;
    }

    /// Counts the requests and capacity units of each operation.
    async fn count(&mut self) {
        let http_client = FaultInjectingClient::new();
        let app =
            self.engine.app(aws_smithy_runtime_api::client::http::SharedHttpClient::new(http_client.clone()));
        for (function, request) in self.requests(0, "counted") {
            http_client.take_requests();
            self.send(&app, function, &request).await;
            self.costs.push(cost(&http_client.take_requests()));
        }
        self.spend_grant(0, "counted").await;
    }

    /// Times each operation once.
    async fn time(&mut self, sample: u64) {
        // A prime, so that users come from all over the table.
        let user = sample * 7_919 % self.users;
        let run = format!("timed-{sample}");
        for (nth, (function, request)) in self.requests(user, &run).into_iter().enumerate() {
            let started = Instant::now();
            self.send(&self.app, function, &request).await;
            self.latency[nth].record(started.elapsed());
        }
        self.spend_grant(user, &run).await;
    }

    /// A request of each operation, in order.
    fn requests(&self, user: u64, run: &str) -> [(Function, Value); OPERATIONS.len()] {
        let user = self.user(user);
        let charge = charge_of(&user, run);
        let refund = json!({ "user_uuid": user, "generation_uuid": run, "reason": "it failed" });
        let timeline = json!({ "operation": "timeline", "user_uuid": user, "include_voided": true });
        [
            // This pack expires first, and `spend_grant` empties it.
            self.grant_of(&user, run, 1, "2098-01-01T00:00:00Z"),
            (DECREASE, charge.clone()),
            (DECREASE, charge),
            (REFUND, refund),
            (BALANCE, json!({ "user_uuid": user })),
            (HISTORY, timeline),
        ]
    }

    fn grant_of(&self, user: &str, order: &str, credits: u64, expired_at: &str) -> (Function, Value) {
        let grant = json!({
            "user_uuid": user, "trans_type": "order_pay", "order_no": format!("{user}-{order}"),
            "credits": credits, "expired_at": expired_at,
        });
        (GRANT, grant)
    }

    /// Spends the run's grant, so that the wallet has as many packs as before.
    async fn spend_grant(&self, user: u64, run: &str) {
        let charge = charge_of(&self.user(user), &format!("{run}-settled"));
        self.send(&self.app, DECREASE, &charge).await;
    }

    async fn send(&self, app: &Arc<App>, function: Function, request: &Value) {
        let deadline = app.ledger.now().plus_millis(30_000);
        let result = invoke(app, function, request.to_string(), deadline).await;
        assert!(result.is_ok(), "{request}: {result:?}");
    }
}

/// The order of a user's first grant.
const GRANT_ORDER: &str = "first";

fn charge_of(user: &str, generation: &str) -> Value {
    json!({
        "user_uuid": user, "trans_type": "anime_generation", "credits": 1, "generation_uuid": generation,
    })
}

fn cost(sent: &[RecordedRequest]) -> String {
    let units = |is_write| {
        let of = sent.iter().filter(|sent| sent.is_write() == is_write);
        of.map(RecordedRequest::table_units).sum::<f64>().abs()
    };
    format!("{} calls, {} RRU, {} WRU", sent.len(), units(false), units(true))
}

/// An imported record.
fn charge(user: &str, nth: u64) -> Value {
    let (trans_no, generation) = (trans_no(nth), format!("before-{user}-{nth}"));
    let pack = json!({ "M": {
        "i": { "S": trans_no }, "t": { "S": "order_pay" }, "o": { "S": GRANT_ORDER }, "c": { "N": "1000" },
        "n": { "N": "1" },
    } });
    json!({
        "user_uuid": { "S": user }, "sk": { "S": format!("charge#{generation}#") }, "trans_no": { "S": trans_no },
        "trans_type": { "S": "anime_generation" }, "credits": { "N": "-1" },
        "generation_uuid": { "S": generation }, "user_trans": { "S": format!("{user}#{trans_no}") },
        "allocations": { "L": [pack] }, "is_voided": { "BOOL": false },
    })
}

/// The grant and the wallet of a new user.
pub(crate) fn new_user(user: &str, nth: u64) -> [Value; 2] {
    let trans_no = trans_no(nth);
    let grant = json!({
        "user_uuid": { "S": user }, "sk": { "S": "grant#new_user#" }, "trans_no": { "S": trans_no },
        "trans_type": { "S": "new_user" }, "credits": { "N": "1000000" }, "is_voided": { "BOOL": false },
    });
    let pack = json!({ "M": {
        "i": { "S": trans_no }, "t": { "S": "new_user" }, "c": { "N": "1000000" }, "n": { "N": "1000000" },
    } });
    let totals = json!({ "new_user": { "M": { "c": { "N": "1000000" }, "n": { "N": "1" } } } });
    let wallet = json!({
        "user_uuid": { "S": user }, "sk": { "S": "wallet" }, "version": { "N": (BEFORE + nth).to_string() },
        "packs": { "L": [pack] }, "totals": { "M": totals },
    });
    [grant, wallet]
}

fn trans_no(nth: u64) -> String {
    let random = nth.to_be_bytes();
    let random =
        [0, 0, random[0], random[1], random[2], random[3], random[4], random[5], random[6], random[7]];
    uuid::Builder::from_unix_timestamp_millis(BEFORE + nth, &random).into_uuid().to_string()
}
