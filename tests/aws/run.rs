//! Executions of state machines, and the users whom they charge.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cloud::{Cloud, wait_until},
    outside::Asked,
};

/// What every user has at first.
pub const GRANTED: u64 = 10;
/// What each execution charges.
pub const PRICE: u64 = 3;

/// An interpreter of state machines: what it answers to an action.
pub type States = fn(&str, &Value) -> Value;

/// An execution.
pub struct Run {
    states: States,
    pub arn: String,
}

/// How an execution ended.
pub struct End {
    pub status: String,
    pub error: Value,
    pub cause: String,
    pub output: Value,
}

/// What the deployed Step Functions answers to an action.
pub fn states(action: &str, request: &Value) -> Value {
    Cloud::deployed().call(&format!("AWSStepFunctions.{action}"), request).unwrap()
}

/// An output of the stack.
pub fn output(name: &str) -> &'static str {
    Cloud::deployed().output(name)
}

impl Run {
    /// Starts an execution of `generation`, `video`, `chat` or `reclaim`.
    pub fn start(machine: &str, input: &Value) -> Run {
        let (first, rest) = machine.split_at(1);
        Run::of(states, output(&format!("{}{rest}MachineArn", first.to_uppercase())), input)
    }

    /// Starts an execution of a machine of this interpreter.
    pub fn of(states: States, machine_arn: &str, input: &Value) -> Run {
        let name = Uuid::new_v4();
        let request = json!({ "stateMachineArn": machine_arn, "name": name, "input": input.to_string() });
        let started = states("StartExecution", &request);
        Run { states, arn: started["executionArn"].as_str().unwrap().to_owned() }
    }

    pub fn described(&self) -> Value {
        (self.states)("DescribeExecution", &json!({ "executionArn": self.arn }))
    }

    pub fn stop(&self) {
        (self.states)("StopExecution", &json!({ "executionArn": self.arn }));
    }

    /// Waits for its end.
    pub fn end(&self) -> End {
        let mut seen = Value::Null;
        wait_until("the execution ends", || {
            seen = self.described();
            seen["status"] != "RUNNING"
        });
        let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
        End {
            status: text("status"),
            error: seen["error"].clone(),
            cause: text("cause"),
            output: serde_json::from_str(&text("output")).unwrap_or_default(),
        }
    }

    /// Waits for its end, which must be a success: its output.
    pub fn succeeds(&self) -> Value {
        let end = self.end();
        assert_eq!(end.status, "SUCCEEDED", "{} {}", end.error, end.cause);
        end.output
    }

    /// Waits for its end, which must be this error: its cause.
    pub fn fails(&self, error: &str) -> String {
        let end = self.end();
        assert_eq!((end.status.as_str(), &end.error), ("FAILED", &json!(error)), "{}", end.cause);
        end.cause
    }

    /// What its history has at this place of its events.
    fn history(&self, pointer: &str) -> Vec<String> {
        let asked = json!({ "executionArn": self.arn, "maxResults": 1000 });
        let history = (self.states)("GetExecutionHistory", &asked);
        let events = history["events"].as_array().unwrap().iter();
        let found = events.filter_map(|event| event.pointer(pointer));
        found.map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Every state that it came by.
    pub fn way(&self) -> Vec<String> {
        self.history("/stateEnteredEventDetails/name")
    }

    /// The error of every attempt that failed.
    pub fn failures(&self) -> Vec<String> {
        self.history("/taskFailedEventDetails/error")
    }

    /// The execution of `reclaim` that the rule starts when this one has ended
    /// without success, and the event that it was handed.
    pub fn reclaimed(&self) -> (Run, Value) {
        let mut found = None;
        wait_until("the rule starts reclaim", || {
            let request = json!({ "stateMachineArn": output("ReclaimMachineArn") });
            let listed = (self.states)("ListExecutions", &request);
            let arns = listed["executions"].as_array().unwrap().iter().map(|run| &run["executionArn"]);
            found = arns.map(|arn| Run { states, arn: arn.as_str().unwrap().to_owned() }).find_map(|run| {
                let input = run.described()["input"].as_str().unwrap().to_owned();
                let event: Value = serde_json::from_str(&input).unwrap();
                (event["detail"]["executionArn"] == self.arn.as_str()).then_some((run, event))
            });
            found.is_some()
        });
        found.unwrap()
    }
}

/// A user with credits, for a test alone.
pub struct User(pub &'static str);

impl User {
    pub fn new(name: &'static str) -> User {
        Cloud::deployed().grant(name, GRANTED);
        User(name)
    }

    /// What an execution is started with: a generation of this user's own.
    pub fn input(&self, more: &Value) -> Value {
        let mut input = json!({
            "user_uuid": self.0, "generation_uuid": self.generation(), "credits": PRICE, "gen": "anime",
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    }

    pub fn generation(&self) -> String {
        format!("{}-generation", self.0)
    }

    /// A message of this user's session.
    pub fn message(&self, key: &str) -> Value {
        let mut input = self.input(&json!({ "idempotency_key": key }));
        input.as_object_mut().unwrap().remove("gen");
        input
    }

    /// Lets DynamoDB refuse the user's next requests of an operation.
    pub fn refuse(&self, operation: &'static str, code: &'static str, times: u32) {
        Cloud::deployed().outside.refuse(self.0, operation, code, times);
    }

    /// The charges, oldest first, each with the reason of its void, if it is one;
    /// and that the balance is what they leave.
    pub fn charges(&self) -> Vec<Option<String>> {
        let cloud = Cloud::deployed();
        let records = cloud.records(self.0);
        let charges = records.iter().rev().filter(|record| record["credits"].as_i64().unwrap() < 0);
        let charges: Vec<_> = charges
            .map(|charge| {
                assert_eq!(charge["credits"].as_i64().unwrap().unsigned_abs(), PRICE);
                assert_eq!(charge["generation_uuid"], self.generation());
                assert_eq!(charge["is_voided"], !charge["voided_reason"].is_null());
                charge["voided_reason"].as_str().map(str::to_owned)
            })
            .collect();
        let live = charges.iter().filter(|reason| reason.is_none()).count() as u64;
        assert_eq!(cloud.balance(self.0), GRANTED - live * PRICE, "{charges:?}");
        charges
    }

    /// Demands these charges: `""` for a live one, else the reason of its void.
    pub fn has(&self, charges: &[&str]) {
        let expected = charges.iter().map(|reason| Some(*reason).filter(|reason| !reason.is_empty()));
        let expected: Vec<_> = expected.map(|reason| reason.map(str::to_owned)).collect();
        assert_eq!(self.charges(), expected);
    }

    /// The user's step, which hangs until it is told what to do.
    pub fn step(&self) -> Asked {
        Cloud::deployed().outside.asked(&self.generation())
    }
}
