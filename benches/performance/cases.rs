//! The cases of the micro-benchmarks, by name: criterion measures time, valgrind instructions and
//! allocations.

use std::hint::black_box;

use lambda_runtime::LambdaEvent;
use scrip::{
    domain::{
        Charge, ChargeRequest, ChargeType, Credits, GrantRequest, GrantType, InvocationId, Metadata, Record,
        Timestamp, Wallet,
    },
    store::{from_record, from_wallet, to_record, to_wallet},
    transport::{App, Payload, functions},
};
use scrip_tests::{direct_event, http_event};
use serde_json::json;
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::{instant_dynamodb::InstantDynamoDb, metrics_sink::MetricsSink, sdk_baseline};

/// Numbers of packs of the wallets.
pub(crate) const PACKS: [u64; 4] = [1, 10, 200, 500];

/// The rules and the mapping of items.
pub(crate) const RULES: [&str; 7] = [
    "Wallet::charge",
    "Wallet::grant",
    "Wallet::void",
    "wallet to item",
    "item to wallet",
    "charge to item",
    "item to charge",
];

/// The whole of `decrease`, from the event to the response.
pub(crate) const DECREASE: &str = "decrease";

/// The calls of the SDK that it needs.
pub(crate) const BASELINE: &str = "bare calls";

/// The repeated work of a case.
pub(crate) type Work = Box<dyn FnMut()>;

/// The work of this case, on a wallet with this number of packs.
pub(crate) fn work(name: &str, packs: u64) -> Work {
    let wallet = wallet(packs);
    let (now, invocation_id) = (moment(1), InvocationId::new(Uuid::from_u128(7)));
    let one = charge_request(1);
    match name {
        "Wallet::charge" => {
            Box::new(move || drop(black_box(wallet.charge(black_box(&one), invocation_id, now))))
        }
        "Wallet::grant" => {
            let wallet = wallet_less_one(packs);
            let grant = grant_request(0);
            Box::new(move || drop(black_box(wallet.grant(black_box(&grant), invocation_id, now))))
        }
        "Wallet::void" => {
            let (after, charge) = spanning(&wallet, packs);
            Box::new(move || drop(black_box(after.void([black_box(&charge)], now))))
        }
        "wallet to item" => Box::new(move || drop(black_box(from_wallet(black_box(&wallet))))),
        "item to wallet" => {
            let item = from_wallet(&wallet).expect("an item");
            Box::new(move || drop(black_box(to_wallet(item.clone()))))
        }
        "charge to item" => {
            let record = Record::Charge(spanning(&wallet, packs).1);
            let user = id("user");
            Box::new(move || drop(black_box(from_record(&user, black_box(&record)))))
        }
        "item to charge" => {
            let mut item = from_record(&id("user"), &Record::Charge(spanning(&wallet, packs).1));
            for (name, value) in [("user_uuid", "user"), ("sk", "charge#generation#")] {
                item.insert(name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned()));
            }
            Box::new(move || drop(black_box(to_record(item.clone()))))
        }
        DECREASE => decrease(packs),
        BASELINE => baseline_calls(packs),
        other => panic!("there is no case {other}"),
    }
}

/// `decrease` as on Lambda: over HTTP, with metrics and a line of the log, on a DynamoDB
/// that responds at once.
fn decrease(packs: u64) -> Work {
    let app = InstantDynamoDb::new(packs).app();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (metrics_sink, event) = (MetricsSink::start(), charge_event(&app, "user", "generation"));
    Box::new(move || runtime.block_on(charge(&app, metrics_sink, event.clone())))
}

fn baseline_calls(packs: u64) -> Work {
    let client = InstantDynamoDb::new(packs).client();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Box::new(move || {
        black_box(runtime.block_on(sdk_baseline::charge(&client, "user", "generation")));
    })
}

/// Charges by an event, and writes the metrics as the function does before it responds.
pub(crate) async fn charge(app: &App, metrics_sink: &MetricsSink, event: LambdaEvent<Payload>) {
    let reply = functions::DECREASE.handle(app, event).await;
    let reply = serde_json::to_string(&reply.expect("a response over HTTP")).expect("JSON");
    assert!(reply.contains(r#""statusCode":200"#), "{reply}");
    metrics_sink.flush();
    black_box(reply);
}

/// The event of a charge of one credit, with a deadline in ten minutes.
pub(crate) fn charge_event(app: &App, user: &str, generation: &str) -> LambdaEvent<Payload> {
    let body = json!({
        "user_uuid": user, "trans_type": "anime_generation", "credits": 1, "generation_uuid": generation,
    });
    let claims = json!({ "scope": "credits:write", "sub": "service" });
    let headers = json!({
        "content-type": "application/json", "host": "api.example.com", "user-agent": "app/1.0",
        "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "443", "x-forwarded-proto": "https",
    });
    let body = body.to_string().into_bytes();
    let event = http_event("POST", "/credits/decrease", body, Some(claims), &headers);
    direct_event(event.to_string(), app.ledger.now().plus_millis(600_000))
}

/// The wallet of a user after one charge.
fn wallet(packs: u64) -> Wallet {
    let wallet = grants(packs);
    let invocation_id = InvocationId::new(Uuid::from_u128(9));
    wallet.charge(&charge_request(1), invocation_id, moment(0)).expect("enough credits").0
}

fn wallet_less_one(packs: u64) -> Wallet {
    grants(packs - 1)
}

fn grants(packs: u64) -> Wallet {
    (0..packs).fold(Wallet::default(), |wallet, nth| {
        let invocation_id = InvocationId::new(Uuid::from_u128(nth.into()));
        wallet.grant(&grant_request(nth), invocation_id, moment(0)).expect("room for a pack").0
    })
}

/// A charge of all credits of every pack, and the wallet after it.
fn spanning(wallet: &Wallet, packs: u64) -> (Wallet, Charge) {
    let all = charge_request(1_000 * packs - 1);
    wallet.charge(&all, InvocationId::new(Uuid::from_u128(8)), moment(0)).expect("enough credits")
}

fn grant_request(nth: u64) -> GrantRequest {
    GrantRequest {
        user: id("user"),
        trans_type: GrantType::OrderPay,
        credits: Credits::requested(1_000).expect("credits"),
        order_no: Some(id(&format!("order-{nth:08}"))),
        expired_at: Some(moment(10_000_000_000 + i64::try_from(nth).expect("a few"))),
        key: None,
        metadata: Metadata::default(),
    }
}

fn charge_request(credits: u64) -> ChargeRequest {
    ChargeRequest {
        user: id("user"),
        trans_type: ChargeType::Generation("anime".to_owned()),
        credits: Credits::requested(credits).expect("credits"),
        generation: Some(id("generation")),
        order_no: None,
        key: None,
        metadata: Metadata::default(),
        outputs: None,
        hold_millis: None,
    }
}

fn id<T: TryFrom<String, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text.to_owned()).expect("an identifier")
}

/// Milliseconds after the start of 2026.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + millis).expect("a moment")
}
