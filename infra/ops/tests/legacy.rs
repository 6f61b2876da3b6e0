//! Reads the old tables from PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::collections::BTreeMap;

use scrip_ops::{
    cli_error::CliError,
    legacy::{LegacyDatabase, NullExpiry, ReadRules, TableNames, UserRows},
    plan::OldRow,
};
use scrip_tests::postgres::{Database, database};
use support::legacy_data_gen::LegacyData;

const SOME: LegacyData = LegacyData { seed: 1, users: 3_000, largest: 20_000 };

/// Rows without expiry never expire.
fn never() -> ReadRules {
    ReadRules { null_expiry: Some(NullExpiry::Never), ..ReadRules::default() }
}

/// Reads all users.
async fn read_users(url: &str, names: &TableNames) -> Result<Vec<UserRows>, CliError> {
    let mut connection = LegacyDatabase::connect(url).await?;
    let mut snapshot = connection.snapshot(names, &never(), None).await?;
    let mut users = Vec::new();
    while let Some(user) = snapshot.next_user().await? {
        users.push(user);
    }
    let rows = users.iter().map(|user| user.rows.len()).sum::<usize>();
    assert_eq!(snapshot.count(), (u64::try_from(users.len()).unwrap(), u64::try_from(rows).unwrap()));
    Ok(users)
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn snapshot_returns_each_row_once_with_its_user() {
    let database = database().await;
    SOME.load(&database.client().await).await;
    let found = read_users(&database.url(), &TableNames::default()).await.unwrap();
    let mut expected = BTreeMap::<String, Vec<OldRow>>::new();
    for row in SOME.users().flat_map(|user| user.rows) {
        expected.entry(row.expected.user_uuid.clone()).or_default().push(row.expected);
    }
    expected.values_mut().for_each(|rows| rows.sort_by_key(|row| row.id));
    assert!(found.iter().map(|user| &user.user).eq(expected.keys()), "each user once, in the order of bytes");
    for (user, expected) in found.iter().zip(expected.values()) {
        let rows: Vec<_> = user.rows.iter().map(|(row, _)| row.clone()).collect();
        assert_eq!(&rows, expected);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn row_text_restores_the_row() {
    let database = database().await;
    let client = database.client().await;
    LegacyData { users: 300, largest: 100, ..SOME }.load(&client).await;
    client.batch_execute("CREATE TABLE again (LIKE credits)").await.unwrap();
    let users = read_users(&database.url(), &TableNames::default()).await.unwrap();
    let texts: Vec<_> =
        users.iter().flat_map(|user| user.rows.iter().map(|(_, text)| text.as_str())).collect();
    let insert = "INSERT INTO again SELECT back.* FROM unnest($1::text[]) AS texts (one),
                  json_populate_record(NULL::credits, one::json) AS back";
    client.execute(insert, &[&texts]).await.unwrap();
    let other = "(SELECT * FROM credits EXCEPT ALL SELECT * FROM again)
                 UNION ALL (SELECT * FROM again EXCEPT ALL SELECT * FROM credits)";
    assert_eq!(client.query(other, &[]).await.unwrap().len(), 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn snapshot_reads_other_names_and_types() {
    let database = database().await;
    let sql = r#"
        CREATE SCHEMA app;
        CREATE TYPE kind AS ENUM ('new_user', 'chat');
        CREATE TABLE app."Log ""1""" (n smallint, "transNo" uuid, "at" timestamp, who int, what kind, "how many" int,
            c uuid, until timestamptz);
        CREATE TABLE app.works (id uuid, owner int);
        CREATE TABLE bills (no text, who int);
        INSERT INTO app."Log ""1""" VALUES
            (2, '00000000-0000-0000-0000-000000000002', '2025-01-02 00:00:00.0019', 7, 'chat', -3,
             '00000000-0000-0000-0000-0000000000aa', '2025-02-01 02:00:00+02'),
            (1, '00000000-0000-0000-0000-000000000001', '2025-01-01', 7, 'new_user', 9, NULL, NULL);
        INSERT INTO app.works VALUES ('00000000-0000-0000-0000-0000000000aa', 7)"#;
    database.client().await.batch_execute(sql).await.unwrap();
    let mut names = TableNames::default();
    for (what, name) in [
        ("credits", r#"app.Log "1""#),
        ("credits.id", "n"),
        ("credits.trans_no", "transNo"),
        ("credits.created_at", "at"),
        ("credits.user_uuid", "who"),
        ("credits.trans_type", "what"),
        ("credits.credits", "how many"),
        ("credits.order_no", "c"),
        ("credits.expired_at", "until"),
        ("generations", "app.works"),
        ("generations.uuid", "id"),
        ("generations.user_uuid", "owner"),
        ("orders", "bills"),
        ("orders.order_no", "no"),
        ("orders.user_uuid", "who"),
    ] {
        names.rename(what, name).unwrap();
    }
    let users = read_users(&database.url(), &names).await.unwrap();
    let rows = users.iter().flat_map(|user| &user.rows).map(|(row, text)| {
        let (made, end) = (row.created_at, row.expired_at.map(|end| end.to_string()).unwrap_or_default());
        let found = (row.order_owner, row.generation_owner);
        format!(
            "{} {} {} {} {made} {end} {found:?} {text}",
            row.id, row.user_uuid, row.trans_type, row.credits
        )
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(
        rows,
        [
            r#"1 7 new_user 9 2025-01-01T00:00:00.000Z  (Missing, Missing) {"n":1,"transNo":"00000000-0000-0000-0000-000000000001","at":"2025-01-01T00:00:00","who":7,"what":"new_user","how many":9,"c":null,"until":null}"#,
            r#"2 7 chat -3 2025-01-02T00:00:00.001Z 2025-02-01T00:00:00.000Z (Missing, SameUser) {"n":2,"transNo":"00000000-0000-0000-0000-000000000002","at":"2025-01-02T00:00:00.0019","who":7,"what":"chat","how many":-3,"c":"00000000-0000-0000-0000-0000000000aa","until":"2025-02-01T00:00:00+00:00"}"#,
        ]
    );
}

/// The error of `user:password` for a small table after a statement.
async fn read_error(sql: &str, user: &str) -> String {
    let database = database().await;
    let client = database.client().await;
    LegacyData { users: 5, largest: 10, ..SOME }.load(&client).await;
    client.batch_execute(sql).await.unwrap();
    read_users(&database.url_of(user), &TableNames::default()).await.unwrap_err().0
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn unreadable_tables_fail_in_one_line() {
    const OWNER: &str = "scrip:secret";
    let role =
        "DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'r'; EXCEPTION WHEN duplicate_object THEN END $$;";
    let policy = format!(
        "{role} GRANT SELECT ON credits, orders, generations TO reader; ALTER TABLE credits ENABLE ROW LEVEL SECURITY"
    );
    let too_old = "ALTER TABLE credits RENAME TO base;
        CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'snapshot too old' USING ERRCODE = '72000'; END $$;
        CREATE VIEW credits AS SELECT *, fails() FROM base";
    for (sql, user, expected) in [
        ("", "scrip:wrong", r#"the server rejects the password of user "scrip"; check the URL"#),
        ("", "scrip", "requires a password, and the URL has none"),
        ("DROP TABLE orders", OWNER, r#"there is no table "orders"; set its name by --table orders=NAME"#),
        (
            "ALTER TABLE generations DROP uuid",
            OWNER,
            r#"the table "generations" has no column "uuid"; set its name by --column generations.uuid=NAME"#,
        ),
        (
            "ALTER TABLE credits ALTER credits TYPE numeric(30,2)",
            OWNER,
            r#"the column "credits" of the table "credits" is of type numeric(30,2) and must be smallint, integer or bigint"#,
        ),
        (
            "ALTER TABLE credits ALTER expired_at TYPE date",
            OWNER,
            r#"the column "expired_at" of the table "credits" is of type date and must be timestamp, with or without time zone"#,
        ),
        (
            "ALTER TABLE credits ALTER trans_no DROP NOT NULL; UPDATE credits SET trans_no = NULL",
            OWNER,
            "is not unique, because a row has none; ",
        ),
        (
            "UPDATE credits SET trans_no = 'same'",
            OWNER,
            r#"is not unique, because several rows have "same"; set a unique one by --column credits.trans_no=NAME"#,
        ),
        (
            role,
            "reader:r",
            "the user of the URL may not read credits: permission denied for table credits; it needs SELECT on all \
             three tables, and no row security",
        ),
        (too_old, OWNER, "the server dropped rows of the snapshot (snapshot too old); run again"),
        (&policy, "reader:r", "query would be affected by row-level security policy for table \"credits\""),
    ] {
        let found = read_error(sql, user).await;
        assert!(found.contains(expected) && !found.contains('\n'), "{sql}: {found}");
        assert!(!found.contains("secret") && !found.contains("wrong"), "{found}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn failed_connection_names_the_server() {
    let missing = Database { name: "nowhere".to_owned(), ..database().await };
    for (url, expected) in [
        (missing.url(), r#"the server has no database "nowhere"; check the URL"#),
        ("postgresql://u:secret@127.0.0.1:1/d".to_owned(), "no PostgreSQL server responds at 127.0.0.1:1: "),
        (
            "postgresql://u:secret@no.invalid/d".to_owned(),
            "no PostgreSQL server responds at no.invalid:5432: ",
        ),
    ] {
        let found = LegacyDatabase::connect(&url).await.err().expect("no connection").0;
        assert!(found.contains(expected) && !found.contains('\n') && !found.contains("secret"), "{found}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn lost_connection_is_an_error() {
    let database = database().await;
    let client = database.client().await;
    SOME.load(&client).await;
    let mut connection = LegacyDatabase::connect(&database.url()).await.unwrap();
    let names = TableNames::default();
    let mut snapshot = connection.snapshot(&names, &never(), None).await.unwrap();
    assert!(snapshot.next_user().await.unwrap().is_some());
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'scrip-ops'
               AND datname = current_database() AND backend_type = 'client backend'";
    assert_eq!(client.query(end, &[]).await.unwrap().len(), 1);
    let expected = loop {
        match snapshot.next_user().await {
            Ok(user) => assert!(user.is_some(), "the rows end without an error"),
            Err(expected) => break expected.0,
        }
    };
    assert_eq!(expected, "the connection to the old database was lost; run again");
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn snapshot_excludes_later_writes() {
    let database = database().await;
    let client = database.client().await;
    LegacyData { users: 20, largest: 10, ..SOME }.load(&client).await;
    let mut connection = LegacyDatabase::connect(&database.url()).await.unwrap();
    let mut snapshot = connection.snapshot(&TableNames::default(), &never(), None).await.unwrap();
    client.batch_execute("DELETE FROM credits").await.unwrap();
    let mut rows = 0;
    while let Some(user) = snapshot.next_user().await.unwrap() {
        rows += user.rows.len();
    }
    assert_eq!(u64::try_from(rows).unwrap(), snapshot.count().1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn tls_requires_a_trusted_certificate_for_the_host() {
    let database = database().await;
    LegacyData { users: 5, largest: 10, ..SOME }.load(&database.client().await).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, database.root()).unwrap();
    let trusted = format!("&sslrootcert={}", root.display());
    for (host, options, expected) in [
        ("127.0.0.1", format!("?sslmode=require{trusted}"), None),
        ("127.0.0.1", format!("?sslmode=prefer{trusted}"), None),
        ("127.0.0.1", format!("?sslmode=verify-full{trusted}"), None),
        ("127.0.0.1", "?sslmode=disable".to_owned(), None),
        ("127.0.0.1", "?sslmode=require".to_owned(), Some("TLS with the server at 127.0.0.1")),
        ("127.0.0.1", String::new(), Some("sslrootcert=FILE adds trusted roots")),
        ("localhost", format!("?sslmode=require{trusted}"), Some("not valid for name \"localhost\"")),
        ("127.0.0.1", "?sslrootcert=/no/such/file".to_owned(), Some("/no/such/file")),
    ] {
        let url = format!("{}{options}", database.url_at("scrip:secret", host));
        let output = read_users(&url, &TableNames::default()).await.map(|users| users.len());
        match (expected, &output) {
            (None, Ok(5)) => {}
            (Some(expected), Err(problem)) => assert!(problem.0.contains(expected), "{options}: {problem}"),
            _ => panic!("{host} {options}: {output:?}"),
        }
    }
}
