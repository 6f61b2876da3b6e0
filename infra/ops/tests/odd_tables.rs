//! Old tables as apps left them: unknown types, rows without expiry, times without a zone,
//! refunds with another expiry, and grants with remaining credits.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::fs;

use scrip::{
    domain::{
        Credits, GrantRequest, GrantType, LedgerError, LedgerLimit, RefundOutcome, RefundRequest,
        RefundResult, RefundSource, Timestamp, UserId,
    },
    ledger::{Invocation, Ledger},
};
use scrip_tests::{
    postgres::{Database, database},
    process::succeed,
};
use serde_json::{Value, json};
use support::workspace::{Workspace, fail, finish};

/// 2030, in milliseconds since 1970: later than these tests.
const LATER: i64 = 1_893_456_000_000;

const TABLES: &str = "
    CREATE TABLE credits (id bigserial PRIMARY KEY, trans_no text, created_at timestamptz, user_uuid text,
        trans_type text, credits bigint, order_no text, expired_at timestamptz);
    CREATE TABLE orders (order_no text, user_uuid text);
    CREATE TABLE generations (uuid text, user_uuid text);
    INSERT INTO orders VALUES ('o1', 'u');
    INSERT INTO generations VALUES ('g1', 'u'), ('g2', 'u');";

/// A database with rows of user `u`: type, credits, `order_no`, expiry and
/// number.
async fn database_with(rows: &str) -> Database {
    let database = database().await;
    let client = database.client().await;
    client.batch_execute(TABLES).await.unwrap();
    let sql = format!(
        "INSERT INTO credits (trans_no, created_at, user_uuid, trans_type, credits, order_no, expired_at)
         SELECT 't' || nr, '2025-10-01'::timestamptz + nr * interval '1 hour', 'u', type, credits, order_no,
                expiry::timestamptz
         FROM (VALUES {rows}) AS rows (type, credits, order_no, expiry, nr)"
    );
    client.batch_execute(&sql).await.unwrap();
    database
}

fn migrate(workspace: &Workspace, url: &str, flags: &[&str]) -> Value {
    let folder = workspace.path("").display().to_string();
    let mut command = workspace.command(&["migrate", "--from", url, "--folder", &folder]);
    command.args(flags);
    finish(command);
    workspace.json("report.json")
}

fn user() -> UserId {
    "u".to_owned().try_into().unwrap()
}

fn soon(ledger: &Ledger) -> Invocation {
    Invocation::until(ledger.now().plus_millis(60_000))
}

async fn refund(ledger: &Ledger, generation: &str) -> RefundResult {
    let request = RefundRequest {
        user: Some(user()),
        generation: generation.to_owned().try_into().unwrap(),
        key: None,
        reason: "it failed".to_owned().try_into().unwrap(),
        trans_no: None,
        outputs: None,
        source: RefundSource::Caller,
    };
    ledger.refund(&request, &soon(ledger)).await.unwrap()
}

async fn grant(ledger: &Ledger, trans_type: GrantType, order_no: Option<&str>) -> Result<u64, LedgerError> {
    let request = GrantRequest {
        user: user(),
        trans_type,
        credits: Credits::requested(10).unwrap(),
        order_no: order_no.map(|order_no| order_no.to_owned().try_into().unwrap()),
        expired_at: None,
        key: None,
        metadata: Default::default(),
    };
    Ok(ledger.execute(&request, &soon(ledger)).await?.balance.as_u64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn refund_with_another_expiry_is_not_paid_again() {
    let rows = "('order_pay', 20, 'o1', '2099-01-01', 1), ('anime_generation', -8, 'g1', '2099-01-01', 2),
        ('anime_generation_refund', 8, 'g1', '2099-02-01', 3)";
    let (database, workspace) = (database_with(rows).await, Workspace::new().await);
    migrate(&workspace, &database.url(), &[]);
    let ledger = workspace.ledger().await;
    let repeated = refund(&ledger, "g1").await;
    assert_eq!((repeated.outcome, repeated.balance.as_u64()), (RefundOutcome::AlreadyVoided, 20));
    let balance = |at| workspace.balances(Timestamp::parse(at).unwrap().millis())["u"];
    assert_eq!((balance("2098-12-31T00:00:00Z"), balance("2099-01-01T00:00:00Z")), (20, 8));
    assert_eq!(balance("2099-02-01T00:00:00Z"), 0);
    succeed(workspace.legacy_command("verify", &database.url(), &[]));

    // As of a moment after both expiries the refund would cancel the charge out. The user is
    // recognized by the rows.
    let (items, folder) = (workspace.items(), workspace.path("later"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("as_of"), "2100-01-01T00:00:00.000Z\n").unwrap();
    let folder = folder.display().to_string();
    succeed(workspace.command(&["migrate", "--from", &database.url(), "--folder", &folder, "--mend"]));
    assert_eq!(workspace.json("later/report.json")["users"], json!({ "moved before": 1 }));
    assert_eq!(workspace.items(), items);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn user_in_quarantine_is_blocked_until_unblocked_or_moved() {
    let rows = "('new_user', 10, NULL, '2099-01-01', 1), ('order_pay', 5, 'o1', '2099-01-01', 2),
        ('chat', -20, NULL, '2099-01-01', 3)";
    let (database, url) = {
        let database = database_with(rows).await;
        let url = database.url();
        (database, url)
    };
    let gifts = [(GrantType::NewUser, None), (GrantType::OrderPay, Some("o1"))];
    let blocked = Err(LedgerError::LimitExceeded(LedgerLimit::Blocked));
    for is_moved_later in [false, true] {
        let workspace = Workspace::new().await;
        let report = migrate(&workspace, &url, &["--negative", "quarantine"]);
        assert_eq!((&report["users"], &report["blocked"]), (&json!({ "quarantined": 1 }), &json!(1)));
        let ledger = workspace.ledger().await;
        for (trans_type, order_no) in gifts {
            assert_eq!(grant(&ledger, trans_type, order_no).await, blocked);
        }
        let (copy, file) = (Workspace::new().await, workspace.path("copy.gz").display().to_string());
        succeed(workspace.command(&["export", "--file", &file]));
        succeed(copy.command(&["import", "--file", &file]));
        assert_eq!(copy.items(), workspace.items(), "a copy has the block");
        if is_moved_later {
            let report = migrate(&workspace, &url, &["--negative", "zero"]);
            assert_eq!(report["users"], json!({ "moved": 1 }));
            assert_eq!(report["adjustments"], json!({ "negative_forgiven": [1, 5] }));
            // The order and the gift are replays.
            for (trans_type, order_no) in gifts {
                assert!(matches!(
                    grant(&ledger, trans_type, order_no).await,
                    Ok(0) | Err(LedgerError::IdempotencyConflict(_))
                ));
            }
            assert_eq!(grant(&ledger, GrantType::SystemAdd, None).await, Ok(10));
        } else {
            let printed = succeed(workspace.command(&["unblock", "--user", "u"]));
            assert_eq!(printed, "user u: unblocked\n");
            assert_eq!(grant(&ledger, GrantType::NewUser, None).await, Ok(10));
            assert_eq!(succeed(workspace.command(&["unblock", "--user", "u"])), "user u: was not blocked\n");
        }
        succeed(workspace.command(&["verify"]));
    }
    let workspace = Workspace::new().await;
    let flags = ["--negative", "quarantine", "--block-quarantined", "false"];
    assert_eq!(migrate(&workspace, &url, &flags)["blocked"], json!(0));
    assert_eq!(workspace.items(), [""; 0]);
    drop(database);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn unknown_types_are_listed_with_a_proposal_and_replaced_by_options() {
    let rows = "('share_reward', 10, NULL, '2099-01-01', 1), ('ping', -1, 'g1', '2099-01-01', 2),
        ('NanoBanana_generate', -2, 'g2', '2099-01-01', 3)";
    let (database, workspace) = (database_with(rows).await, Workspace::new().await);
    let report = migrate(&workspace, &database.url(), &["--dry-run"]);
    assert_eq!(report["users"], json!({ "quarantined": 1 }));
    let unknown = |trans_type: &str| report["unknown_types"][trans_type].clone();
    assert_eq!(
        unknown("ping"),
        json!({ "positive": 0, "negative": 1, "examples": ["t2"], "proposal": "--type ping=chat" })
    );
    assert_eq!(unknown("share_reward")["proposal"], "--type share_reward=system_add");
    let file = workspace.path("types");
    fs::write(&file, "# of the old app\nshare_reward=system_add\n\nping = chat\n").unwrap();
    let file = file.display().to_string();
    let type_flags = ["--types", &file, "--type", "NanoBanana_generate=nano_banana_generation"];
    assert_eq!(migrate(&workspace, &database.url(), &type_flags)["users"], json!({ "moved": 1 }));
    assert_eq!(workspace.balances(LATER)["u"], 7);
    // The folder has the types.
    succeed(workspace.legacy_command("verify", &database.url(), &[]));
    assert_eq!(migrate(&workspace, &database.url(), &[])["users"], json!({ "moved before": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rows_without_expiry_need_a_rule() {
    let database = database_with("('system_add', 50, NULL, NULL, 1), ('chat', -20, NULL, NULL, 2)").await;
    let workspace = Workspace::new().await;
    let folder = workspace.path("").display().to_string();
    let without = workspace.command(&["migrate", "--from", &database.url(), "--folder", &folder]);
    assert!(fail(without).contains("2 rows have no \"expired_at\"; set --null-expiry"));
    for (rule, balance) in [("ignored", 0), ("never", 30)] {
        let workspace = Workspace::new().await;
        let report = migrate(&workspace, &database.url(), &["--null-expiry", rule]);
        assert_eq!(report["users"], json!({ "moved": 1 }), "{report}");
        assert_eq!(workspace.balances(LATER)["u"], balance, "{rule}");
        succeed(workspace.legacy_command("verify", &database.url(), &[]));
        let ledger = workspace.ledger().await;
        assert_eq!(grant(&ledger, GrantType::SystemAdd, None).await, Ok(balance.unsigned_abs() + 10));
        // The old app counts the same rows after a rollback.
        succeed(workspace.legacy_command("rollback", &database.url(), &["--since-table", rule]));
        let counted = if rule == "ignored" { "expired_at >= now()" } else { "expired_at IS NULL" };
        let sql = format!(
            "SELECT sum(credits)::bigint FROM (SELECT credits, expired_at FROM credits
             UNION ALL SELECT credits, expired_at FROM \"{rule}\") AS rows WHERE {counted}"
        );
        let sum: i64 = database.client().await.query_one(&sql, &[]).await.unwrap().get(0);
        assert_eq!(sum, balance + 10, "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn times_without_a_zone_are_of_the_given_one() {
    let database = database_with("('system_add', 50, NULL, '2099-12-01 00:00', 1)").await;
    let naive = "ALTER TABLE credits ALTER expired_at TYPE timestamp USING expired_at AT TIME ZONE 'UTC'";
    database.client().await.batch_execute(naive).await.unwrap();
    for (flags, zone, expiry) in [
        (&[][..], "UTC", "2099-12-01T00:00:00Z"),
        (&["--timezone", "Asia/Shanghai"], "Asia/Shanghai", "2099-11-30T16:00:00Z"),
    ] {
        let workspace = Workspace::new().await;
        let report = migrate(&workspace, &database.url(), flags);
        let line = format!("times in columns without a zone are read as {zone}");
        assert!(report["reading"].as_array().unwrap().contains(&json!(line)), "{report}");
        let expiry = Timestamp::parse(expiry).unwrap().millis();
        assert_eq!(workspace.packs()["u"], [(Some(expiry), 50)]);
        succeed(workspace.legacy_command("verify", &database.url(), &[]));
    }
    let workspace = Workspace::new().await;
    let unknown = workspace.legacy_command("migrate", &database.url(), &["--timezone", "Mars/Base"]);
    assert!(fail(unknown).contains("must be a name such as Asia/Shanghai"));
}

/// The user owes 5. The next credits repay them, and a refund of the generation cancels the rest.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn sum_below_zero_is_carried_as_debt() {
    let rows = "('new_user', 10, NULL, '2099-01-01', 1), ('chat', -15, NULL, '2099-01-01', 2)";
    let (database, workspace) = (database_with(rows).await, Workspace::new().await);
    let report = migrate(&workspace, &database.url(), &["--negative", "debt"]);
    assert_eq!(report["adjustments"], json!({ "negative_carried": [1, 5] }));
    succeed(workspace.legacy_command("verify", &database.url(), &[]));
    let ledger = workspace.ledger().await;
    let wallet = async || ledger.wallet(&user(), ledger.now().plus_millis(60_000)).await.unwrap();
    let owed = async || wallet().await.debt().as_u64();
    assert_eq!(owed().await, 5);
    assert_eq!(grant(&ledger, GrantType::OrderPay, Some("o1")).await, Ok(5));
    assert_eq!(owed().await, 0);
    assert_eq!(refund(&ledger, "migration-debt").await.balance.as_u64(), 10, "the repaid part comes back");
    succeed(workspace.legacy_command("verify", &database.url(), &[]));
}

/// Grants with remaining credits, charges that name them, one of them refunded; a lot that
/// expired, one that was deleted, and credits that left a lot without a charge.
const LOTS: &str = r#"
    CREATE TABLE credit (id text PRIMARY KEY, user_id text, user_email text, order_no text,
        transaction_no text UNIQUE, transaction_type text, transaction_scene text, credits int,
        remaining_credits int DEFAULT 0, expires_at timestamp, status text, created_at timestamp,
        updated_at timestamp, consumed_detail text);
    INSERT INTO credit (id, user_id, transaction_no, transaction_type, transaction_scene, order_no, credits,
        remaining_credits, expires_at, status, created_at, updated_at, consumed_detail) VALUES
        ('a', 'u', '1', 'grant', 'gift', NULL, 10, 0, '2099-01-01', 'active', '2025-10-01', '2025-10-05', NULL),
        ('b', 'u', '2', 'grant', 'payment', 'o1', 100, 90, '2099-06-01', 'active', '2025-10-02', '2025-10-05', NULL),
        ('c', 'u', '3', 'consume', NULL, NULL, -15, 0, NULL, 'active', '2025-10-05', '2025-10-05',
            '[{"creditId":"a","creditsConsumed":10},{"creditId":"b","creditsConsumed":5}]'),
        ('d', 'u', '4', 'consume', NULL, NULL, -7, 0, NULL, 'deleted', '2025-10-06', '2025-10-07',
            '[{"creditId":"b","creditsConsumed":7}]'),
        ('e', 'u', '5', 'grant', 'award', NULL, 30, 30, '2025-11-01', 'active', '2025-10-08', '2025-10-08', NULL),
        ('f', 'u', '6', 'grant', 'award', NULL, 40, 40, '2099-01-01', 'deleted', '2025-10-08', '2025-10-09', NULL),
        ('g', 'never', '7', 'grant', 'gift', NULL, 5, 5, NULL, 'active', '2025-10-08', '2025-10-08', NULL);"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn lots_keep_their_remaining_credits() {
    let (database, workspace) = (database().await, Workspace::new().await);
    let client = database.client().await;
    client.batch_execute(LOTS).await.unwrap();
    let printed = {
        let folder = workspace.path("").display().to_string();
        succeed(workspace.command(&[
            "migrate",
            "--from",
            &database.url(),
            "--folder",
            &folder,
            "--layout",
            "lots",
        ]))
    };
    assert!(printed.contains("layout: grants with remaining credits"), "{printed}");
    let expiry = Timestamp::parse("2099-06-01T00:00:00Z").unwrap().millis();
    assert_eq!(workspace.packs()["u"], [(Some(expiry), 90)]);
    assert_eq!(workspace.packs()["never"], [(None, 5)]);
    let report = workspace.json("report.json");
    assert_eq!(report["adjustments"], json!({ "unexplained": [1, 5] }), "{printed}");
    succeed(workspace.legacy_command("verify", &database.url(), &[]));

    // The app refunds a charge by its id: 10 to the first lot, 5 to the second.
    let ledger = workspace.ledger().await;
    assert_eq!(refund(&ledger, "d").await.outcome, RefundOutcome::AlreadyVoided);
    let refunded = refund(&ledger, "c").await;
    assert_eq!((refunded.outcome, refunded.balance.as_u64()), (RefundOutcome::Voided, 105));
    assert_eq!(workspace.packs()["u"].iter().map(|pack| pack.1).collect::<Vec<_>>(), [10, 95]);

    let texts = "SELECT string_agg(row_to_json(c.*)::text, chr(10) ORDER BY id) FROM credit AS c";
    let before: String = client.query_one(texts, &[]).await.unwrap().get(0);
    client.batch_execute("TRUNCATE credit").await.unwrap();
    succeed(workspace.legacy_command("rollback", &database.url(), &[]));
    let after: String = client.query_one(texts, &[]).await.unwrap().get(0);
    assert_eq!(after, before);
}
