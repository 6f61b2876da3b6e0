//! The command `repair`: a wallet put right by the records.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use scrip::{
    domain::{GrantRequest, GrantType, UserId},
    ledger::Invocation,
};
use serde_json::json;
use support::place::{Place, fail, succeed};

/// Grants 10 credits that never run out.
async fn grant(place: &Place, user: &str) {
    let ledger = place.ledger().await;
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
    let place = Place::new().await;
    grant(&place, "u").await;
    grant(&place, "other").await;
    let balances = place.balances(0);
    place.damage("u", "wallet", |wallet| wallet["packs"]["L"][0]["M"]["n"]["N"] = json!("3"));
    assert_eq!(fail(place.command(&["verify"])), "not all is as it should be");

    let damaged = place.items();
    let told = succeed(place.command(&["repair", "--user", "u"]));
    for said in [
        "has 3 left by the wallet and 10 by the records",
        "balance: 3 -> 10",
        ": 3 of 10 new_user -> 10 of 10 ",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(told.ends_with("nothing is written; --write does it\n"), "{told}");
    assert_eq!(place.items(), damaged, "a dry run writes nothing");

    let told = succeed(place.command(&["repair", "--user", "u", "--write"]));
    assert!(told.contains("balance: 3 -> 10") && told.contains("kept as repair#"), "{told}");
    assert_eq!(place.balances(0), balances);
    succeed(place.command(&["verify"]));

    let mended = place.items();
    for flags in [&["repair", "--user", "u"][..], &["repair", "--user", "u", "--write"]] {
        assert_eq!(succeed(place.command(flags)), "user u, 1 records, 0 faults\n");
    }
    assert_eq!(place.items(), mended);

    let file = place.path("credits.gz").display().to_string();
    succeed(place.command(&["export", "--file", &file]));
    let copy = Place::new().await;
    succeed(copy.command(&["import", "--file", &file]));
    assert_eq!(copy.items(), mended, "what is kept of a repair is copied with the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wallet_cannot_be_made_of_is_one_line_and_writes_nothing() {
    let place = Place::new().await;
    for user in ["lost", "voided"] {
        grant(&place, user).await;
    }
    let key = json!({ "user_uuid": { "S": "lost" }, "sk": { "S": "grant#new_user#" } });
    let delete = json!({ "TableName": "credits", "Key": key });
    place.engine.delete_item(serde_json::from_value(delete).unwrap()).unwrap();
    place.damage("voided", "grant#new_user#", |grant| grant["is_voided"]["BOOL"] = json!(true));
    let damaged = place.items();
    for (user, says) in [
        ("lost", "more is wrong than the wallet: the sums of new_user are 10 credits of 1 records"),
        ("voided", "sk=\"grant#new_user#\": a grant with a void mark"),
        ("nobody", "user nobody: the table has nothing of this user"),
    ] {
        for flags in [&["repair", "--user", user][..], &["repair", "--user", user, "--write"]] {
            let said = fail(place.command(flags));
            assert!(said.contains(says), "{said}");
        }
    }
    assert_eq!(place.items(), damaged);
    let none = place.command(&["repair", "--user", "no user"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "as every flag that is out of form");
}
