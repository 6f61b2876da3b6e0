//! The command `rollback`, from a ledger with later changes to PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

#[path = "rollback/app_requests.rs"]
mod app_requests;
mod support;

use std::{fs, process::Stdio, thread::sleep, time::Duration};

use app_requests::{AppRequests, quarantined};
use scrip::domain::GrantType;
use scrip_tests::{
    postgres::{Database, database},
    process::succeed,
};
use serde_json::json;
use support::{
    legacy_data_gen::LegacyData,
    workspace::{Workspace, fail},
};
use tokio_postgres::Client;

const SOME: LegacyData = LegacyData { seed: 3, users: 1_500, largest: 3_000 };

const FEW: LegacyData = LegacyData { users: 150, largest: 1_000, ..SOME };

const OWNER: &str = "scrip:secret";
const READER: &str =
    "DO $$ BEGIN CREATE ROLE rollback_reader LOGIN PASSWORD 'n'; EXCEPTION WHEN duplicate_object THEN END $$;
    GRANT SELECT ON credits TO rollback_reader";

/// The rows of both tables.
const UNION: &str = "SELECT user_uuid, credits, expired_at FROM credits
    UNION ALL SELECT user_uuid, credits, expired_at FROM credits_since";

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// The old tables and a migrated ledger with later changes.
async fn migrated_and_used(data: LegacyData) -> (Database, Workspace) {
    let (database, workspace) = (loaded(data).await, Workspace::new().await);
    workspace.migrate(&database.url(), &[]);
    AppRequests::new(workspace.ledger().await).send_all(&workspace).await;
    (database, workspace)
}

async fn loaded(data: LegacyData) -> Database {
    let database = database().await;
    data.load(&database.client().await).await;
    database
}

/// All rows of `credits`, each as PostgreSQL writes it.
async fn texts(database: &Database) -> Vec<String> {
    let client = database.client().await;
    client.batch_execute("SET timezone = 'UTC'; SET extra_float_digits = 3").await.unwrap();
    let sql = "SELECT row_to_json(c.*)::text FROM credits AS c ORDER BY id";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// All relations of a database.
async fn relations(database: &Database) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    database.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn rollback(workspace: &Workspace, database: &Database, flags: &[&str]) -> String {
    succeed(workspace.legacy_command("rollback", &database.url(), flags))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rollback_restores_every_row_and_every_balance() {
    let (database, workspace) = migrated_and_used(SOME).await;
    // A repair trail is no change of credits.
    workspace.damage("newcomer", "wallet", |wallet| wallet["packs"]["L"][0]["M"]["n"]["N"] = json!("5"));
    succeed(workspace.command(&["repair", "--user", "newcomer", "--write"]));
    let (before, tables) = (texts(&database).await, relations(&database).await);
    let dry = rollback(&workspace, &database, &["--dry-run"]);
    assert_eq!((texts(&database).await, relations(&database).await), (before.clone(), tables));
    assert!(!workspace.path("rollback.json").exists());
    let wet = rollback(&workspace, &database, &[]);
    assert_eq!(dry, format!("{wet}dry run: nothing was changed\n"));
    assert_eq!(texts(&database).await, before);
    assert_eq!(rows(&workspace), [before.len() as u64, 0, 0]);
    let balance: i64 = workspace.balances(workspace.ledger().await.now().millis()).values().sum();
    assert_eq!(workspace.json("rollback.json")["balance"], balance);
    assert!(workspace.json("rollback.json")["since"]["revocations"].as_u64() > Some(100));
    balances_are_the_same(&database, &workspace).await;

    let emptied = loaded(SOME).await;
    let client = emptied.client().await;
    let since = async |database: &Database| {
        let sql =
            "SELECT concat_ws(' ', trans_no, user_uuid, trans_type, credits, order_no, expired_at, record)
            FROM credits_since ORDER BY 1";
        let all = database.client().await.query(sql, &[]).await.unwrap();
        all.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    for is_of_earlier_version in [false, true] {
        client.batch_execute("TRUNCATE credits; DROP TABLE IF EXISTS credits_since").await.unwrap();
        if is_of_earlier_version {
            workspace.move_old_rows_into_records();
        }
        rollback(&workspace, &emptied, &[]);
        assert_eq!(texts(&emptied).await, before);
        assert_eq!(rows(&workspace), [0, before.len() as u64, 0]);
        assert_eq!(since(&emptied).await, since(&database).await);
    }
}

/// Rows that the last rollback found, restored, and left unchanged.
fn rows(workspace: &Workspace) -> [u64; 3] {
    let report = workspace.json("rollback.json");
    ["rows_there", "rows_back", "rows_others"].map(|count| report[count].as_u64().unwrap())
}

/// The sum of both tables is the ledger's balance, now and later. Without later changes it is
/// the old sum, which may be negative, or rise at an expiry.
async fn balances_are_the_same(database: &Database, workspace: &Workspace) {
    let now = workspace.ledger().await.now().millis();
    let (both, quarantined) = (format!("({UNION})"), quarantined(workspace));
    for at in [0, 1, 5, 6, 40, 200, 3_000].map(|days| now + days * DAY) {
        let (sums, since) = (database.sums(&both, at).await, database.sums("credits_since", at).await);
        let balances = workspace.balances(at);
        assert!(balances.len() > 1_000);
        for (user, balance) in balances {
            // A quarantined user's old rows are not in the ledger.
            let sum = if quarantined.contains(&user) { since[&user] } else { sums[&user] };
            if since.contains_key(&user) {
                assert_eq!(sum, balance.into(), "{user} at {at}");
            } else {
                assert!(sum.max(0) >= balance.into(), "{user} at {at}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn killed_rollback_changes_all_or_nothing_and_can_be_repeated() {
    let (database, workspace) = migrated_and_used(FEW).await;
    let (before, tables) = (texts(&database).await, relations(&database).await);
    let client = database.client().await;
    let empty_tables = "TRUNCATE credits; DROP TABLE IF EXISTS credits_since";
    client.batch_execute(empty_tables).await.unwrap();
    let mut nothing = 0;
    for millis in (0..20).map(|nth| 20 + nth * 25) {
        let mut command = workspace.legacy_command("rollback", &database.url(), &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        no_rollback(&client).await;
        if relations(&database).await == tables {
            assert_eq!(texts(&database).await, [""; 0]);
            nothing += 1;
        } else {
            assert_eq!(texts(&database).await, before);
            client.batch_execute(empty_tables).await.unwrap();
        }
    }
    assert!(nothing > 5, "{nothing} were killed before the commit");
    rollback(&workspace, &database, &[]);
    assert_eq!(texts(&database).await, before);
}

/// Waits until the server has ended the killed sessions.
async fn no_rollback(client: &Client) {
    let sql =
        "SELECT FROM pg_stat_activity WHERE application_name = 'scrip-ops' AND datname = current_database()";
    while !client.query(sql, &[]).await.unwrap().is_empty() {
        sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rollback_fails_in_one_line_and_changes_nothing() {
    let (database, workspace) = migrated_and_used(FEW).await;
    let client = database.client().await;
    for (sql, user, flags, expected, back) in [
        (
            "UPDATE credits SET note = 'changed', credits = credits + 1 WHERE id = 1000",
            OWNER,
            &[][..],
            r#"1 rows of "credits" have changed: 1000 (credits, note); nothing was changed; "#,
            "UPDATE credits SET note = (SELECT note FROM credits LIMIT 1), credits = credits - 1 WHERE id = 1000",
        ),
        ("ALTER TABLE credits ADD more int", OWNER, &[], "(more)", "ALTER TABLE credits DROP more"),
        (
            "CREATE TABLE credits_since ()",
            OWNER,
            &[],
            r#"the table "credits_since" already exists"#,
            "DROP TABLE credits_since",
        ),
        (
            READER,
            "rollback_reader:n",
            &[],
            "may not write \"public\".\"other\": permission denied for schema public",
            "",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO rollback_reader; DELETE FROM credits WHERE id = 1000",
            "rollback_reader:n",
            &[],
            "may not write credits: permission denied",
            "",
        ),
        ("", OWNER, &["--since-table", "a..b"], "cannot be the name of a table", ""),
        ("", OWNER, &["--table", "none"], r#"there is no table "none""#, ""),
        ("", OWNER, &["--dynamodb-table", "missing"], "the table: ", ""),
    ] {
        client.batch_execute(sql).await.unwrap();
        let (before, tables) = (texts(&database).await, relations(&database).await);
        let flags = if user == OWNER { flags } else { &["--since-table", "public.other"] };
        let output = fail(workspace.legacy_command("rollback", &database.url_of(user), flags));
        assert!(output.contains(expected), "{sql} {flags:?}: {output}");
        assert_eq!((texts(&database).await, relations(&database).await), (before, tables));
        client.batch_execute(back).await.unwrap();
    }
    rollback(&workspace, &database, &[]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rollback_rejects_a_folder_or_ledger_without_all_rows() {
    let (database, workspace) = migrated_and_used(FEW).await;
    let url = database.url();
    let refused = |expected: &str| {
        let output = fail(workspace.legacy_command("rollback", &url, &[]));
        assert!(output.contains(expected), "{output}");
    };
    let nowhere = ["rollback", "--from", &url, "--folder", "/nowhere"];
    assert!(fail(workspace.command(&nowhere)).contains("/nowhere/report.json: "));
    let path = workspace.path("quarantine.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("quarantine.jsonl: EOF while parsing");
    fs::write(&path, "").unwrap();
    refused("the migration read ");
    fs::remove_file(&path).unwrap();
    refused("quarantine.jsonl: ");
    fs::write(&path, whole).unwrap();
    let (folder, empty) = (workspace.path(""), Workspace::new().await);
    let elsewhere = ["rollback", "--from", &url, "--folder", folder.to_str().unwrap()];
    assert!(fail(empty.command(&elsewhere)).contains("the migration read "));
    let alien =
        json!({ "TableName": "credits", "Item": { "user_uuid": { "S": "u" }, "sk": { "S": "alien" } } });
    workspace.engine.put_item(serde_json::from_value(alien).unwrap()).unwrap();
    refused("user u: ");
    assert!(!relations(&database).await.contains(&"credits_since".to_owned()));
}

/// A table of many column types with generated ids.
const UNUSUAL_TABLE: &str = r#"
    CREATE SCHEMA app;
    CREATE TYPE app.kind AS ENUM ('new_user', 'chat', 'gift');
    CREATE TYPE app.pair AS (a int, b text);
    CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
    CREATE TABLE app."Log ""1""" (
        "No" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dropped int, "transNo" uuid UNIQUE, at timestamp, who int,
        what app.kind, "how many" int, noted char(9), until timestamptz,
        twice bigint GENERATED ALWAYS AS ("how many" * 2) STORED, made timestamptz DEFAULT now(),
        real float8, small real, bytes bytea, texts text[], numbers int[][], pair app.pair, positive app.positive,
        json json, jsonb jsonb, span interval, address inet, bits bit(3), day date, hour timetz, "ö""\" text);
    ALTER TABLE app."Log ""1""" DROP dropped;
    INSERT INTO app."Log ""1""" ("transNo", at, who, what, "how many", noted, until, made, real, small, bytes, texts,
        numbers, pair, positive, json, jsonb, span, address, bits, day, hour, "ö""\")
    SELECT md5(no::text)::uuid, '2025-01-02 00:00:00.001999', no % 3, CASE no % 3 WHEN 2 THEN 'gift' ELSE 'new_user' END::app.kind,
        no, NULL, '2030-02-01 02:00:00+02', NULL, 0.1::float8 + 0.2, 'NaN', '\x00ff', '{NULL,"a \"b\"",""}', '{{1,2},{3,4}}',
        ROW(no, 'x,y')::app.pair, 3, E'{ "b" : 1.0,\n  "a":"\\u00e9" }', '{"b": 1.10, "a": null}', '1 mon -3 days 00:00:01.5',
        '10.0.0.0/8', '101', '4000-01-01 BC', '01:02:03.4+05:30', E'\u0001\\ "'
    FROM generate_series(1, 30) AS no;
    CREATE TABLE generations (uuid text, user_uuid text);
    CREATE TABLE orders (order_no text, user_uuid text)"#;

const UNUSUAL_NAMES: &[&str] = &[
    "--table=app.Log \"1\"",
    "--column=credits.id=No",
    "--column=credits.trans_no=transNo",
    "--column=credits.created_at=at",
    "--column=credits.user_uuid=who",
    "--column=credits.trans_type=what",
    "--column=credits.credits=how many",
    "--column=credits.order_no=noted",
    "--column=credits.expired_at=until",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rollback_restores_any_columns_and_advances_the_ids() {
    let (database, workspace) = (database().await, Workspace::new().await);
    let client = database.client().await;
    client.batch_execute(UNUSUAL_TABLE).await.unwrap();
    let texts = async || {
        let sql = r#"SELECT row_to_json(c.*)::text FROM app."Log ""1""" AS c ORDER BY "No""#;
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    client.batch_execute("SET timezone = 'UTC'; SET extra_float_digits = 3").await.unwrap();
    let before = texts().await;
    workspace.migrate(&database.url(), UNUSUAL_NAMES);
    let app = AppRequests::new(workspace.ledger().await);
    app.charge("0", 1, Some("gen"), None).await;
    client.batch_execute(r#"TRUNCATE app."Log ""1""" RESTART IDENTITY"#).await.unwrap();
    rollback(&workspace, &database, UNUSUAL_NAMES);
    assert_eq!(texts().await, before);
    assert_eq!(rows(&workspace), [0, 30, 0]);
    let next = r#"INSERT INTO app."Log ""1""" (who) VALUES (7) RETURNING "No""#;
    assert_eq!(client.query_one(next, &[]).await.unwrap().get::<_, i32>(0), 31);
    let since = "SELECT string_agg(concat_ws(' ', user_uuid, trans_type, credits, order_no, expired_at), ',')
        FROM app.credits_since";
    let since: String = client.query_one(since, &[]).await.unwrap().get(0);
    assert_eq!(since, "0 anime_generation -1 gen 2030-02-01 00:00:00+00");

    // Another row has a unique value of a missing row.
    let sql = r#"UPDATE app."Log ""1""" SET "No" = DEFAULT WHERE "No" = 5; DROP TABLE app.credits_since"#;
    client.batch_execute(sql).await.unwrap();
    let output = fail(workspace.legacy_command("rollback", &database.url(), UNUSUAL_NAMES));
    assert!(output.contains("5 (missing, because another row has one of its unique values)"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn rollback_makes_old_sums_those_of_the_migration() {
    let (database, workspace) = (loaded(LegacyData { users: 0, ..SOME }).await, Workspace::new().await);
    let client = database.client().await;
    // Negative after the first expiry, because the charge has the expiry of the second pack.
    let rows = "INSERT INTO credits (id, trans_no, created_at, user_uuid, trans_type, credits, expired_at) VALUES
        (1, 'a', '2025-01-01', 'u', 'order_pay', 5, '2130-01-01'), (2, 'b', '2025-01-02', 'u', 'order_pay', 10, '2131-01-01'),
        (3, 'c', '2025-01-03', 'u', 'chat', -12, '2131-01-01'), (4, 'd', '2025-01-04', 'idle', 'order_pay', 5, '2130-01-01'),
        (5, 'e', '2025-01-05', 'idle', 'order_pay', 9, NULL), (6, 'f', '2025-01-06', 'idle', 'chat', -12, NULL),
        (7, 'g', '2025-01-07', 'rising', 'order_pay', 5, '2130-01-01'), (8, 'h', '2025-01-08', 'rising', 'chat', -7, '2130-01-01'),
        (9, 'i', '2025-01-09', 'rising', 'order_pay', 10, NULL)";
    client.batch_execute(rows).await.unwrap();
    workspace.migrate(&database.url(), &[]);
    let app = AppRequests::new(workspace.ledger().await);
    for user in ["u", "rising"] {
        app.grant(user, GrantType::SystemAdd, 10, None).await;
    }
    rollback(&workspace, &database, &[]);
    let sql = "SELECT concat_ws(' ', user_uuid, trans_type, credits, extract(year FROM expired_at)) FROM credits_since
        ORDER BY user_uuid, id";
    let since: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let of_rising = ["rising system_add 10", "rising forgiven 2 2130", "rising forgiven -2"];
    let of_u = ["u system_add 10", "u forgiven -2 2130", "u forgiven 2 2131"];
    assert_eq!(since, [of_rising, of_u].concat());
}
