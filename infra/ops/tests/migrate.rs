//! The command `migrate`, from PostgreSQL to the embedded engine.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use scrip::{
    domain::{Credits, GrantRequest, GrantType, Timestamp},
    ledger::Invocation,
};
use scrip_ops::{
    legacy::{LegacyDatabase, NullExpiry, TableNames},
    migrate::{RuleOptions, Settings, migrate},
    plan::OldRow,
};
use scrip_tests::{
    Fault, TestLedger,
    postgres::{Database, database},
    process::succeed,
};
use serde_json::{Value, json};
use support::{
    legacy_data_gen::LegacyData,
    origin_data_gen::OriginData,
    workspace::{Workspace, fail},
};

const SOME: LegacyData = LegacyData { seed: 2, users: 1_500, largest: 3_000 };

/// Compares the balance of each migrated user as of the migration, and at every later expiry,
/// with the least sum of old rows from the migration until then, and at least 0.
fn require_rule(workspace: &Workspace, as_of: i64, users: impl Iterator<Item = Vec<OldRow>>) {
    let packs = workspace.packs();
    for rows in users {
        let Some(packs) = rows.first().and_then(|row| packs.get(&row.user_uuid)) else { continue };
        let expiries = rows.iter().filter_map(|row| row.expired_at).map(Timestamp::millis);
        let moments: BTreeSet<_> = expiries.filter(|at| as_of < *at).chain([as_of]).collect();
        let mut least = i128::MAX;
        for at in moments {
            let is_unexpired = |expiry: Option<i64>| expiry.is_none_or(|expiry| at < expiry);
            let unexpired = rows.iter().filter(|row| is_unexpired(row.expired_at.map(Timestamp::millis)));
            least = least.min(unexpired.map(|row| i128::from(row.credits)).sum()).max(0);
            let found: i64 = packs.iter().filter(|pack| is_unexpired(pack.0)).map(|pack| pack.1).sum();
            assert_eq!(i128::from(found), least, "{} at {at}", rows[0].user_uuid);
        }
    }
}

/// Months of the old app.
const ORIGIN: OriginData = OriginData { seed: 4, users: 120 };

async fn loaded_database() -> Database {
    let database = database().await;
    SOME.load(&database.client().await).await;
    database
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn migrate_keeps_every_balance_or_quarantines_the_user() {
    let (database, workspace) = (loaded_database().await, Workspace::new().await);
    let report = workspace.migrate(&database.url(), &[]);
    let sum =
        |of: &str| report[of].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    let count = |sql: &'static str| async {
        let row = database.client().await.query_one(sql, &[]).await.unwrap();
        row.get::<_, i64>(0).unsigned_abs()
    };
    assert_eq!(sum("rows"), count("SELECT count(*) FROM credits").await, "every row is in one class");
    assert_eq!(
        sum("users"),
        count("SELECT count(DISTINCT coalesce(user_uuid, '')) FROM credits").await,
        "and so is every user"
    );
    let as_of = 1_767_225_600_000;
    let moved = workspace.balances(as_of);
    assert!(moved.len() > 1_000, "most are migrated: {}", moved.len());
    require_rule(&workspace, as_of, SOME.users().map(|user| user.expected_rows()));
    let quarantine = fs::read_to_string(workspace.path("quarantine.jsonl")).unwrap();
    let quarantined: Vec<Value> =
        quarantine.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Some(quarantined.len() as u64), report["users"]["quarantined"].as_u64());
    for user in &quarantined {
        assert_eq!(moved.get(user["user_uuid"].as_str().unwrap()).copied().unwrap_or(0), 0, "{user}");
        assert!(!user["rows"].as_array().unwrap().is_empty(), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn months_of_the_old_app_are_migrated_without_leaving_a_user_behind() {
    let (database, workspace) = (database().await, Workspace::new().await);
    ORIGIN.load(&database.client().await).await;
    // The exit code is 0.
    let printed = succeed(workspace.legacy_command("migrate", &database.url(), &[]));
    let report = workspace.json("report.json");
    assert_eq!(report["users"], json!({ "moved": ORIGIN.users }), "{printed}");
    require_rule(&workspace, 1_767_225_600_000, ORIGIN.users().map(|user| user.expected_rows()));
    for reason in ["phantom_spent", "phantom_returning"] {
        assert!(report["adjustments"][reason][0].as_u64().unwrap() > 20, "{printed}");
    }
    let lines = fs::read_to_string(workspace.path("adjustments.jsonl")).unwrap();
    let mut sums = BTreeMap::<String, (u64, u64)>::new();
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let sum = sums.entry(line["reason"].as_str().unwrap().to_owned()).or_default();
        *sum = (sum.0 + 1, sum.1 + line["credits"].as_u64().unwrap());
    }
    assert_eq!(json!(sums), report["adjustments"], "each adjustment is listed");
    let verified = succeed(workspace.legacy_command("verify", &database.url(), &[]));
    assert!(verified.contains("0 users with discrepancies"), "{verified}");

    // The old rows come back byte for byte.
    let client = database.client().await;
    client.batch_execute("CREATE TABLE before AS SELECT * FROM credits; TRUNCATE credits").await.unwrap();
    succeed(workspace.legacy_command("rollback", &database.url(), &[]));
    let differences = "SELECT count(*) FROM (SELECT row_to_json(c.*)::text FROM credits c) AS a (text)
        FULL JOIN (SELECT row_to_json(b.*)::text FROM before b) AS b (text) USING (text)
        WHERE a.text IS NULL OR b.text IS NULL";
    assert_eq!(client.query_one(differences, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(
        client.query_one("SELECT count(*) FROM credits_since", &[]).await.unwrap().get::<_, i64>(0),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn migrate_killed_twenty_times_writes_the_same_table() {
    let odd = loaded_database().await;
    let regular = database().await;
    ORIGIN.load(&regular.client().await).await;
    for database in [odd, regular] {
        let (whole, broken) = (Workspace::new().await, Workspace::new().await);
        let report = whole.migrate(&database.url(), &[]);
        for millis in (0..20_u64).map(|nth| 150 + nth * 7_919 % 900) {
            let mut command = broken.legacy_command("migrate", &database.url(), &["--batch", "20"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(Duration::from_millis(millis));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let again = broken.migrate(&database.url(), &[]);
        assert_eq!(whole.items(), broken.items());
        for sums in ["rows", "quarantined", "before", "after", "balance", "short", "adjustments"] {
            assert_eq!(report[sums], again[sums], "{sums}");
        }
        let users = |report: &Value, of: &str| report["users"][of].as_u64().unwrap_or(0);
        assert_eq!(users(&report, "moved"), users(&again, "moved") + users(&again, "moved before"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn dry_run_of_migrate_writes_nothing_and_reports_the_same() {
    let (database, workspace) = (loaded_database().await, Workspace::new().await);
    let dry = workspace.migrate(&database.url(), &["--dry-run"]);
    assert_eq!(workspace.items(), [""; 0]);
    let wet = workspace.migrate(&database.url(), &[]);
    assert_eq!(dry["users"]["would be moved"], wet["users"]["moved"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn migrate_fails_in_one_line() {
    let (database, workspace) = (loaded_database().await, Workspace::new().await);
    let client = database.client().await;
    client.batch_execute("CREATE TABLE no_columns (id bigint)").await.unwrap();
    let url = database.url();
    fs::create_dir(workspace.path("no_folder")).unwrap();
    fs::create_dir_all(workspace.path("full/quarantine.jsonl")).unwrap();
    let folder = |name: &str| workspace.path(name).display().to_string();
    let (none, nonsense) = ("postgresql://reader:x@127.0.0.1:1/none", "nonsense");
    for (url, flags, expected) in [
        (url.as_str(), &["--table", "credits=no_such_table"][..], "no_such_table"),
        (&url, &["--table", "no_columns"], "no_columns"),
        (&url, &["--table", "nonsense=x"], "nonsense"),
        (&url, &["--column", "credits.nonsense=x"], "nonsense"),
        (&url, &["--column", "owner=x"], "TABLE.COLUMN=NAME"),
        (none, &[], "127.0.0.1:1"),
        (nonsense, &[], "postgresql://"),
        (&url, &["--dynamodb-table", "missing"], "user "),
    ] {
        let output = fail(workspace.legacy_command("migrate", url, flags));
        assert!(output.contains(expected), "{flags:?}: {output}");
    }
    let endpoint = "http://127.0.0.1:1";
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
    elsewhere.args([
        "migrate",
        "--from",
        &url,
        "--dynamodb-endpoint",
        endpoint,
        "--folder",
        &folder("there"),
        "--null-expiry",
        "never",
    ]);
    assert!(fail(elsewhere).contains("DynamoDB"));
    let mut full = workspace.command(&["migrate", "--from", &url, "--folder", &folder("full")]);
    full.args(["--null-expiry", "never"]);
    assert!(fail(full).contains("quarantine.jsonl"));
    assert_eq!(workspace.items(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn migrate_stops_at_a_full_disk_and_continues() {
    let (database, workspace, whole) =
        (loaded_database().await, Workspace::new().await, Workspace::new().await);
    for file in ["quarantine.jsonl", "shortfall.jsonl"] {
        let file = workspace.path(file);
        let _ = fs::remove_file(&file);
        // Every write fails as on a full disk.
        symlink("/dev/full", &file).unwrap();
        let output = fail(workspace.legacy_command("migrate", &database.url(), &[]));
        assert!(output.contains(&*file.to_string_lossy()) && output.contains("No space left"), "{output}");
        fs::remove_file(&file).unwrap();
    }
    workspace.migrate(&database.url(), &[]);
    whole.migrate(&database.url(), &[]);
    assert_eq!(workspace.items(), whole.items());
    let quarantine = |workspace: &Workspace| fs::read_to_string(workspace.path("quarantine.jsonl")).unwrap();
    assert_eq!(quarantine(&workspace), quarantine(&whole));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn migrate_retries_or_stops_under_throttling() {
    let (database, bench, folder) = (database().await, TestLedger::new().await, tempfile::tempdir().unwrap());
    LegacyData { users: 60, largest: 300, ..SOME }.load(&database.client().await).await;
    let settings = Settings {
        batch: 10,
        dry_run: false,
        compensate: false,
        block_quarantined: true,
        rules: RuleOptions { null_expiry: Some(NullExpiry::Never), ..RuleOptions::default() },
        since: None,
        folder: folder.path().to_owned(),
    };
    let run = async || {
        let mut old = LegacyDatabase::connect(&database.url()).await.unwrap();
        migrate(&mut old, &TableNames::default(), bench.ledger(), &settings).await
    };
    let throttled = Fault::Error(400, "ThrottlingException");
    let (clock, always) = (bench.clock.clone(), throttled.clone());
    let mut writes = 0;
    bench.http_client.inject(move |sent| {
        writes += usize::from(sent.operation == "TransactWriteItems");
        (writes > 20).then(|| {
            clock.pass_millis(30_000);
            always.clone()
        })
    });
    let stopped = run().await.unwrap_err().0;
    assert!(stopped.starts_with("user ") && stopped.contains("again to continue"), "{stopped}");
    let mut calls = 0;
    bench.http_client.inject(move |_| {
        calls += 1;
        (calls % 3 == 0).then(|| throttled.clone())
    });
    let report = run().await.unwrap();
    let count = |became| report.users.get(became).copied().unwrap_or_default();
    assert!(count("moved before") >= 10 && count("moved") >= 10, "{report}");
    assert_eq!(count("moved before") + count("moved") + count("quarantined"), 60, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn since_migrates_active_users_and_a_later_run_the_rest() {
    let (database, workspace, whole) =
        (loaded_database().await, Workspace::new().await, Workspace::new().await);
    // The median of last activity, and the number of users active since.
    let half = "WITH users AS (SELECT max(created_at) AS last FROM credits GROUP BY coalesce(user_uuid, '')),
            half AS (SELECT date_trunc('second', percentile_disc(0.5) WITHIN GROUP (ORDER BY last)) AS at FROM users)
        SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
            (SELECT count(*) FROM users WHERE last >= at) FROM half";
    let half = database.client().await.query_one(half, &[]).await.unwrap();
    let (since, active): (String, i64) = (half.get(0), half.get(1));
    let report = workspace.migrate(&database.url(), &["--since", &since]);
    let users: u64 = report["users"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(users, active.unsigned_abs());
    workspace.migrate(&database.url(), &[]);
    whole.migrate(&database.url(), &[]);
    assert_eq!(workspace.items(), whole.items());
    let output =
        workspace.legacy_command("migrate", &database.url(), &["--since", "yesterday"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be a time such as"), "{output:?}");
}

/// Users whose earlier packs expired unused: `two` lacks 5 until 2099 and 4 without expiry,
/// `more` lacks 5 until 2099, and 10 as of a day after March.
const SHORT: &str = "
    CREATE TABLE credits (id bigserial, trans_no text, created_at timestamptz, user_uuid text,
        trans_type text, credits bigint, order_no text, expired_at timestamptz);
    CREATE TABLE orders (order_no text, user_uuid text);
    CREATE TABLE generations (uuid text, user_uuid text);
    INSERT INTO credits (trans_no, created_at, user_uuid, trans_type, credits, expired_at)
        SELECT 't' || id, at, user_uuid, of, credits, ends FROM (VALUES
        (1, '2025-10-01'::timestamptz, 'two', 'system_add', 5, '2025-12-01'::timestamptz),
        (2, '2025-10-02', 'two', 'system_add', 10, '2099-01-01'),
        (3, '2025-10-03', 'two', 'system_add', 4, '2025-12-15'),
        (4, '2025-10-04', 'two', 'system_add', 10, NULL),
        (5, '2025-11-01', 'two', 'chat', -5, '2099-01-01'),
        (6, '2025-12-10', 'two', 'chat', -4, NULL),
        (7, '2025-10-01', 'more', 'system_add', 5, '2025-12-01'),
        (8, '2025-10-02', 'more', 'system_add', 5, '2026-03-01'),
        (9, '2025-10-03', 'more', 'system_add', 20, '2099-01-01'),
        (10, '2025-11-01', 'more', 'chat', -10, '2099-01-01')) AS rows (id, at, user_uuid, of, credits, ends)";

async fn database_with_shortfalls() -> Database {
    let database = database().await;
    database.client().await.batch_execute(SHORT).await.unwrap();
    database
}

/// Migrates as of a moment, from a folder of its own. Returns the report and the output.
fn migrate_from(
    workspace: &Workspace,
    url: &str,
    folder: &str,
    as_of: &str,
    flags: &[&str],
) -> (Value, String) {
    let path = workspace.path(folder);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("as_of"), format!("{as_of}\n")).unwrap();
    let mut command = workspace.command(&["migrate", "--from", url, "--folder", &path.display().to_string()]);
    command.args(["--null-expiry", "never"]).args(flags);
    let printed = succeed(command);
    (workspace.json(&format!("{folder}/report.json")), printed)
}

/// Grants as an earlier version did, with its key.
async fn grant_by_old_key(
    workspace: &Workspace,
    user: &str,
    number: u32,
    credits: u64,
    expired_at: Option<&str>,
) {
    let ledger = workspace.ledger().await;
    let request = GrantRequest {
        user: user.to_owned().try_into().unwrap(),
        trans_type: GrantType::SystemAdd,
        credits: Credits::requested(credits).unwrap(),
        order_no: None,
        expired_at: expired_at.map(|end| Timestamp::parse(end).unwrap()),
        key: format!("migration-1767225600000-{number}").try_into().ok(),
        metadata: Default::default(),
    };
    ledger.execute(&request, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
}

const NEW_YEAR: &str = "2026-01-01T00:00:00.000Z";
/// Later than the runs of these tests, in milliseconds since 1970.
const NOW: i64 = 1_893_456_000_000;
const END_2099: &str = "2099-01-01T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn shortfall_is_granted_once_from_any_folder() {
    let (database, workspace) = (database_with_shortfalls().await, Workspace::new().await);
    let url = database.url();
    let (report, printed) = migrate_from(&workspace, &url, "one", NEW_YEAR, &["--mend"]);
    assert_eq!(report["compensated"], json!([2, 14]), "{report}");
    assert!(printed.contains("2 users were granted 14 credits for that"), "{printed}");
    let (items, balances) = (workspace.items(), workspace.balances(NOW));
    assert_eq!((balances["two"], balances["more"]), (11 + 9, 10 + 5));

    for (folder, as_of) in [("one", NEW_YEAR), ("other", NEW_YEAR), ("later", "2026-01-02T00:00:00.000Z")] {
        let (report, printed) = migrate_from(&workspace, &url, folder, as_of, &["--mend"]);
        assert_eq!((&report["compensated"], &report["compensated_before"]), (&json!([0, 0]), &json!(2)));
        assert!(printed.contains("2 users were granted them by an earlier run"), "{printed}");
        assert_eq!(workspace.items(), items, "{folder}");
    }
    // As of a moment after another expiry the amounts differ.
    let (report, printed) = migrate_from(&workspace, &url, "much", "2026-06-01T00:00:00.000Z", &["--mend"]);
    let expected = "granted by an earlier run: 5 until 2099-01-01T00:00:00.000Z; \
        by this run's plan: 10 until 2099-01-01T00:00:00.000Z; nothing was granted";
    assert_eq!(report["compensated_otherwise"], json!({ "more": expected }));
    assert!(printed.contains(&format!("user more: {expected}")), "{printed}");
    assert_eq!((&report["compensated"], &report["compensated_before"]), (&json!([0, 0]), &json!(1)));
    assert_eq!(workspace.items(), items);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn shortfall_that_an_earlier_version_granted_is_not_granted_again() {
    let (database, workspace) = (database_with_shortfalls().await, Workspace::new().await);
    let url = database.url();
    migrate_from(&workspace, &url, "one", NEW_YEAR, &[]);
    // The earlier run was killed before the second grant to the first user.
    grant_by_old_key(&workspace, "two", 0, 5, Some(END_2099)).await;
    grant_by_old_key(&workspace, "more", 0, 5, Some(END_2099)).await;
    let (report, _) = migrate_from(&workspace, &url, "other", NEW_YEAR, &["--mend"]);
    assert_eq!((&report["compensated"], &report["compensated_before"]), (&json!([1, 4]), &json!(1)));
    let balances = workspace.balances(NOW);
    assert_eq!((balances["two"], balances["more"]), (11 + 9, 10 + 5));
    let items = workspace.items();
    let (report, _) = migrate_from(&workspace, &url, "third", NEW_YEAR, &["--mend"]);
    assert_eq!((&report["compensated"], &report["compensated_before"]), (&json!([0, 0]), &json!(2)));
    assert_eq!(workspace.items(), items);
}
