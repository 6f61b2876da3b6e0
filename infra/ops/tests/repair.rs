//! The command `repair`.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use scrip::{
    domain::{GrantRequest, GrantType, Metadata, UserId},
    ledger::Invocation,
};
use scrip_tests::process::succeed;
use serde_json::json;
use support::workspace::{Workspace, fail};

/// Grants 10 credits without expiry.
async fn grant(workspace: &Workspace, user: &str) {
    let ledger = workspace.ledger().await;
    let grant = GrantRequest {
        user: UserId::try_from(user.to_owned()).unwrap(),
        trans_type: GrantType::NewUser,
        credits: scrip::domain::Credits::requested(10).unwrap(),
        order_no: None,
        expired_at: None,
        key: None,
        metadata: Metadata::default(),
    };
    ledger.execute(&grant, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_rebuilds_a_damaged_wallet() {
    let workspace = Workspace::new().await;
    grant(&workspace, "u").await;
    grant(&workspace, "other").await;
    let balances = workspace.balances(0);
    workspace.damage("u", "wallet", |wallet| wallet["packs"]["L"][0]["M"]["n"]["N"] = json!("3"));
    assert_eq!(fail(workspace.command(&["verify"])), "the check failed; see the report");

    let damaged = workspace.items();
    let report = succeed(workspace.command(&["repair", "--user", "u"]));
    for expected in [
        "has 3 left by the wallet and 10 by the records",
        "balance: 3 -> 10",
        ": 3 of 10 new_user -> 10 of 10 ",
    ] {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    assert!(
        report.ends_with("dry run: nothing was written; add --write to write the rebuilt wallet\n"),
        "{report}"
    );
    assert_eq!(workspace.items(), damaged, "a dry run writes nothing");

    let report = succeed(workspace.command(&["repair", "--user", "u", "--write"]));
    assert!(report.contains("balance: 3 -> 10") && report.contains("the repair trail repair#"), "{report}");
    assert_eq!(workspace.balances(0), balances);
    succeed(workspace.command(&["verify"]));

    let repaired = workspace.items();
    for flags in [&["repair", "--user", "u"][..], &["repair", "--user", "u", "--write"]] {
        assert_eq!(succeed(workspace.command(flags)), "user u, 1 records, 0 discrepancies\n");
    }
    assert_eq!(workspace.items(), repaired);

    let file = workspace.path("credits.gz").display().to_string();
    succeed(workspace.command(&["export", "--file", &file]));
    let copy = Workspace::new().await;
    succeed(copy.command(&["import", "--file", &file]));
    assert_eq!(copy.items(), repaired, "the repair trail is copied too");
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_of_more_than_the_wallet_fails_in_one_line() {
    let workspace = Workspace::new().await;
    for user in ["lost", "voided"] {
        grant(&workspace, user).await;
    }
    let key = json!({ "user_uuid": { "S": "lost" }, "sk": { "S": "grant#new_user#" } });
    let delete = json!({ "TableName": "credits", "Key": key });
    workspace.engine.delete_item(serde_json::from_value(delete).unwrap()).unwrap();
    workspace.damage("voided", "grant#new_user#", |grant| grant["is_voided"]["BOOL"] = json!(true));
    let damaged = workspace.items();
    for (user, expected) in [
        ("lost", "not only the wallet is wrong: the sums of new_user are 10 credits of 1 records"),
        ("voided", "sk=\"grant#new_user#\": a grant with a void mark"),
        ("absent", "user absent: the table has nothing of this user"),
    ] {
        for flags in [&["repair", "--user", user][..], &["repair", "--user", user, "--write"]] {
            let error = fail(workspace.command(flags));
            assert!(error.contains(expected), "{error}");
        }
    }
    assert_eq!(workspace.items(), damaged);
    let output = workspace.command(&["repair", "--user", "no user"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "as for every invalid flag");
}
