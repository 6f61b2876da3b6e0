//! The contract's limits, with every field at its full length.

use scrip::{
    domain::{
        CreditSum, Credits, GrantRequest, GrantType, InvocationId, Timestamp, Totals, TransType, Wallet,
    },
    transport::functions::{DECREASE, GRANT, REFUND},
};
use scrip_tests::{Clock, TestLedger};
use serde_json::{Value, json};
use uuid::Uuid;

/// An identifier of the full length.
fn long(name: impl std::fmt::Display) -> String {
    format!("{name:->255}")
}

/// The wallet after this many grants of one credit each.
fn with_packs(mut wallet: Wallet, packs: usize, name: &str) -> Wallet {
    for pack in 0..packs {
        let request = GrantRequest {
            user: long("user").try_into().unwrap(),
            trans_type: GrantType::OrderPay,
            credits: Credits::requested(1).unwrap(),
            order_no: Some(long(format!("{name}{pack}")).try_into().unwrap()),
            expired_at: Timestamp::parse("2099-12-31T23:59:59.999Z"),
            key: None,
            metadata: Default::default(),
        };
        let now = Timestamp::parse(Clock::START).unwrap();
        wallet = wallet.grant(&request, InvocationId::new(Uuid::new_v4()), now).unwrap().0;
    }
    wallet
}

fn grant(credits: u64) -> Value {
    json!({
        "user_uuid": long("user"), "trans_type": "order_pay", "credits": credits, "order_no": long("one-more"),
        "idempotency_key": long("key"), "expired_at": "2099-12-31T23:59:59.999Z",
    })
}

fn charge(credits: u64, generation: &str) -> Value {
    json!({
        "user_uuid": long("user"), "trans_type": format!("{:_>64}_generation", "long"), "credits": credits,
        "generation_uuid": long(generation), "order_no": long("order"), "idempotency_key": long("key"),
    })
}

fn refund(generation: &str) -> Value {
    json!({ "user_uuid": long("user"), "generation_uuid": long(generation), "reason": "é".repeat(255) })
}

#[tokio::test]
async fn five_hundred_packs_for_gifts_and_nine_hundred_for_orders() {
    for (trans_type, other, packs) in
        [("system_add", "order_pay", 500), ("order_pay", "system_add", 900_usize)]
    {
        let grant = |trans_type: &str, id: &str| {
            let mut request = grant(1);
            request["trans_type"] = json!(trans_type);
            (request["order_no"], request["idempotency_key"]) = (json!(long(id)), json!(long(id)));
            request
        };
        let ledger = TestLedger::new().await;
        ledger.seed(&long("user"), &with_packs(Wallet::default(), packs - 1, "a")).await;
        assert_eq!(ledger.invoke(GRANT, grant(trans_type, "last")).await.unwrap()["balance"], packs);
        let rejected = ledger.invoke(GRANT, grant(trans_type, "more")).await.unwrap_err().0;
        assert_eq!(rejected, "LimitExceeded", "{trans_type}");
        let replay = ledger.invoke(GRANT, grant(trans_type, "last")).await.unwrap();
        assert_eq!(replay["replayed"], true, "{trans_type}: a replay has no limit");
        let other = ledger.invoke(GRANT, grant(other, "other")).await;
        assert_eq!(other.is_ok(), packs == 500, "{trans_type}: only an order is granted beside 500 packs");
        ledger.invoke(DECREASE, charge(2, "g")).await.unwrap();
        ledger.invoke(GRANT, grant(trans_type, "more")).await.unwrap();
    }
}

/// Every pack is emptied by one charge, as many others come, and the refund
/// brings the first ones back beside them; twice as many would be too many.
#[tokio::test]
async fn refund_brings_five_hundred_packs_back_beside_five_hundred_others() {
    let ledger = TestLedger::new().await;
    let user = long("user");
    let mut wallet = Wallet::default();
    for generation in ["a", "b"] {
        ledger.client.delete_item().table_name(&ledger.table).set_key(Some(key(&user))).send().await.unwrap();
        ledger.seed(&user, &with_packs(wallet, 500, generation)).await;
        let charged = ledger.invoke(DECREASE, charge(500, generation)).await.unwrap();
        assert_eq!(charged["allocations"].as_array().unwrap().len(), 500);
        wallet = ledger.store().wallet(&user.clone().try_into().unwrap()).await.unwrap().wallet;
    }
    ledger.client.delete_item().table_name(&ledger.table).set_key(Some(key(&user))).send().await.unwrap();
    ledger.seed(&user, &with_packs(wallet, 500, "c")).await;

    let refunded = ledger.invoke(REFUND, refund("b")).await.unwrap();
    assert_eq!((&refunded["restored"], &refunded["balance"]), (&json!(500), &json!(1_000)));
    let before = ledger.item(&user, "wallet").await;
    assert_eq!(ledger.invoke(REFUND, refund("a")).await.unwrap_err().0, "LimitExceeded");
    assert_eq!(ledger.item(&user, "wallet").await, before, "nothing is changed");

    ledger.invoke(DECREASE, charge(1_000, "d")).await.unwrap();
    assert_eq!(ledger.invoke(REFUND, refund("a")).await.unwrap()["balance"], 500, "now there is room");
    assert_eq!(ledger.sound_balance(&user).await, 500);
}

/// The first of its transactions alone would fit.
#[tokio::test]
async fn refund_in_several_transactions_that_brings_back_too_much_changes_nothing() {
    let ledger = TestLedger::new().await;
    let user = long("user");
    ledger.seed(&user, &with_packs(Wallet::default(), 150, "a")).await;
    for message in 0..150 {
        let mut charge = charge(1, "session");
        charge["idempotency_key"] = json!(format!("m{message}"));
        ledger.invoke(DECREASE, charge).await.unwrap();
    }
    let mut wallet = ledger.store().wallet(&user.clone().try_into().unwrap()).await.unwrap().wallet;
    for (packs, name) in [(500, "b"), (450, "c")] {
        wallet.packs.append(&mut with_packs(Wallet::default(), packs, name).packs);
    }
    wallet.packs.sort_by_key(|pack| pack.grant.spending_order());
    ledger.client.delete_item().table_name(&ledger.table).set_key(Some(key(&user))).send().await.unwrap();
    ledger.seed(&user, &wallet).await;

    assert_eq!(ledger.invoke(REFUND, refund("session")).await.unwrap_err().0, "LimitExceeded");
    assert_eq!(ledger.store().wallet(&user.clone().try_into().unwrap()).await.unwrap().wallet, wallet);
    assert!(ledger.records(&user).await.iter().all(|record| record["is_voided"] == false));
}

fn key(user: &str) -> std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> {
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    [("user_uuid".to_owned(), text(user)), ("sk".to_owned(), text("wallet"))].into()
}

#[tokio::test]
async fn hundred_types_of_charges_and_no_more() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 200, None).await;
    let charge =
        |kind: u32| json!({ "user_uuid": "u", "trans_type": format!("t{kind}_generation"), "credits": 1 });
    for kind in 0..100 {
        ledger.invoke(DECREASE, charge(kind)).await.unwrap();
    }
    assert_eq!(ledger.invoke(DECREASE, charge(100)).await.unwrap_err().0, "LimitExceeded");
    assert_eq!(ledger.invoke(DECREASE, charge(99)).await.unwrap()["balance"], 99);
    assert_eq!(ledger.sound_balance("u").await, 99);
}

#[tokio::test]
async fn no_total_passes_what_json_holds_exactly() {
    let ledger = TestLedger::new().await;
    let almost = CreditSum { credits: Credits::try_from((1 << 53) - 11).unwrap(), count: 9_008 };
    let totals = Totals { created: almost, voided: CreditSum::default() };
    let mut wallet = with_packs(Wallet::default(), 5, "a");
    wallet.totals = [(TransType::Grant(GrantType::OrderPay), totals)].into();
    ledger.seed(&long("user"), &wallet).await;
    assert_eq!(ledger.invoke(GRANT, grant(11)).await.unwrap_err().0, "LimitExceeded");
    assert_eq!(ledger.invoke(GRANT, grant(10)).await.unwrap()["balance"], 15);
}
