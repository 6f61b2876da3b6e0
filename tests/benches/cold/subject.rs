use std::path::{Path, PathBuf};

use scrip_tests::{Bench, Instance};
use serde_json::{Value, json};
use tokio::process::Command;

/// Every function, in the order of the contract.
pub(crate) const FUNCTIONS: [&str; 7] =
    ["grant", "decrease", "refund", "balance", "history", "webhook", "audit"];

/// A program whose start is measured.
pub(crate) struct Subject {
    /// What the tables call it.
    pub(crate) name: String,
    /// What Lambda would start.
    pub(crate) program: PathBuf,
    /// What it is given; a program of Node is the first of them.
    pub(crate) arguments: Vec<PathBuf>,
    /// The function that it is.
    pub(crate) function: &'static str,
    /// The one file that would be deployed, where it is one.
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

    /// How it is started.
    pub(crate) fn command(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = Instance::command(&self.program);
        command.args(&self.arguments).envs(environment.iter().copied());
        command
    }
}

/// Brings a user into the state in which a function has something to do: the event
/// for it.
pub(crate) async fn event(bench: &Bench, function: &str, user: &str) -> Value {
    let generation = format!("g-{user}");
    if function != "grant" {
        bench.grant(user, 100, None).await;
    }
    if ["refund", "history", "webhook"].contains(&function) {
        bench.charge(user, 8, &generation, None).await.expect("a charge");
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
