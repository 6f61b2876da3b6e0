//! A table to work on, a folder, and the command line.

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

/// What the data is as of: after all of it was made.
const AS_OF: &str = "2026-01-01T00:00:00.000Z\n";

/// An engine with the table, and a folder for the migration.
pub struct Place {
    /// The engine itself.
    pub engine: Engine,
    /// Where it is.
    pub endpoint: String,
    folder: TempDir,
}

impl Place {
    /// A new one; what is migrated there is as of 2026-01-01.
    pub async fn new() -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let engine = Engine::memory().unwrap();
        tokio::spawn(server::serve_on(listener, engine.clone()));
        let place = Place { engine, endpoint, folder: tempfile::tempdir().unwrap() };
        place.store().await.create_table().await.unwrap();
        fs::write(place.path("as_of"), AS_OF).unwrap();
        place
    }

    async fn store(&self) -> Store {
        let endpoint = Some(self.endpoint.clone());
        let connection = Connection { region: Some("us-east-1".to_owned()), endpoint, anonymous: true };
        Store::connect(connection, TABLE).await
    }

    /// The ledger on it.
    pub async fn ledger(&self) -> Ledger {
        Ledger::new(self.store().await, ClockAndRandom::system())
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A JSON file of the folder.
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// `scrip-ops` on the table, with nothing of the environment that could sway it.
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

    /// The same of a command that is about the old tables and keeps a folder.
    pub fn command_with_old(&self, command: &str, url: &str, flags: &[&str]) -> Command {
        let folder = self.folder.path().display().to_string();
        let mut command = self.command(&[command, "--from", url, "--folder", &folder]);
        command.args(flags);
        command
    }

    /// Migrates to the end, which must be good: the report.
    pub fn migrate(&self, url: &str, flags: &[&str]) -> Value {
        succeed(self.command_with_old("migrate", url, flags));
        self.json("report.json")
    }

    /// All items of the table, each in one form.
    pub fn items(&self) -> Vec<String> {
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

    /// Does this to an item of the table.
    pub fn damage(&self, user: &str, sort: &str, damage: impl FnOnce(&mut Value)) {
        let mut items = self.items().into_iter().map(|item| serde_json::from_str::<Value>(&item).unwrap());
        let mut item = items.find(|item| item["user_uuid"]["S"] == user && item["sk"]["S"] == sort).unwrap();
        damage(&mut item);
        let put = serde_json::json!({ "TableName": "credits", "Item": item });
        self.engine.put_item(serde_json::from_value(put).unwrap()).unwrap();
    }

    /// The balance of each user who has a wallet, at a moment in milliseconds.
    pub fn balances(&self, at: i64) -> BTreeMap<String, i64> {
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

/// Runs it to its end, which must be good: what it wrote on standard output.
pub fn succeed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Runs it to its end, which must be bad: the one line that says why.
pub fn fail(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let errors: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!((status.code(), errors.len()), (Some(1), 1), "{command:?}: {said}");
    assert!(!said.contains("secret"), "{command:?}: {said}");
    errors[0].to_owned()
}
