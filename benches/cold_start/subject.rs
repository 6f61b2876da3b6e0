//! The programs that are measured, and their events.

use std::path::{Path, PathBuf};

use scrip_tests::{FunctionProcess, TestLedger};
use serde_json::{Value, json};
use tokio::process::Command;

/// Every function, in the order of the contract.
pub(crate) const FUNCTIONS: [&str; 7] =
    ["grant", "decrease", "refund", "balance", "history", "webhook", "audit"];

/// A program whose start is measured.
pub(crate) struct Subject {
    /// Name in the tables.
    pub(crate) name: String,
    /// The program that Lambda would start.
    pub(crate) program: PathBuf,
    /// Its arguments; for Node the script.
    pub(crate) arguments: Vec<PathBuf>,
    pub(crate) function: &'static str,
    /// The deployed file; absent if there are several.
    pub(crate) file: Option<PathBuf>,
}

impl Subject {
    /// A function of this repository.
    pub(crate) fn function(name: impl Into<String>, function: &'static str, program: &Path) -> Subject {
        let (program, file) = (program.to_owned(), Some(program.to_owned()));
        Subject { name: name.into(), program, arguments: Vec::new(), function, file }
    }

    /// `decrease` in Node, from this file.
    pub(crate) fn peer(name: &str, main: &Path, is_bundle: bool) -> Subject {
        Subject {
            name: name.to_owned(),
            program: "node".into(),
            arguments: vec![main.to_owned()],
            function: "decrease",
            file: is_bundle.then(|| main.to_owned()),
        }
    }

    pub(crate) fn command(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = FunctionProcess::command(&self.program);
        command.args(&self.arguments).envs(environment.iter().copied());
        command
    }
}

/// Writes the records that a function's event needs. Returns the event.
pub(crate) async fn event(ledger: &TestLedger, function: &str, user: &str) -> Value {
    let generation = format!("g-{user}");
    if function != "grant" {
        ledger.grant(user, 100, None).await;
    }
    if ["refund", "history", "webhook"].contains(&function) {
        ledger.charge(user, 8, &generation, None).await.expect("a charge");
    }
    match function {
        "grant" => json!({ "user_uuid": user, "trans_type": "new_user", "credits": 100 }),
        "decrease" => {
            json!({ "user_uuid": user, "trans_type": "chat", "credits": 8, "generation_uuid": generation })
        }
        "refund" => json!({ "user_uuid": user, "generation_uuid": generation, "reason": "a failure" }),
        "balance" => json!({ "user_uuid": user }),
        "history" => json!({ "operation": "timeline", "user_uuid": user }),
        "webhook" => json!({ "user_uuid": user, "generation_uuid": generation, "status": "failed" }),
        _ => json!({ "segment": 0, "of": 1 }),
    }
}
