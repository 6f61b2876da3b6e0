//! The command `verify`.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{process::Command, thread, time::Duration};

use scrip::{
    domain::{
        ChargeRequest, ChargeType, Credits, GrantRequest, GrantType, Metadata, OrderNo, RefundRequest,
        RefundSource, RevokeRequest, RevokedAmount, ShortfallPolicy, UserId,
    },
    ledger::{Invocation, Ledger},
};
use scrip_tests::{
    postgres::{Database, database},
    process::succeed,
};
use serde_json::{Value, json};
use support::{
    legacy_data_gen::LegacyData,
    workspace::{Workspace, fail},
};

const SOME: LegacyData = LegacyData { seed: 3, users: 600, largest: 1_500 };

/// A grant and a charge for each user, and a refund for every second one.
async fn use_ledger(ledger: &Ledger, users: impl IntoIterator<Item = String>) {
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
            metadata: Metadata::default(),
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
            metadata: Metadata::default(),
            outputs: None,
            hold_millis: None,
        };
        ledger.execute(&charge, &Invocation::until(deadline())).await.unwrap();
        if nth % 2 == 0 {
            let reason = "it failed".to_owned().try_into().unwrap();
            let refund = RefundRequest {
                user: Some(user),
                generation,
                key: None,
                trans_no: None,
                outputs: None,
                source: RefundSource::Caller,
                reason,
            };
            ledger.refund(&refund, &Invocation::until(deadline())).await.unwrap();
        }
    }
}

/// Revokes half of each order of the table. Returns their numbers.
async fn revoke_orders(workspace: &Workspace) -> Vec<String> {
    let ledger = workspace.ledger().await;
    let partitions = workspace.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
    let number = |item: Value| item["user_uuid"]["S"].as_str()?.strip_prefix("order#").map(str::to_owned);
    let orders: Vec<_> = partitions.filter_map(number).collect();
    for order_no in &orders {
        let request = RevokeRequest {
            order_no: OrderNo::try_from(order_no.clone()).unwrap(),
            user: None,
            source: "refund".to_owned().try_into().unwrap(),
            amount: RevokedAmount::Share { part: 1, of: 2 },
            as_of: ledger.now(),
            shortfall: ShortfallPolicy::Debt,
            reason: "it was refunded".to_owned().try_into().unwrap(),
            metadata: Metadata::default(),
        };
        ledger.revoke(&request, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
    }
    orders
}

/// Runs `verify`, which must succeed. Returns the report.
fn verify_sound(workspace: &Workspace, flags: &[&str]) -> Value {
    succeed(verify(workspace, flags));
    workspace.json("verify.json")
}

/// Runs `verify`, which must find discrepancies. Returns the report.
fn verify_unsound(workspace: &Workspace, flags: &[&str]) -> Value {
    assert_eq!(fail(verify(workspace, flags)), "the check failed; see the report");
    workspace.json("verify.json")
}

fn verify(workspace: &Workspace, flags: &[&str]) -> Command {
    let report = workspace.path("verify.json").display().to_string();
    let mut command = workspace.command(&["verify", "--report", &report]);
    command.args(flags);
    command
}

/// The flags that compare with the old tables.
fn legacy_flags(database: &Database, workspace: &Workspace) -> [String; 4] {
    let folder = workspace.path("").display().to_string();
    ["--from".to_owned(), database.url(), "--folder".to_owned(), folder]
}

/// A user with an item of old rows: the user, the sort key of the item, and that of one of
/// its records.
fn first_item_of_old_rows(workspace: &Workspace) -> [String; 3] {
    let items = workspace.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
    let item = items.into_iter().find(|item| item["old_rows"]["M"].is_object()).unwrap();
    let record = item["old_rows"]["M"].as_object().unwrap().keys().next().unwrap().clone();
    let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    [text("user_uuid"), text("sk"), record]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn verify_accepts_migrated_users_and_reports_changed_rows() {
    let (database, workspace) = (database().await, Workspace::new().await);
    SOME.load(&database.client().await).await;
    let report = workspace.migrate(&database.url(), &["--mend"]);
    let flags = legacy_flags(&database, &workspace);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let before = verify_sound(&workspace, &flags);
    assert_eq!(before["old"]["were moved"], report["users"]["moved"]);
    assert_eq!(before["old"]["stayed there"], report["users"]["quarantined"]);
    // Users in quarantine have a wallet with a block.
    let users = report["users"]["moved"].as_u64().unwrap() + report["blocked"].as_u64().unwrap();
    assert_eq!(before["users"], users);

    use_ledger(&workspace.ledger().await, workspace.balances(0).into_keys()).await;
    assert!(!revoke_orders(&workspace).await.is_empty());
    let after = verify_sound(&workspace, &flags);
    assert_eq!(after["old"], before["old"]);
    assert!(after["records"].as_u64() > before["records"].as_u64(), "{after}");

    let some = [&flags[..], &["--sample", "30", "--seed", "5"]].concat();
    assert_eq!(verify_sound(&workspace, &some)["users"], 30);
    let whole = workspace.items();
    workspace.move_old_rows_into_records();
    assert_eq!(verify_sound(&workspace, &flags)["old"], before["old"]);
    let first = workspace.migrate(&database.url(), &[]);
    assert_eq!(first["users"]["moved before"], report["users"]["moved"], "no user is migrated again");
    whole.iter().for_each(|item| workspace.put_item(serde_json::from_str(item).unwrap()));

    // A lost record, and a changed row.
    let [user, _, record] = first_item_of_old_rows(&workspace);
    workspace.delete_item(&user, &record);
    let changed =
        "UPDATE credits SET note = 'changed' WHERE id = (SELECT max(id) FROM credits) RETURNING user_uuid";
    let changed: String = database.client().await.query_one(changed, &[]).await.unwrap().get(0);
    let faults = &verify_unsound(&workspace, &flags)["faults"];
    let reports = |user: &str, text: &str| faults[user].to_string().contains(text);
    assert!(reports(&user, "the record of the rows ") && reports(&user, " is missing"), "{faults}");
    assert!(reports(&changed, "contains other rows than"), "{faults}");

    // Unreadable old rows.
    let [user, sort, _] = first_item_of_old_rows(&workspace);
    workspace.damage(&user, &sort, |item| item["old_rows"] = json!({ "S": "[]" }));
    let faults = &verify_unsound(&workspace, &flags)["faults"];
    assert!(faults[&user].to_string().contains("old_rows: not a map"), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_wallets_with_records() {
    let workspace = Workspace::new().await;
    let ledger = workspace.ledger().await;
    use_ledger(&ledger, (0..50).map(|nth| format!("user-{nth}"))).await;
    let all = verify_sound(&workspace, &[]);
    assert_eq!((&all["users"], &all["records"], &all["voided"]), (&json!(50), &json!(100), &json!(25)));
    for read in ["balance", "timeline", "generation"] {
        let latency = &all["latency"][read];
        let [p50, p95, p99] = ["P50", "P95", "P99"]
            .map(|quantile| latency[format!("{quantile} in microseconds")].as_u64().unwrap());
        assert!(0 < p50 && p50 <= p95 && p95 <= p99 && latency["reads"] == 50, "{latency}");
    }
    assert_eq!(verify_sound(&workspace, &["--sample", "10"])["users"], 10);

    workspace.delete_item("user-7", "charge#live-7#");
    let found = verify_unsound(&workspace, &[]);
    assert_eq!((&found["users"], &found["faulty"]), (&json!(50), &json!(1)));
    assert!(found["faults"]["user-7"].to_string().contains("the sums of chat"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_orders_with_grants_and_revoked_credits() {
    let workspace = Workspace::new().await;
    let ledger = workspace.ledger().await;
    for (user, order_no) in [("u", "o1"), ("u", "o2"), ("v", "o3")] {
        let grant = GrantRequest {
            user: UserId::try_from(user.to_owned()).unwrap(),
            trans_type: GrantType::OrderPay,
            credits: Credits::requested(10).unwrap(),
            order_no: Some(OrderNo::try_from(order_no.to_owned()).unwrap()),
            expired_at: None,
            key: None,
            metadata: Metadata::default(),
        };
        ledger.execute(&grant, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
    }
    assert_eq!(revoke_orders(&workspace).await.len(), 3);
    let sound = verify_sound(&workspace, &[]);
    assert_eq!((&sound["users"], &sound["orders"]), (&json!(2), &json!(3)));
    let all = workspace.items();
    let restore = || all.iter().for_each(|item| workspace.put_item(serde_json::from_str(item).unwrap()));

    for (user, sort, damage, counts, owner, text) in [
        (
            "u",
            "wallet",
            (|wallet| wallet["revoked"] = json!({ "N": "9" })) as fn(&mut Value),
            [1, 0],
            "u",
            "9 credits are revoked by the wallet and 10 by the records",
        ),
        (
            "order#o1",
            "order",
            |order| order["statements"]["L"][0]["M"]["p"] = json!({ "N": "0" }),
            [1, 1],
            "u",
            "are revoked by its order and 5 by its record",
        ),
        (
            "order#o3",
            "order",
            |order| order["owner"] = json!({ "S": "w" }),
            [1, 1],
            "w",
            "order o3 has a user, and the user has no grant of it",
        ),
        (
            "order#o3",
            "order",
            |order| order["revision"] = json!({ "S": "1" }),
            [1, 1],
            "order#o3",
            "sk=\"order\": revision",
        ),
    ] {
        workspace.damage(user, sort, damage);
        let found = verify_unsound(&workspace, &[]);
        assert_eq!(
            [&found["faulty"], &found["orders_with_discrepancies"]],
            counts.map(|count| json!(count)).each_ref()
        );
        assert!(found["faults"][owner].to_string().replace("\\\"", "\"").contains(text), "{text}: {found}");
        restore();
    }
    workspace.delete_item("v", "grant#order#o3");
    let sample = verify_unsound(&workspace, &["--sample", "5"]);
    assert_eq!((&sample["orders"], &sample["faulty"]), (&json!(0), &json!(1)), "no order is scanned");
    assert!(verify_unsound(&workspace, &[])["faults"]["v"].to_string().contains("order o3 has a user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_repeats_until_the_first_discrepancy() {
    let workspace = Workspace::new().await;
    use_ledger(&workspace.ledger().await, ["u".to_owned()]).await;
    let rounds = ["--for", "1s", "--every", "300ms"];
    assert!(verify_sound(&workspace, &rounds)["users"].as_u64() >= Some(3));
    thread::scope(|scope| {
        let found = scope.spawn(|| verify_unsound(&workspace, &["--for", "10m", "--every", "100ms"]));
        thread::sleep(Duration::from_millis(700));
        workspace.delete_item("u", "wallet");
        let found = found.join().unwrap();
        assert!(found["faults"]["u"].to_string().contains("there are records and no wallet"), "{found}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_fails_in_one_line() {
    let workspace = Workspace::new().await;
    let url = "postgresql://reader:x@127.0.0.1:1/none";
    let nowhere = workspace.path("nowhere").display().to_string();
    for (flags, expected) in [
        (&["--from", url, "--folder", &nowhere][..], "is no folder of a migration"),
        (&["--dynamodb-table", "missing"], "the table: "),
    ] {
        let output = fail(verify(&workspace, flags));
        assert!(output.contains(expected), "{output}");
    }
}
