//! Blocked users: a migration left them behind, and every change is rejected until an operator
//! unblocks them.

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::{
    domain::{Block, Command, Unblock, UserId},
    ledger::Invocation,
    transport::functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND, WEBHOOK},
};
use scrip_tests::TestLedger;
use serde_json::json;

use crate::write_path::{ENOUGH, charge, grant, number, refund};

fn user() -> UserId {
    "u".to_owned().try_into().unwrap()
}

async fn execute<C: Command>(ledger: &TestLedger, command: C) -> C::Answer {
    let invocation = Invocation::until(ledger.clock.now().plus_millis(ENOUGH));
    ledger.ledger().execute(&command, &invocation).await.unwrap()
}

async fn blocked_ledger() -> TestLedger {
    let ledger = TestLedger::new().await;
    assert!(execute(&ledger, Block { user: user() }).await);
    ledger
}

#[tokio::test]
async fn blocked_user_cannot_be_changed_until_unblocked() {
    let ledger = blocked_ledger().await;
    let before = ledger.items().await;
    let gift = |trans_type| json!({ "user_uuid": "u", "trans_type": trans_type, "credits": 5 });
    let failed = json!({ "user_uuid": "u", "generation_uuid": "gen-1", "status": "failed" });
    for (function, request) in [
        (GRANT, gift("new_user")),
        (GRANT, gift("system_add")),
        (GRANT, grant("order-1", 5)),
        (DECREASE, charge("gen-1", None, 5)),
        (DECREASE, json!({ "user_uuid": "u", "trans_type": "chat", "credits": 5 })),
        (REFUND, refund(Some("u"), "gen-1")),
        (WEBHOOK, failed),
    ] {
        let (code, detail) = ledger.invoke(function, request.clone()).await.unwrap_err();
        assert_eq!(code, "LimitExceeded", "{}: {request}", function.name);
        assert!(detail.contains("The migration did not move this user"), "{detail}");
    }
    assert_eq!(ledger.items().await, before, "nothing is written");
    let balance = ledger.invoke(BALANCE, json!({ "user_uuid": "u" })).await.unwrap();
    assert_eq!(balance, json!({ "user_uuid": "u", "balance": 0, "debt": 0, "packs": [] }));
    let timeline = json!({ "operation": "timeline", "user_uuid": "u" });
    assert_eq!(ledger.invoke(HISTORY, timeline).await.unwrap()["records"], json!([]));
    assert_eq!(ledger.sound_balance("u").await, 0);

    assert!(execute(&ledger, Unblock { user: user() }).await);
    assert!(!execute(&ledger, Unblock { user: user() }).await, "there is no block");
    assert!(!execute(&ledger, Block { user: user() }).await, "a user with a wallet is not blocked");
    ledger.invoke(GRANT, grant("order-1", 5)).await.unwrap();
    assert_eq!(ledger.sound_balance("u").await, 5);
}

/// An earlier version of this ledger reads only wallets without a format.
#[tokio::test]
async fn block_has_a_format_that_earlier_versions_reject() {
    let ledger = blocked_ledger().await;
    let item = ledger.item("u", "wallet").await.unwrap();
    assert_eq!((&item["item_format"], &item["is_blocked"]), (&number(2), &AttributeValue::Bool(true)));
    execute(&ledger, Unblock { user: user() }).await;
    let item = ledger.item("u", "wallet").await.unwrap();
    assert!(!item.contains_key("item_format") && !item.contains_key("is_blocked"), "{item:?}");
    for (attribute, value) in [("item_format", number(2)), ("is_blocked", AttributeValue::Bool(true))] {
        let ledger = TestLedger::new().await;
        ledger.grant("u", 5, None).await;
        ledger.set("u", "wallet", attribute, value).await;
        let error = ledger.invoke(BALANCE, json!({ "user_uuid": "u" })).await.unwrap_err();
        assert_eq!(error.0, "Internal", "{attribute} without the other attribute");
    }
}

#[tokio::test]
async fn repair_of_a_blocked_wallet_keeps_the_block() {
    let ledger = blocked_ledger().await;
    ledger.set("u", "wallet", "fences", AttributeValue::S("x".to_owned())).await;
    let deadline = ledger.clock.now().plus_millis(ENOUGH);
    let repaired = ledger.ledger().repair(&user(), deadline).await.unwrap();
    assert!(repaired.trans_no.is_some(), "{repaired:?}");
    let (code, _) = ledger.invoke(GRANT, grant("order-1", 5)).await.unwrap_err();
    assert_eq!(code, "LimitExceeded");
    assert_eq!(ledger.sound_balance("u").await, 0);
}
