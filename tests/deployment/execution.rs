//! Executions of state machines, and the users that they charge.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    aws_fakes::PendingStep,
    cloud::{Cloud, wait_until},
};

/// Credits of every user at the start.
pub const GRANTED: u64 = 10;
/// Credits that each execution charges.
pub const PRICE: u64 = 3;

/// Calls an action of an interpreter of state machines.
pub type StatesApi = fn(&str, &Value) -> Value;

pub struct Execution {
    states: StatesApi,
    pub arn: String,
}

pub struct ExecutionResult {
    pub status: String,
    pub error: Value,
    pub cause: String,
    pub output: Value,
}

/// Calls an action of Step Functions in ministack.
pub fn states(action: &str, request: &Value) -> Value {
    Cloud::deployed().call(&format!("AWSStepFunctions.{action}"), request).unwrap()
}

/// An output of the stack.
pub fn output(name: &str) -> &'static str {
    Cloud::deployed().output(name)
}

impl Execution {
    /// Starts an execution of `generation`, `video`, `chat` or `reclaim`.
    pub fn start(machine: &str, input: &Value) -> Execution {
        let (first, rest) = machine.split_at(1);
        Execution::start_in(states, output(&format!("{}{rest}MachineArn", first.to_uppercase())), input)
    }

    /// Starts an execution of a machine in this interpreter.
    pub fn start_in(states: StatesApi, machine_arn: &str, input: &Value) -> Execution {
        let name = Uuid::new_v4();
        let request = json!({ "stateMachineArn": machine_arn, "name": name, "input": input.to_string() });
        let started = states("StartExecution", &request);
        Execution { states, arn: started["executionArn"].as_str().unwrap().to_owned() }
    }

    pub fn describe(&self) -> Value {
        (self.states)("DescribeExecution", &json!({ "executionArn": self.arn }))
    }

    pub fn stop(&self) {
        (self.states)("StopExecution", &json!({ "executionArn": self.arn }));
    }

    pub fn wait(&self) -> ExecutionResult {
        let mut description = Value::Null;
        wait_until("the execution ends", || {
            description = self.describe();
            description["status"] != "RUNNING"
        });
        let text = |name: &str| description[name].as_str().unwrap_or_default().to_owned();
        ExecutionResult {
            status: text("status"),
            error: description["error"].clone(),
            cause: text("cause"),
            output: serde_json::from_str(&text("output")).unwrap_or_default(),
        }
    }

    /// Waits until it succeeds. Returns its output.
    pub fn expect_success(&self) -> Value {
        let result = self.wait();
        assert_eq!(result.status, "SUCCEEDED", "{} {}", result.error, result.cause);
        result.output
    }

    /// Waits until it fails with this error. Returns its cause.
    pub fn expect_failure(&self, error: &str) -> String {
        let result = self.wait();
        assert_eq!((result.status.as_str(), &result.error), ("FAILED", &json!(error)), "{}", result.cause);
        result.cause
    }

    /// The texts at this pointer in the events of its history.
    fn history(&self, pointer: &str) -> Vec<String> {
        let request = json!({ "executionArn": self.arn, "maxResults": 1000 });
        let history = (self.states)("GetExecutionHistory", &request);
        let events = history["events"].as_array().unwrap().iter();
        let texts = events.filter_map(|event| event.pointer(pointer));
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Names of the states that it entered, in order.
    pub fn entered_states(&self) -> Vec<String> {
        self.history("/stateEnteredEventDetails/name")
    }

    /// Errors of the attempts that failed, in order.
    pub fn task_errors(&self) -> Vec<String> {
        self.history("/taskFailedEventDetails/error")
    }

    /// The execution of `reclaim` that the rule starts after this one failed, and its event.
    pub fn reclaim(&self) -> (Execution, Value) {
        let mut reclaim = None;
        wait_until("the rule starts reclaim", || {
            let request = json!({ "stateMachineArn": output("ReclaimMachineArn") });
            let listed = (self.states)("ListExecutions", &request);
            let arns =
                listed["executions"].as_array().unwrap().iter().map(|execution| &execution["executionArn"]);
            reclaim = arns.map(|arn| Execution { states, arn: arn.as_str().unwrap().to_owned() }).find_map(
                |execution| {
                    let input = execution.describe()["input"].as_str().unwrap().to_owned();
                    let event: Value = serde_json::from_str(&input).unwrap();
                    (event["detail"]["executionArn"] == self.arn.as_str()).then_some((execution, event))
                },
            );
            reclaim.is_some()
        });
        reclaim.unwrap()
    }
}

/// A user with credits that one test uses.
pub struct User(pub &'static str);

impl User {
    pub fn new(name: &'static str) -> User {
        Cloud::deployed().grant(name, GRANTED);
        User(name)
    }

    /// The input of an execution for this user's generation, with further fields.
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

    /// The input of an execution for a message of this user's session.
    pub fn message(&self, key: &str) -> Value {
        let mut input = self.input(&json!({ "idempotency_key": key }));
        input.as_object_mut().unwrap().remove("gen");
        input
    }

    /// Injects errors into the user's next requests of an operation.
    pub fn inject_errors(&self, operation: &'static str, code: &'static str, times: u32) {
        Cloud::deployed().fakes.inject_errors(self.0, operation, code, times);
    }

    /// The charges, oldest first, each with the reason of its void. Asserts that the balance
    /// agrees with them.
    pub fn checked_charges(&self) -> Vec<Option<String>> {
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

    /// Asserts the charges, oldest first: `""` for a live one, else the reason of its void.
    pub fn assert_charges(&self, charges: &[&str]) {
        let expected = charges.iter().map(|reason| Some(*reason).filter(|reason| !reason.is_empty()));
        let expected: Vec<_> = expected.map(|reason| reason.map(str::to_owned)).collect();
        assert_eq!(self.checked_charges(), expected);
    }

    /// Waits until the user's step is invoked.
    pub fn step(&self) -> PendingStep {
        Cloud::deployed().fakes.next_step(&self.generation())
    }
}
