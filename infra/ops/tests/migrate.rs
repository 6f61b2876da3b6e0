//! The command `migrate`: from a real PostgreSQL into a real engine.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use dynoxide::{Database as Engine, server};
use serde_json::Value;
use support::{
    oddities::Oddities,
    postgres::{Database, database},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

const SOME: Oddities = Oddities { seed: 2, users: 1_500, largest: 3_000 };

/// What the data is as of: after all of it was made.
const AS_OF: &str = "2026-01-01T00:00:00.000Z\n";

/// An engine with the table, and a folder for the migration.
struct Place {
    engine: Engine,
    endpoint: String,
    folder: TempDir,
}

impl Place {
    async fn new() -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let engine = Engine::memory().unwrap();
        tokio::spawn(server::serve_on(listener, engine.clone()));
        let connection = scrip::store::Connection {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(endpoint.clone()),
            anonymous: true,
        };
        scrip::store::Store::connect(connection, scrip::store::TABLE).await.create_table().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("as_of"), AS_OF).unwrap();
        Place { engine, endpoint, folder }
    }

    fn command(&self, url: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.args(["migrate", "--from", url, "--dynamodb-endpoint", &self.endpoint, "--folder"]);
        command.arg(self.folder.path()).args(flags).stdin(Stdio::null());
        command
    }

    fn run(&self, url: &str, flags: &[&str]) -> Output {
        self.command(url, flags).output().unwrap()
    }

    /// Runs it to its end, which must be good: its report.
    fn migrate(&self, url: &str, flags: &[&str]) -> Value {
        let ended = self.run(url, flags);
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        json(&self.folder.path().join("report.json"))
    }

    fn start(&self, url: &str) -> Child {
        let mut command = self.command(url, &["--batch", "20"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// All items of the table, each in one form.
    fn items(&self) -> Vec<String> {
        let request = serde_json::json!({ "TableName": "credits", "ConsistentRead": true });
        let (mut items, mut from) = (Vec::new(), Value::Null);
        loop {
            let mut request = request.clone();
            if !from.is_null() {
                request["ExclusiveStartKey"] = from;
            }
            let page = self.engine.scan(serde_json::from_value(request).unwrap()).unwrap();
            let mut page = serde_json::to_value(page).unwrap();
            items.extend(page["Items"].as_array().unwrap().iter().map(Value::to_string));
            from = page["LastEvaluatedKey"].take();
            if from.is_null() {
                items.sort();
                return items;
            }
        }
    }

    /// The balance of each user who has a wallet, at a moment in milliseconds.
    fn balances(&self, at: i64) -> BTreeMap<String, i64> {
        let number = |value: &Value| value["N"].as_str().map(|digits| digits.parse::<i64>().unwrap());
        let wallets = self.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
        wallets
            .filter(|item| item["sk"]["S"] == "wallet")
            .map(|wallet| {
                let packs = wallet["packs"]["L"].as_array().unwrap().iter().map(|pack| &pack["M"]);
                let usable = packs.filter(|pack| number(&pack["e"]).is_none_or(|end| at < end));
                let balance = usable.map(|pack| number(&pack["n"]).unwrap()).sum();
                (wallet["user_uuid"]["S"].as_str().unwrap().to_owned(), balance)
            })
            .collect()
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

async fn some() -> Database {
    let database = database().await;
    SOME.load(&database.client().await).await;
    database
}

/// The balance of each user by SQL, or zero where it is below.
async fn old_balances(database: &Database, at: i64) -> BTreeMap<String, i64> {
    let sql = "SELECT user_uuid, greatest(sum(credits) FILTER (WHERE expired_at IS NULL \
        OR floor(extract(epoch FROM expired_at) * 1000) > $1::float8), 0)::text FROM credits \
        WHERE user_uuid IS NOT NULL GROUP BY user_uuid";
    #[expect(clippy::cast_precision_loss, reason = "a moment has far fewer digits")]
    let rows = database.client().await.query(sql, &[&(at as f64)]).await.unwrap();
    // Some sums are larger than any balance can be.
    let sum = |text: Option<&str>| text.map_or(0, |text| text.parse().unwrap_or(i64::MAX));
    rows.iter().map(|row| (row.get(0), sum(row.get(1)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn every_user_has_the_old_balance_or_is_in_quarantine() {
    let (database, place) = (some().await, Place::new().await);
    let report = place.migrate(&database.url(), &[]);
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
    for days in [0, 10, 40, 200, 3_000] {
        let at = as_of + days * 86_400_000;
        let (old, new) = (old_balances(&database, at).await, place.balances(at));
        assert!(new.len() > 1_000, "most were moved: {}", new.len());
        for (user, balance) in new {
            assert_eq!(balance, old[&user], "{user} after {days} days");
        }
    }
    let quarantine = fs::read_to_string(place.folder.path().join("quarantine.jsonl")).unwrap();
    let kept: Vec<Value> = quarantine.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Some(kept.len() as u64), report["users"]["quarantined"].as_u64());
    let moved = place.balances(as_of);
    for user in &kept {
        assert!(!moved.contains_key(user["user_uuid"].as_str().unwrap()), "{user}");
        assert!(!user["rows"].as_array().unwrap().is_empty(), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn killed_twenty_times_it_ends_with_the_same_table() {
    let database = some().await;
    let (whole, broken) = (Place::new().await, Place::new().await);
    let report = whole.migrate(&database.url(), &[]);
    for millis in (0..20_u64).map(|nth| 150 + nth * 7_919 % 900) {
        let mut child = broken.start(&database.url());
        sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let again = broken.migrate(&database.url(), &[]);
    assert_eq!(whole.items(), broken.items());
    for sums in ["rows", "quarantined", "before", "after", "balance", "short"] {
        assert_eq!(report[sums], again[sums], "{sums}");
    }
    let users = |report: &Value, of: &str| report["users"][of].as_u64().unwrap_or(0);
    assert_eq!(users(&report, "moved"), users(&again, "moved") + users(&again, "moved before"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn a_dry_run_writes_nothing_and_says_the_same() {
    let (database, place) = (some().await, Place::new().await);
    let dry = place.migrate(&database.url(), &["--dry-run"]);
    assert_eq!(place.items(), [""; 0]);
    let wet = place.migrate(&database.url(), &[]);
    assert_eq!(dry["users"]["would be moved"], wet["users"]["moved"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which .ci/run installs"]
async fn what_stops_it_is_one_line() {
    let (database, place) = (some().await, Place::new().await);
    let client = database.client().await;
    client.batch_execute("CREATE TABLE no_columns (id bigint)").await.unwrap();
    let url = database.url();
    fs::create_dir(place.folder.path().join("no_folder")).unwrap();
    fs::create_dir_all(place.folder.path().join("full/quarantine.jsonl")).unwrap();
    let folder = |name: &str| place.folder.path().join(name).display().to_string();
    let full = folder("full");
    for (url, flags, says) in [
        (url.as_str(), &["--table", "credits=no_such_table"][..], "no_such_table"),
        (&url, &["--table", "no_columns"], "no_columns"),
        (&url, &["--table", "nonsense=x"], "nonsense"),
        (&url, &["--column", "credits.nonsense=x"], "nonsense"),
        (&url, &["--column", "owner=x"], "TABLE.COLUMN=NAME"),
        ("postgresql://nobody:x@127.0.0.1:1/none", &[], "127.0.0.1:1"),
        ("nonsense", &[], "postgresql://"),
        (&url, &["--dynamodb-endpoint", "http://127.0.0.1:1"], "DynamoDB"),
        (&url, &["--dynamodb-table", "missing"], "user "),
        (&url, &["--folder", &full], "quarantine.jsonl"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        command.args(["migrate", "--from", url]);
        let has = |flag: &str| flags.contains(&flag);
        if !has("--dynamodb-endpoint") {
            command.args(["--dynamodb-endpoint", &place.endpoint]);
        }
        if !has("--folder") {
            command.arg("--folder").arg(place.folder.path());
        }
        let ended = command.args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!((ended.status.code(), errors.len()), (Some(1), 1), "{flags:?}: {said}");
        assert!(errors[0].contains(says) && !said.contains("secret"), "{flags:?}: {said}");
    }
    assert_eq!(place.items(), [""; 0]);
}
