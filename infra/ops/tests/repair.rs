//! The command `repair`: a wallet put right by the records.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use scrip::{
    domain::{GrantRequest, GrantType, UserId},
    ledger::Invocation,
};
use serde_json::json;
use support::workspace::{Workspace, fail, succeed};

/// Grants 10 credits that never run out.
async fn grant(workspace: &Workspace, user: &str) {
    let ledger = workspace.ledger().await;
    let grant = GrantRequest {
        user: UserId::try_from(user.to_owned()).unwrap(),
        trans_type: GrantType::NewUser,
        credits: scrip::domain::Credits::requested(10).unwrap(),
        order_no: None,
        expired_at: None,
        key: None,
    };
    ledger.execute(&grant, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_put_right_by_the_command() {
    let workspace = Workspace::new().await;
    grant(&workspace, "u").await;
    grant(&workspace, "other").await;
    let balances = workspace.balances(0);
    workspace.damage("u", "wallet", |wallet| wallet["packs"]["L"][0]["M"]["n"]["N"] = json!("3"));
    assert_eq!(fail(workspace.command(&["verify"])), "not all is as it should be");

    let damaged = workspace.items();
    let told = succeed(workspace.command(&["repair", "--user", "u"]));
    for said in [
        "has 3 left by the wallet and 10 by the records",
        "balance: 3 -> 10",
        ": 3 of 10 new_user -> 10 of 10 ",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(told.ends_with("nothing is written; --write does it\n"), "{told}");
    assert_eq!(workspace.items(), damaged, "a dry run writes nothing");

    let told = succeed(workspace.command(&["repair", "--user", "u", "--write"]));
    assert!(told.contains("balance: 3 -> 10") && told.contains("kept as repair#"), "{told}");
    assert_eq!(workspace.balances(0), balances);
    succeed(workspace.command(&["verify"]));

    let mended = workspace.items();
    for flags in [&["repair", "--user", "u"][..], &["repair", "--user", "u", "--write"]] {
        assert_eq!(succeed(workspace.command(flags)), "user u, 1 records, 0 faults\n");
    }
    assert_eq!(workspace.items(), mended);

    let file = workspace.path("credits.gz").display().to_string();
    succeed(workspace.command(&["export", "--file", &file]));
    let copy = Workspace::new().await;
    succeed(copy.command(&["import", "--file", &file]));
    assert_eq!(copy.items(), mended, "what is kept of a repair is copied with the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wallet_cannot_be_made_of_is_one_line_and_writes_nothing() {
    let workspace = Workspace::new().await;
    for user in ["lost", "voided"] {
        grant(&workspace, user).await;
    }
    let key = json!({ "user_uuid": { "S": "lost" }, "sk": { "S": "grant#new_user#" } });
    let delete = json!({ "TableName": "credits", "Key": key });
    workspace.engine.delete_item(serde_json::from_value(delete).unwrap()).unwrap();
    workspace.damage("voided", "grant#new_user#", |grant| grant["is_voided"]["BOOL"] = json!(true));
    let damaged = workspace.items();
    for (user, says) in [
        ("lost", "more is wrong than the wallet: the sums of new_user are 10 credits of 1 records"),
        ("voided", "sk=\"grant#new_user#\": a grant with a void mark"),
        ("nobody", "user nobody: the table has nothing of this user"),
    ] {
        for flags in [&["repair", "--user", user][..], &["repair", "--user", user, "--write"]] {
            let said = fail(workspace.command(flags));
            assert!(said.contains(says), "{said}");
        }
    }
    assert_eq!(workspace.items(), damaged);
    let none = workspace.command(&["repair", "--user", "no user"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "as every flag that is out of form");
}
