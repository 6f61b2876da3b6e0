//! What the state machines say, what `template.yaml` gives them, and what the
//! functions answer belong together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use lambda_runtime::Diagnostic;
use scrip::{
    domain::{Credits, LedgerError, LedgerLimit},
    transport::{Failure, RequestError},
};
use serde_json::{Value, json};

use crate::template::{list, resources, statements, text};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The machines that charge.
const CHARGING: [&str; 3] = ["generation", "video", "chat"];
/// All machines.
const ALL: [&str; 4] = ["generation", "video", "chat", "reclaim"];

/// How the machines that charge end after a refund, done or kept.
const REFUNDED: [&str; 2] = ["GenerationFailed", "RefundWaits"];

fn file(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

fn definition(machine: &str) -> Value {
    serde_json::from_str(&file(&format!("infra/state-machines/{machine}.asl.json"))).unwrap()
}

fn states(definition: &Value) -> &serde_json::Map<String, Value> {
    definition["States"].as_object().unwrap()
}

/// A machine's properties in the template, and its role's.
fn deployed(resources: &Value, machine: &str) -> (Value, Value) {
    let (first, rest) = machine.split_at(1);
    let name = format!("{}{rest}Machine", first.to_uppercase());
    let properties = resources[&name]["Properties"].clone();
    assert_eq!(resources[&name]["Type"], "AWS::Serverless::StateMachine");
    assert_eq!(properties["Role"], json!({ "!GetAtt": format!("{name}Role.Arn") }));
    (properties, resources[format!("{name}Role")]["Properties"].clone())
}

/// Every value below this one under that name.
fn all<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(field, value)| if field == name { vec![value] } else { all(value, name) })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| all(item, name)).collect(),
        _ => Vec::new(),
    }
}

/// The names that are put in where a text has `${name}`.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
}

/// The code of an error of a direct invocation.
fn code(error: impl Into<RequestError>) -> String {
    Diagnostic::from(Failure(error.into())).error_type
}

/// Refusals of a charge: whatever came before, this call charged nothing.
fn refusals() -> BTreeSet<String> {
    let none = Credits::requested(1).unwrap();
    [
        code(RequestError::Invalid(String::new())),
        code(RequestError::PayloadTooLarge(0)),
        code(LedgerError::InsufficientCredits { balance: none, required: none, debt: none }),
        code(LedgerError::IdempotencyConflict("")),
        code(LedgerError::GenerationVoided),
        code(LedgerError::LimitExceeded(LedgerLimit::Total)),
    ]
    .into()
}

/// What was not done for certain, and may be tried again.
fn unsent() -> BTreeSet<String> {
    [code(LedgerError::Busy), "Lambda.TooManyRequestsException".to_owned()].into()
}

/// The errors of a Retry or a Catch.
fn errors(rule: &Value) -> BTreeSet<String> {
    rule["ErrorEquals"].as_array().unwrap().iter().map(|error| text(error).to_owned()).collect()
}

fn next_states(state: &Value) -> BTreeSet<&str> {
    all(state, "Next").into_iter().chain(state.get("Default")).map(text).collect()
}

#[test]
fn every_state_is_reached_and_every_way_ends() {
    for machine in ALL {
        let definition = definition(machine);
        let states = states(&definition);
        let mut reached = BTreeSet::new();
        let mut left = vec![text(&definition["StartAt"])];
        while let Some(name) = left.pop() {
            if reached.insert(name) {
                left.extend(next_states(&states[name]));
            }
        }
        assert_eq!(reached, states.keys().map(String::as_str).collect(), "{machine}");
        for (name, state) in states {
            let kind = text(&state["Type"]);
            let ends = state["End"] == true || ["Fail", "Succeed"].contains(&kind);
            let goes_on = !state["Next"].is_null() || kind == "Choice";
            assert!(ends ^ goes_on, "{machine}: {name}");
            assert!(kind != "Choice" || !state["Default"].is_null(), "{machine}: {name}");
        }
    }
}

#[test]
fn each_error_that_a_machine_names_is_one_that_comes() {
    for machine in ALL {
        let definition = definition(machine);
        for (name, state) in states(&definition) {
            for rule in all(state, "ErrorEquals") {
                for error in list(rule).into_iter().map(text) {
                    let known = refusals().contains(error) || unsent().contains(error);
                    let of_states = ["States.ALL", "States.DataLimitExceeded"].contains(&error);
                    assert!(known || of_states, "{machine}: {name}: {error}");
                    assert!(error != "States.ALL" || list(rule).len() == 1, "{machine}: {name}");
                }
            }
            for rules in ["Retry", "Catch"].into_iter().filter_map(|rules| state[rules].as_array()) {
                let last = rules.iter().position(|rule| errors(rule).contains("States.ALL"));
                assert!(last.is_none_or(|at| at + 1 == rules.len()), "{machine}: {name}");
            }
        }
    }
}

#[test]
fn every_task_ends_and_is_tried_again_with_jitter() {
    for machine in ALL {
        let definition = definition(machine);
        for (name, task) in states(&definition).iter().filter(|(_, state)| state["Type"] == "Task") {
            let timeout = ["TimeoutSeconds", "TimeoutSecondsPath"].map(|field| !task[field].is_null());
            assert!(timeout[0] ^ timeout[1], "{machine}: {name}");
            let retries = task["Retry"].as_array().unwrap().iter();
            for retry in retries.filter(|retry| retry["MaxAttempts"] != 0) {
                assert_eq!(
                    (&retry["JitterStrategy"], &retry["BackoffRate"]),
                    (&json!("FULL"), &json!(2)),
                    "{name}"
                );
                assert!(retry["MaxDelaySeconds"].is_u64(), "{machine}: {name}");
            }
        }
    }
}

#[test]
fn charge_is_refunded_where_it_may_have_been_done_and_only_there() {
    for machine in CHARGING {
        let definition = definition(machine);
        let states = states(&definition);
        let caught = |state: &str| -> BTreeMap<String, BTreeSet<String>> {
            let catches = states[state]["Catch"].as_array().unwrap().iter();
            catches.map(|rule| (text(&rule["Next"]).to_owned(), errors(rule))).collect()
        };
        let everything = BTreeSet::from(["States.ALL".to_owned()]);
        // The first attempt: nothing is tried again in place but what was not done.
        assert_eq!(list(&states["Charge"]["Retry"]).into_iter().map(errors).collect::<Vec<_>>(), [unsent()]);
        let nothing_done = refusals().union(&unsent()).cloned().collect();
        let expected = [("Refused", nothing_done), ("ChargeAgain", everything.clone())];
        assert_eq!(caught("Charge"), expected.map(|(to, errors)| (to.to_owned(), errors)).into());
        // The second one, of the same charge: the first may have been done, but not
        // where the request is out of form, or the identity is somebody else's or void.
        assert_eq!(states["Charge"]["Parameters"], states["ChargeAgain"]["Parameters"]);
        let nothing_to_refund = [
            code(RequestError::Invalid(String::new())),
            code(RequestError::PayloadTooLarge(0)),
            code(LedgerError::IdempotencyConflict("")),
            code(LedgerError::GenerationVoided),
        ];
        let expected = [("Refused", nothing_to_refund.into()), ("Refund", everything.clone())];
        assert_eq!(caught("ChargeAgain"), expected.map(|(to, errors)| (to.to_owned(), errors)).into());
        // Whatever comes between the charge and the end leads to the refund.
        assert_eq!(states["Charge"]["Next"], states["ChargeAgain"]["Next"]);
        let next = text(&states["Charge"]["Next"]);
        let is_choice = states[next]["Type"] == "Choice";
        for work in if is_choice { next_states(&states[next]) } else { [next].into() } {
            assert!(states[work]["End"] == true || states[work]["Next"] == "Cost", "{machine}: {work}");
            assert_eq!(caught(work), [("Refund".to_owned(), everything.clone())].into());
        }
        // A path to what is not in the input fails: each has a default.
        let paths = all(&definition["States"], "Parameters").into_iter().flat_map(|parameters| {
            let fields = parameters.as_object().unwrap().values().filter_map(Value::as_str);
            fields.filter_map(|path| path.strip_prefix("$.")?.split('.').next())
        });
        let defaults = states["Defaults"]["Parameters"]["defaults"].as_object().unwrap();
        let defaults: BTreeSet<_> = defaults.keys().map(|field| field.trim_end_matches(".$")).collect();
        assert!(paths.clone().count() > 8);
        for path in paths {
            assert!(defaults.contains(path), "{machine}: {path}");
        }
    }
}

#[test]
fn every_refund_has_the_identity_of_its_charge_and_is_kept_where_it_fails() {
    for machine in ALL {
        let definition = definition(machine);
        let states = states(&definition);
        let refund = &states["Refund"];
        let fields = refund["Parameters"].as_object().unwrap();
        for field in ["user_uuid", "generation_uuid", "idempotency_key"] {
            assert_eq!(fields[&format!("{field}.$")], format!("$.{field}"), "{machine}");
        }
        assert_eq!((fields.len(), refund["Resource"].as_str()), (4, Some("${RefundArn}")), "{machine}");
        let kept =
            json!([{ "ErrorEquals": ["States.ALL"], "ResultPath": "$.refund_error", "Next": "KeepRefund" }]);
        assert_eq!(refund["Catch"], kept, "{machine}");
        let message = &states["KeepRefund"]["Parameters"]["MessageBody"];
        assert_eq!(message["requestPayload"], refund["Parameters"], "{machine}");
        assert_eq!(states["KeepRefund"]["Next"], "RefundWaits");
    }
}

#[test]
fn held_charge_and_reported_cost_are_settled_and_never_refunded() {
    for machine in ["generation", "chat"] {
        let definition = definition(machine);
        let states = states(&definition);
        let charge = &states["Charge"]["Parameters"];
        assert_eq!(charge["hold_seconds.$"], "$.hold_seconds", "{machine}");
        let cost = json!([
            { "Variable": "$.result.credits_used", "IsPresent": true, "Next": "Used" },
            { "Variable": "$.hold_seconds", "IsNull": false, "Next": "Settle" },
        ]);
        assert_eq!((&states["Cost"]["Choices"], &states["Cost"]["Default"]), (&cost, &json!("Done")));
        let used = &states["Used"];
        assert_eq!((&used["InputPath"], &used["ResultPath"]), (&cost[0]["Variable"], &json!("$.credits")));
        let settle = &states["Settle"];
        for field in ["user_uuid", "generation_uuid", "idempotency_key", "credits"] {
            assert_eq!(settle["Parameters"][&format!("{field}.$")], format!("$.{field}"), "{machine}");
        }
        assert_eq!(settle["Parameters"]["operation"], "settle");
        let refused = list(&settle["Retry"]).into_iter().map(errors).next();
        assert_eq!(refused, Some(refusals()), "{machine}");
        let message = &states["KeepSettle"]["Parameters"]["MessageBody"];
        assert_eq!(message["requestPayload"], settle["Parameters"], "{machine}");
        assert_eq!(message["requestContext"]["functionArn"], settle["Resource"], "{machine}");
        for (state, next) in [("Settle", ["KeepSettle", "Done"]), ("KeepSettle", ["Done"; 2])] {
            assert_eq!(next_states(&states[state]), next.into(), "{machine}: {state}");
        }
        let done = &states["Done"];
        assert_eq!((&done["InputPath"], &done["End"]), (&json!("$.result"), &json!(true)));
    }
}

/// The hold ends after the machine has refunded at the time limit.
#[test]
fn video_is_held_longer_than_its_time_limit() {
    let definition = definition("video");
    let states = states(&definition);
    let held = &states["Held"]["Choices"][0];
    let longest = held["NumericLessThanEquals"].as_u64().unwrap();
    assert_eq!((&held["Variable"], longest + 600), (&json!("$.timeout_seconds"), 604_800));
    let hold = json!({ "seconds.$": "States.MathAdd($.timeout_seconds, 600)" });
    assert_eq!((&states["Hold"]["Parameters"], &states["Hold"]["ResultPath"]), (&hold, &json!("$.hold")));
    assert_eq!(states["Charge"]["Parameters"]["hold_seconds.$"], "$.hold.seconds");
}

#[test]
fn reclaim_passes_by_exactly_where_nothing_was_charged() {
    let nothing_done: BTreeSet<_> = refusals().union(&unsent()).cloned().collect();
    let reclaim = definition("reclaim");
    let first = &reclaim["States"]["Ended"]["Choices"][0];
    let conditions = list(&first["And"]);
    assert_eq!(conditions[0], &json!({ "Variable": "$.detail.status", "StringEquals": "FAILED" }));
    let passed = all(conditions[2], "StringEquals").into_iter().map(|error| text(error).to_owned());
    assert_eq!(passed.collect::<BTreeSet<_>>(), nothing_done);
    assert_eq!(first["Next"], "Settled");
    for machine in CHARGING {
        let definition = definition(machine);
        let said = states(&definition).values().filter(|state| state["Type"] == "Fail");
        let said: BTreeSet<_> = said.filter_map(|state| state["Error"].as_str()).collect();
        let input = code(RequestError::Invalid(String::new()));
        assert_eq!(said, REFUNDED.into_iter().chain([input.as_str()]).collect(), "{machine}");
    }
}

/// Errors that Step Functions reports for a task of Lambda after which a retry may succeed, as
/// "Handling errors in Step Functions workflows" of its Developer Guide names them.
const OF_AWS: [&str; 10] = [
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "States.HeartbeatTimeout",
    "States.TaskFailed",
    "States.Timeout",
];

/// How often these rules retry after an error.
fn attempts(rules: &Value, error: &str) -> u64 {
    let matches = |rule: &&Value| errors(rule).iter().any(|name| name == error || name == "States.ALL");
    let rule = rules.as_array().unwrap().iter().find(matches);
    rule.map_or(0, |rule| rule["MaxAttempts"].as_u64().unwrap())
}

#[test]
fn requests_with_an_identity_are_retried_after_every_error_that_may_pass() {
    let document = file("docs/retries.md");
    let (_, rest) = document.split_once("```json\n{\"Retry\"").unwrap();
    let (documented, _) = rest.split_once("```").unwrap();
    let documented: Value = serde_json::from_str(&format!("{{\"Retry\"{documented}")).unwrap();
    let of_machines = CHARGING.into_iter().flat_map(|machine| {
        let definition = definition(machine);
        let retried = ["ChargeAgain", "Refund", "Settle"].into_iter();
        retried.filter_map(|state| Some(states(&definition).get(state)?["Retry"].clone())).collect::<Vec<_>>()
    });
    let passing = [
        code(LedgerError::Busy),
        code(LedgerError::StoreUnavailable),
        code(LedgerError::Internal(String::new())),
    ];
    for rules in of_machines.chain([documented["Retry"].clone()]) {
        for error in OF_AWS.into_iter().chain(passing.iter().map(String::as_str)) {
            assert!(attempts(&rules, error) > 0, "{error}: {rules}");
        }
    }
    for error in refusals() {
        assert_eq!(attempts(&documented["Retry"], &error), 0, "{error}");
    }
}

/// What a role's policies allow: an action and on what, as the template says it.
fn allowed(role: &Value) -> BTreeSet<(String, String)> {
    statements(role)
        .into_iter()
        .flat_map(|statement| {
            let on = list(&statement["Resource"]);
            list(&statement["Action"])
                .into_iter()
                .flat_map(move |action| on.clone().into_iter().map(move |on| (action, on)))
        })
        .map(|(action, on)| (text(action).to_owned(), on.to_string()))
        .inspect(|(action, on)| {
            assert!(!action.contains('*') && !on.contains('*') || is_any_execution(on), "{on}")
        })
        .collect()
}

/// Whether it is all executions of one machine.
fn is_any_execution(on: &str) -> bool {
    on.contains(":execution:${AWS::StackName}-") && on.matches('*').count() == 1 && on.ends_with(":*\"}")
}

/// What a Task needs to be allowed, where this is put in for the placeholders.
fn needed(task: &Value, substitutions: &Value) -> Vec<(String, String)> {
    let of = |name: &Value| {
        let name = text(name).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        substitutions[name.expect("a placeholder")].to_string()
    };
    match text(&task["Resource"]).strip_prefix("arn:${Partition}:states:::") {
        Some("sqs:sendMessage") => {
            assert_eq!(of(&task["Parameters"]["QueueUrl"]), json!({ "!Ref": "FailureQueue" }).to_string());
            vec![("sqs:SendMessage".to_owned(), json!({ "!GetAtt": "FailureQueue.Arn" }).to_string())]
        }
        Some("lambda:invoke.waitForTaskToken") => {
            vec![("lambda:InvokeFunction".to_owned(), of(&task["Parameters"]["FunctionName"]))]
        }
        Some("aws-sdk:sfn:describeExecution") => {
            let account = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}";
            let of = |machine| format!("{account}:execution:${{AWS::StackName}}-{machine}:*");
            let on = |machine| json!({ "!Sub": of(machine) }).to_string();
            CHARGING.map(|machine| ("states:DescribeExecution".to_owned(), on(machine))).into()
        }
        Some(other) => panic!("this test does not support {other}"),
        None => vec![("lambda:InvokeFunction".to_owned(), of(&task["Resource"]))],
    }
}

#[test]
fn each_machine_gets_what_it_names_and_may_do_what_its_tasks_do_and_no_more() {
    let resources = resources();
    for machine in ALL {
        let (properties, role) = deployed(&resources, machine);
        let path = format!("infra/state-machines/{machine}.asl.json");
        assert_eq!((&properties["DefinitionUri"], &properties["Type"]), (&json!(path), &json!("STANDARD")));
        assert_eq!(properties["Name"]["!Sub"], format!("${{AWS::StackName}}-{machine}"));
        let substitutions = &properties["DefinitionSubstitutions"];
        let given: BTreeSet<_> = substitutions.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(placeholders(&file(&path)), given, "{machine}");
        for function in
            ["Decrease", "Refund"].into_iter().filter(|name| given.contains(&*format!("{name}Arn")))
        {
            let alias = json!({ "!Ref": format!("{function}Function.Alias") });
            assert_eq!(substitutions[format!("{function}Arn")], alias);
        }
        let definition = definition(machine);
        let tasks = states(&definition).values().filter(|state| state["Type"] == "Task");
        assert_eq!(allowed(&role), tasks.flat_map(|task| needed(task, substitutions)).collect(), "{machine}");
    }
}

#[test]
fn rule_hands_every_machine_that_charges_to_reclaim_and_loses_no_event() {
    let resources = resources();
    let rule = &resources["ReclaimRule"]["Properties"];
    let pattern = &rule["EventPattern"];
    assert_eq!(pattern["source"], json!(["aws.states"]));
    assert_eq!(pattern["detail-type"], json!(["Step Functions Execution Status Change"]));
    assert_eq!(pattern["detail"]["status"], json!(["FAILED", "TIMED_OUT", "ABORTED"]));
    let arn = |machine: &str| {
        let account = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}";
        json!({ "!Sub": format!("{account}:stateMachine:${{AWS::StackName}}-{machine}") })
    };
    assert_eq!(pattern["detail"]["stateMachineArn"], json!(CHARGING.map(arn)));
    let (reclaim, _) = deployed(&resources, "reclaim");
    assert_eq!(reclaim["DefinitionSubstitutions"]["ChatArn"], arn("chat"));

    let target = &list(&rule["Targets"])[..];
    let [target] = target else { panic!("one target: {target:?}") };
    assert_eq!(target["Arn"], json!({ "!Ref": "ReclaimMachine" }));
    assert_eq!(target["RoleArn"], json!({ "!GetAtt": "ReclaimRuleRole.Arn" }));
    let starts = ("states:StartExecution".to_owned(), target["Arn"].to_string());
    assert_eq!(allowed(&resources["ReclaimRuleRole"]["Properties"]), [starts].into());
    let queue = json!({ "!GetAtt": "FailureQueue.Arn" });
    assert_eq!(target["DeadLetterConfig"]["Arn"], queue);
    assert_eq!(
        list(&resources["FailureQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]),
        [&json!({
            "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": { "ArnEquals": { "aws:SourceArn": { "!GetAtt": "ReclaimRule.Arn" } } },
        })]
    );
}
