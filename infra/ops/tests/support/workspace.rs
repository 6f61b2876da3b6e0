//! A ledger table, a folder and the command line for a test.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use dynoxide::{Database as Engine, server};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Connection, Store, TABLE},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The moment of migrations, later than all generated data.
const AS_OF: &str = "2026-01-01T00:00:00.000Z\n";

/// Options for generated data, which has rows without expiry.
const NEVER: [&str; 2] = ["--null-expiry", "never"];

/// An engine with the table, and a folder for the migration.
pub struct Workspace {
    /// The embedded DynamoDB engine.
    pub engine: Engine,
    /// URL of the engine.
    pub endpoint: String,
    folder: TempDir,
}

impl Workspace {
    /// An empty table and folder; migrations are as of 2026-01-01.
    pub async fn new() -> Workspace {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let engine = Engine::memory().unwrap();
        tokio::spawn(server::serve_on(listener, engine.clone()));
        let workspace = Workspace { engine, endpoint, folder: tempfile::tempdir().unwrap() };
        workspace.store().await.create_table().await.unwrap();
        fs::write(workspace.path("as_of"), AS_OF).unwrap();
        workspace
    }

    async fn store(&self) -> Store {
        let endpoint = Some(self.endpoint.clone());
        let connection = Connection { region: Some("us-east-1".to_owned()), endpoint, anonymous: true };
        Store::connect(connection, TABLE).await
    }

    /// A ledger on the table.
    pub async fn ledger(&self) -> Ledger {
        Ledger::new(self.store().await, ClockAndRandom::system())
    }

    /// Path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Content of a JSON file in the folder.
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// `scrip-ops` on the table, without variables of AWS and proxies.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.args(["--dynamodb-endpoint", &self.endpoint]).args(args).stdin(Stdio::null());
        command
    }

    /// A command with the old tables and the folder. Rows without expiry never expire.
    pub fn legacy_command(&self, command_name: &str, url: &str, flags: &[&str]) -> Command {
        let folder = self.folder.path().display().to_string();
        let mut command = self.command(&[command_name, "--from", url, "--folder", &folder]);
        command.args(NEVER.iter().filter(|_| command_name == "migrate")).args(flags);
        command
    }

    /// Runs a migration that must succeed, and may leave users behind. Returns the report.
    pub fn migrate(&self, url: &str, flags: &[&str]) -> Value {
        finish(self.legacy_command("migrate", url, flags));
        self.json("report.json")
    }

    /// All items of the table as sorted JSON.
    pub fn items(&self) -> Vec<String> {
        let request = serde_json::json!({ "TableName": "credits", "ConsistentRead": true });
        let (mut items, mut start) = (Vec::new(), Value::Null);
        loop {
            let mut request = request.clone();
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let page = self.engine.scan(serde_json::from_value(request).unwrap()).unwrap();
            let mut page = serde_json::to_value(page).unwrap();
            items.extend(page["Items"].as_array().unwrap().iter().map(Value::to_string));
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                items.sort();
                return items;
            }
        }
    }

    /// Changes an item of the table.
    pub fn damage(&self, user: &str, sort: &str, damage: impl FnOnce(&mut Value)) {
        let mut items = self.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
        let mut item = items.find(|item| item["user_uuid"]["S"] == user && item["sk"]["S"] == sort).unwrap();
        damage(&mut item);
        self.put_item(item);
    }

    /// Moves the old rows into the records, where earlier versions wrote them.
    pub fn move_old_rows_into_records(&self) {
        let items = self.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
        let key = |item: &Value| [&item["user_uuid"], &item["sk"]].map(|part| part["S"].clone());
        let mut items: BTreeMap<_, _> =
            items.map(|item| (key(&item).map(|part| part.to_string()), item)).collect();
        let is_rows = |item: &Value| item["old_rows"]["M"].is_object();
        let all_rows: Vec<_> = items.values().filter(|item| is_rows(item)).cloned().collect();
        for item in all_rows {
            let [user, sort] = key(&item);
            for (record, rows) in item["old_rows"]["M"].as_object().unwrap() {
                let key = [user.to_string(), Value::from(record.as_str()).to_string()];
                items.get_mut(&key).unwrap()["old_rows"] = rows.clone();
            }
            self.delete_item(user.as_str().unwrap(), sort.as_str().unwrap());
        }
        for item in items.into_values().filter(|item| item["old_rows"]["S"].is_string()) {
            self.put_item(item);
        }
    }

    /// Deletes an item of the table.
    pub fn delete_item(&self, user: &str, sort: &str) {
        let request = serde_json::json!({ "TableName": "credits", "Key": { "user_uuid": { "S": user }, "sk": { "S": sort } } });
        self.engine.delete_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    /// Writes an item, also over another one.
    pub fn put_item(&self, item: Value) {
        let put = serde_json::json!({ "TableName": "credits", "Item": item });
        self.engine.put_item(serde_json::from_value(put).unwrap()).unwrap();
    }

    /// The balance of each wallet at a moment in milliseconds since 1970.
    pub fn balances(&self, at: i64) -> BTreeMap<String, i64> {
        let balance = |packs: Vec<(Option<i64>, i64)>| {
            packs.into_iter().filter(|pack| pack.0.is_none_or(|expiry| at < expiry)).map(|pack| pack.1).sum()
        };
        self.packs().into_iter().map(|(user, packs)| (user, balance(packs))).collect()
    }

    /// Expiry and remaining credits of the packs of each wallet that is not blocked.
    pub fn packs(&self) -> BTreeMap<String, Vec<(Option<i64>, i64)>> {
        let number = |value: &Value| value["N"].as_str().map(|digits| digits.parse::<i64>().unwrap());
        let wallets = self.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
        wallets
            .filter(|item| item["sk"]["S"] == "wallet" && item["is_blocked"].is_null())
            .map(|wallet| {
                let packs = wallet["packs"]["L"].as_array().unwrap().iter().map(|pack| &pack["M"]);
                let packs = packs.map(|pack| (number(&pack["e"]), number(&pack["n"]).unwrap())).collect();
                (wallet["user_uuid"]["S"].as_str().unwrap().to_owned(), packs)
            })
            .collect()
    }
}

/// Runs a migration that may leave users behind. Returns its standard output.
pub fn finish(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Runs a command that must fail with one line. Returns that line.
pub fn fail(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    let errors: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!((status.code(), errors.len()), (Some(1), 1), "{command:?}: {text}");
    assert!(!text.contains("secret"), "{command:?}: {text}");
    errors[0].to_owned()
}
