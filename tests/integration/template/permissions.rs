//! What the functions' roles may do is what the functions do.

use super::*;

/// What a role's policies let it do with the table: action and what is behind
/// the table's name.
fn allowed(resources: &Value, name: &str) -> BTreeSet<(String, String)> {
    let mut allowed = BTreeSet::new();
    for statement in statements(&resources[format!("{}Role", logical(name))]["Properties"]) {
        for action in list(&statement["Action"]).into_iter().map(text) {
            assert!(!action.contains('*'), "{action}");
            for resource in list(&statement["Resource"]) {
                assert!(!resource.to_string().contains('*'), "{resource}");
                if let Some(action) = action.strip_prefix("dynamodb:") {
                    let place = text(&resource["!Sub"]).strip_prefix(TABLE).unwrap();
                    allowed.insert((action.to_owned(), place.to_owned()));
                }
            }
        }
    }
    allowed
}

/// What a role may do, whether there are traces or not.
pub(in super::super) fn statements(role: &Value) -> Vec<&Value> {
    assert_eq!(role["ManagedPolicyArns"], Value::Null);
    let of_policies = list(&role["Policies"]).into_iter();
    let all = of_policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
    let always: Vec<_> = all.filter(|statement| statement["!If"][0] != "Traces").collect();
    assert!(always.iter().all(|statement| statement["Effect"] == "Allow"), "{role}");
    always
}

/// The IAM actions that authorize a request. Transactions are no actions of IAM: each of
/// their items is authorized as a call of its own.
fn needed(operation: &str, request: &Value) -> Vec<(String, String)> {
    if ["TransactWriteItems", "TransactGetItems"].contains(&operation) {
        let actions = request["TransactItems"].as_array().unwrap().iter();
        let names = actions.flat_map(|action| action.as_object().unwrap().keys());
        return names.map(|name| (format!("{name}Item"), String::new())).collect();
    }
    let index = request["IndexName"].as_str().map(|index| format!("/index/{index}"));
    vec![(operation.to_owned(), index.unwrap_or_default())]
}

#[test]
fn transaction_is_authorized_by_the_actions_on_its_items() {
    let needed = |operation, request| {
        let needed = needed(operation, &request).into_iter();
        needed.map(|(action, place)| action + &place).collect::<Vec<_>>()
    };
    let transaction = json!({ "TransactItems": [{ "Put": {} }, { "Update": {} }, { "ConditionCheck": {} }] });
    let actions = ["PutItem", "UpdateItem", "ConditionCheckItem"];
    assert_eq!(needed("TransactWriteItems", transaction), actions);
    let transaction = json!({ "TransactItems": [{ "Get": {} }, { "Get": {} }] });
    assert_eq!(needed("TransactGetItems", transaction), ["GetItem", "GetItem"]);
    assert_eq!(needed("Query", json!({ "IndexName": "timeline" })), ["Query/index/timeline"]);
}

/// The functions whose failed asynchronous invocations wait in the failure queue.
const QUEUED: [&str; 3] = ["grant", "decrease", "refund"];

#[test]
fn functions_that_write_send_failed_invocations_to_the_queue_and_no_other_may() {
    let resources = resources();
    let queue = json!({ "!GetAtt": "FailureQueue.Arn" });
    let sends = json!({ "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue });
    for name in FUNCTIONS.map(|function| function.name).into_iter().chain(SCHEDULED) {
        let logical = logical(name);
        let config = &resources[format!("{logical}Function")]["Properties"]["EventInvokeConfig"];
        let role = &resources[format!("{logical}Role")]["Properties"];
        let of_queues = statements(role).into_iter().filter(|statement| {
            list(&statement["Action"]).into_iter().any(|action| text(action).starts_with("sqs:"))
        });
        let of_queues: Vec<_> = of_queues.collect();
        if QUEUED.contains(&name) {
            let destination = json!({ "OnFailure": { "Type": "SQS", "Destination": queue } });
            let expected = json!({ "MaximumRetryAttempts": 2, "DestinationConfig": destination });
            assert_eq!((config, of_queues), (&expected, vec![&sends]), "{name}");
        } else {
            assert_eq!((&config["DestinationConfig"], of_queues), (&Value::Null, vec![]), "{name}");
        }
    }
}

#[tokio::test]
async fn each_function_may_do_with_the_table_what_it_does_and_no_more() {
    let ledger = TestLedger::new().await;
    let charge = |generation: &str, key: Option<&str>| json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1, "generation_uuid": generation, "idempotency_key": key });
    let refund = |user: Option<&str>, generation: &str, key: Option<&str>| json!({ "user_uuid": user, "generation_uuid": generation, "idempotency_key": key, "reason": "r" });
    let failed = |user: Option<&str>, generation: &str| json!({ "user_uuid": user, "generation_uuid": generation, "status": "failed" });
    let revoke = |order_no: &str| json!({ "operation": "revoke", "order_no": order_no, "source": "refund", "credits": 1, "as_of": "2026-01-01T00:00:00Z", "reason": "r" });
    let calls = [
        (GRANT, json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 10 })),
        (GRANT, json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 10 })),
        (GRANT, json!({ "user_uuid": "u", "trans_type": "order_pay", "credits": 10, "order_no": "o" })),
        (GRANT, revoke("o")),
        (GRANT, revoke("unknown")),
        (DECREASE, charge("g1", None)),
        (DECREASE, charge("g1", None)),
        // Fences, before and after a charge with a key; then voids.
        (REFUND, refund(Some("u"), "f1", None)),
        (DECREASE, charge("g2", Some("k"))),
        (REFUND, refund(Some("u"), "f2", None)),
        (REFUND, refund(Some("u"), "f3", Some("k"))),
        (REFUND, refund(None, "g1", None)),
        (REFUND, refund(Some("u"), "g2", Some("k"))),
        (WEBHOOK, failed(Some("u"), "f4")),
        (DECREASE, charge("g3", Some("k"))),
        (WEBHOOK, failed(Some("u"), "f5")),
        (WEBHOOK, failed(None, "g3")),
        (BALANCE, json!({ "user_uuid": "u" })),
        (HISTORY, json!({ "operation": "timeline", "user_uuid": "u" })),
        (HISTORY, json!({ "operation": "summary", "user_uuid": "u" })),
        (HISTORY, json!({ "operation": "summary", "user_uuid": "u", "from": "2020-01-01T00:00:00Z" })),
        (HISTORY, json!({ "operation": "generation", "generation_uuid": "g1" })),
    ];
    let mut done = FUNCTIONS.map(|function| (function.name, BTreeSet::new()));
    for (function, payload) in calls {
        ledger.http_client.take_requests();
        ledger.invoke(function, payload).await.unwrap();
        let (_, done) = done.iter_mut().find(|(name, _)| *name == function.name).unwrap();
        let needed = |sent: &RecordedRequest| needed(&sent.operation, &sent.request);
        done.extend(ledger.http_client.take_requests().iter().flat_map(needed));
    }
    ledger.http_client.take_requests();
    for event in [
        payments::checkout("u"),
        payments::checkout("u"),
        payments::refund("pi_1", 5),
        payments::refund("pi_2", 5),
        payments::invoice_payment("pi_1", "pi_2"),
    ] {
        assert_eq!(ledger.stripe_event(&event).await.status, 200);
    }
    let (_, paid) = done.iter_mut().find(|(name, _)| *name == "payments").unwrap();
    paid.extend(
        ledger.http_client.take_requests().iter().flat_map(|sent| needed(&sent.operation, &sent.request)),
    );
    let resources = resources();
    assert_eq!(FUNCTIONS.map(|function| (function.name, allowed(&resources, function.name))), done);
    for (_, permission) in of_type(&resources, "AWS::Lambda::Permission") {
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
    }
}

#[test]
fn sweep_voids_held_charges_each_minute() {
    let resources = resources();
    let allows = [("GetItem", ""), ("UpdateItem", ""), ("Query", "/index/holds")];
    let allows = allows.map(|(action, place)| (action.to_owned(), place.to_owned()));
    assert_eq!(allowed(&resources, "sweep"), allows.into());
    let schedule = &resources["SweepSchedule"]["Properties"];
    assert_eq!(schedule["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(schedule["Target"]["Arn"], json!({ "!Ref": "SweepFunction.Alias" }));
    assert_eq!(resources["SweepFunction"]["Properties"]["Timeout"], 55, "it ends before the next one");
}

#[test]
fn audit_reads_the_table_by_the_clock_and_writes_nothing() {
    let document = document();
    let resources = &document["Resources"];
    let reads = [
        ("GetItem", ""),
        ("Query", ""),
        ("Query", "/index/generation_uuid"),
        ("Query", "/index/timeline"),
        ("Scan", ""),
    ];
    assert_eq!(
        allowed(resources, "audit"),
        reads.map(|(action, place)| (action.to_owned(), place.to_owned())).into()
    );
    let schedule = &resources["AuditSchedule"]["Properties"];
    assert_eq!(schedule["ScheduleExpression"], json!({ "!Sub": "rate(${AuditEvery} minutes)" }));
    assert_eq!(schedule["Target"]["Arn"], json!({ "!Ref": "AuditFunction.Alias" }));
    assert_eq!(schedule["Target"]["Input"], r#"{"time": "<aws.scheduler.scheduled-time>"}"#);
    let retries = json!({ "MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600 });
    assert_eq!(schedule["Target"]["RetryPolicy"], retries);
    let interval =
        &resources["AuditFunction"]["Properties"]["Environment"]["Variables"]["SCRIP_AUDIT_EVERY_MINUTES"];
    assert_eq!(*interval, json!({ "!Ref": "AuditEvery" }));
    let minutes = list(&document["Parameters"]["AuditEvery"]["AllowedValues"]).into_iter().map(text);
    for minutes in minutes {
        let seconds = document["Mappings"]["AuditEvery"][minutes]["Seconds"].as_u64().unwrap();
        assert_eq!(seconds, 60 * minutes.parse::<u64>().unwrap());
    }
}

#[test]
fn roles_may_send_traces_if_tracing_is_active() {
    let document = document();
    let resources = &document["Resources"];
    assert_eq!(document["Globals"]["Function"]["Tracing"], json!({ "!Ref": "Tracing" }));
    for (kind, actions) in
        [("AWS::Serverless::Function", &TRACES[..2]), ("AWS::Serverless::StateMachine", &TRACES)]
    {
        // X-Ray permissions have no resources.
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
        let expected = json!({ "!If": ["Traces", statement, { "!Ref": "AWS::NoValue" }] });
        for (name, properties) in of_type(resources, kind) {
            let role = text(&properties["Role"]["!GetAtt"]).trim_end_matches(".Arn");
            let policies = list(&resources[role]["Properties"]["Policies"]).into_iter();
            let mut all = policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
            assert!(all.any(|statement| *statement == expected), "{name}");
            let enabled = json!({ "Enabled": { "!If": ["Traces", true, false] } });
            assert!(kind.ends_with("Function") || properties["Tracing"] == enabled, "{name}");
        }
    }
}
