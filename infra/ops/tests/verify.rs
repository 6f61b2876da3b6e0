//! The command `verify`: the old tables against the ledger, and the ledger against
//! itself.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{process::Command, thread, time::Duration};

use scrip::{
    domain::{ChargeRequest, ChargeType, Credits, GrantRequest, GrantType, RefundRequest, UserId},
    ledger::{Invocation, Ledger},
};
use serde_json::{Value, json};
use support::{
    legacy_data_gen::LegacyData,
    postgres::{Database, database},
    workspace::{Workspace, fail, succeed},
};

const SOME: LegacyData = LegacyData { seed: 3, users: 600, largest: 1_500 };

/// Every user's life on the ledger: a grant, a charge, and every second time its refund.
async fn live(ledger: &Ledger, users: impl IntoIterator<Item = String>) {
    let deadline = || ledger.now().plus_millis(60_000);
    for (nth, name) in users.into_iter().enumerate() {
        let user = UserId::try_from(name).unwrap();
        let grant = GrantRequest {
            user: user.clone(),
            trans_type: GrantType::SystemAdd,
            credits: Credits::requested(7).unwrap(),
            order_no: None,
            expired_at: None,
            key: None,
        };
        ledger.execute(&grant, &Invocation::until(deadline())).await.unwrap();
        let generation: scrip::domain::GenerationId = format!("live-{nth}").try_into().unwrap();
        let charge = ChargeRequest {
            user: user.clone(),
            trans_type: ChargeType::Chat,
            credits: Credits::requested(6).unwrap(),
            generation: Some(generation.clone()),
            order_no: None,
            key: None,
        };
        ledger.execute(&charge, &Invocation::until(deadline())).await.unwrap();
        if nth % 2 == 0 {
            let reason = "it failed".to_owned().try_into().unwrap();
            let refund = RefundRequest { user: Some(user), generation, key: None, reason };
            ledger.refund(&refund, &Invocation::until(deadline())).await.unwrap();
        }
    }
}

/// `verify`, with these flags, which finds nothing wrong: what it says.
fn sound(workspace: &Workspace, flags: &[&str]) -> Value {
    succeed(verify(workspace, flags));
    workspace.json("verify.json")
}

/// The same, which finds something wrong.
fn unsound(workspace: &Workspace, flags: &[&str]) -> Value {
    assert_eq!(fail(verify(workspace, flags)), "not all is as it should be");
    workspace.json("verify.json")
}

fn verify(workspace: &Workspace, flags: &[&str]) -> Command {
    let report = workspace.path("verify.json").display().to_string();
    let mut command = workspace.command(&["verify", "--report", &report]);
    command.args(flags);
    command
}

/// The flags that compare with the old tables.
fn with_old(database: &Database, workspace: &Workspace) -> [String; 4] {
    let folder = workspace.path("").display().to_string();
    ["--from".to_owned(), database.url(), "--folder".to_owned(), folder]
}

/// The first user whose migrated records have their rows in an item of them: the user, that
/// item, and a record of it.
fn first_moved(workspace: &Workspace) -> [String; 3] {
    let items = workspace.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
    let item = items.into_iter().find(|item| item["old_rows"]["M"].is_object()).unwrap();
    let record = item["old_rows"]["M"].as_object().unwrap().keys().next().unwrap().clone();
    let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    [text("user_uuid"), text("sk"), record]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn what_was_moved_is_what_there_was_before_and_after_going_live() {
    let (database, workspace) = (database().await, Workspace::new().await);
    SOME.load(&database.client().await).await;
    let report = workspace.migrate(&database.url(), &["--mend"]);
    let flags = with_old(&database, &workspace);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let before = sound(&workspace, &flags);
    assert_eq!(before["old"]["were moved"], report["users"]["moved"]);
    assert_eq!(before["old"]["stayed there"], report["users"]["quarantined"]);
    assert_eq!(before["users"], report["users"]["moved"]);

    live(&workspace.ledger().await, workspace.balances(0).into_keys()).await;
    let after = sound(&workspace, &flags);
    assert_eq!(after["old"], before["old"]);
    assert!(after["records"].as_u64() > before["records"].as_u64(), "{after}");

    let some = [&flags[..], &["--sample", "30", "--seed", "5"]].concat();
    assert_eq!(sound(&workspace, &some)["users"], 30);
    let whole = workspace.items();
    workspace.move_old_rows_into_records();
    assert_eq!(sound(&workspace, &flags)["old"], before["old"]);
    let first = workspace.migrate(&database.url(), &[]);
    assert_eq!(first["users"]["moved before"], report["users"]["moved"], "nothing is moved again");
    whole.iter().for_each(|item| workspace.put_item(serde_json::from_str(item).unwrap()));

    // A record lost, and one whose row has changed.
    let [user, _, record] = first_moved(&workspace);
    workspace.delete_item(&user, &record);
    let changed =
        "UPDATE credits SET note = 'changed' WHERE id = (SELECT max(id) FROM credits) RETURNING user_uuid";
    let changed: String = database.client().await.query_one(changed, &[]).await.unwrap().get(0);
    let faults = &unsound(&workspace, &flags)["faults"];
    let said = |user: &str, what: &str| faults[user].to_string().contains(what);
    assert!(said(&user, "the record of the rows ") && said(&user, " is missing"), "{faults}");
    assert!(said(&changed, "keeps other rows"), "{faults}");

    // Rows that cannot be read.
    let [user, sort, _] = first_moved(&workspace);
    workspace.damage(&user, &sort, |item| item["old_rows"] = json!({ "S": "[]" }));
    let faults = &unsound(&workspace, &flags)["faults"];
    assert!(faults[&user].to_string().contains("old_rows: is no map"), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_held_against_itself() {
    let workspace = Workspace::new().await;
    let ledger = workspace.ledger().await;
    live(&ledger, (0..50).map(|nth| format!("user-{nth}"))).await;
    let all = sound(&workspace, &[]);
    assert_eq!((&all["users"], &all["records"], &all["voided"]), (&json!(50), &json!(100), &json!(25)));
    for read in ["balance", "timeline", "generation"] {
        let latency = &all["latency"][read];
        let [p50, p95, p99] = ["P50", "P95", "P99"]
            .map(|quantile| latency[format!("{quantile} in microseconds")].as_u64().unwrap());
        assert!(0 < p50 && p50 <= p95 && p95 <= p99 && latency["reads"] == 50, "{latency}");
    }
    assert_eq!(sound(&workspace, &["--sample", "10"])["users"], 10);

    workspace.delete_item("user-7", "charge#live-7#");
    let found = unsound(&workspace, &[]);
    assert_eq!((&found["users"], &found["faulty"]), (&json!(50), &json!(1)));
    assert!(found["faults"]["user-7"].to_string().contains("the sums of chat"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_looks_again_until_the_first_fault() {
    let workspace = Workspace::new().await;
    live(&workspace.ledger().await, ["u".to_owned()]).await;
    let rounds = ["--for", "1s", "--every", "300ms"];
    assert!(sound(&workspace, &rounds)["users"].as_u64() >= Some(3));
    thread::scope(|scope| {
        let found = scope.spawn(|| unsound(&workspace, &["--for", "10m", "--every", "100ms"]));
        thread::sleep(Duration::from_millis(700));
        workspace.delete_item("u", "wallet");
        let found = found.join().unwrap();
        assert!(found["faults"]["u"].to_string().contains("there are records and no wallet"), "{found}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_it_is_one_line() {
    let workspace = Workspace::new().await;
    let url = "postgresql://nobody:x@127.0.0.1:1/none";
    let nowhere = workspace.path("nowhere").display().to_string();
    for (flags, says) in [
        (&["--from", url, "--folder", &nowhere][..], "is no folder of a migration"),
        (&["--dynamodb-table", "missing"], "the table: "),
    ] {
        let said = fail(verify(&workspace, flags));
        assert!(said.contains(says), "{said}");
    }
}
