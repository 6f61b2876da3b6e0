//! The alarms of `template.yaml` fire at the intended values. Alarms and dashboard read metrics
//! that the functions emit.

mod math;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use scrip::{
    callback::Callbacks,
    transport::{
        Audit,
        functions::{DECREASE, GRANT, HISTORY},
    },
};
use scrip_tests::{Fault, FaultInjectingClient, TestLedger, WEBHOOK_SECRET, callbacks_signed_with};
use serde_json::{Value, json};

use crate::{
    payments,
    template::{document, list, of_type, resources, text},
    webhook,
};

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Well,
    Alarm,
    /// As before.
    Kept,
}

use State::{Alarm, Kept, Well};

/// What was measured, by the id of the metric: for each period all values, the latest
/// period last.
type Series<'a> = &'a [(&'a str, &'a [&'a [f64]])];

/// No value in a period.
const NONE: &[f64] = &[];

/// Latencies of a hundred queries: `slow` of them take this many seconds.
fn queries(slow: usize, seconds: f64) -> [f64; 100] {
    let mut all = [0.001; 100];
    all[100 - slow..].fill(seconds);
    all
}

#[test]
fn each_alarm_goes_off_beyond_its_limit_and_not_before() {
    let (some_slow, many_slow) = (&queries(5, 0.9)[..], &queries(6, 0.501)[..]);
    let cases: &[(&str, Series, State)] = &[
        ("ServerErrors", &[("5xx", &[&[1.0, 0.0, 0.0]])], Alarm),
        ("ServerErrors", &[("5xx", &[NONE])], Well),
        ("GrantErrors", &[("Errors", &[&[1.0, 0.0, 0.0]])], Alarm),
        ("GrantErrors", &[("Errors", &[&[0.0, 0.0, 0.0]])], Well),
        ("FailuresWait", &[("ApproximateNumberOfMessagesVisible", &[&[1.0]])], Alarm),
        ("FailuresWait", &[("ApproximateNumberOfMessagesVisible", &[&[0.0]])], Well),
        ("ReclaimFails", &[("ExecutionsFailed", &[&[1.0]])], Alarm),
        ("ReclaimFails", &[("ExecutionsFailed", &[NONE])], Well),
        // One of a hundred is no more than one in a hundred.
        ("RefundsFail", &[("refund_failures", &[&[1.0]]), ("refund_requests", &[&[100.0]])], Well),
        ("RefundsFail", &[("refund_failures", &[&[1.0]]), ("refund_requests", &[&[99.0]])], Alarm),
        ("RefundsFail", &[("webhook_failures", &[&[1.0]]), ("webhook_requests", &[&[1.0]])], Alarm),
        (
            "RefundsFail",
            &[
                ("refund_failures", &[&[2.0]]),
                ("refund_requests", &[&[100.0]]),
                ("webhook_requests", &[&[100.0]]),
            ],
            Well,
        ),
        ("RefundsFail", &[], Well),
        ("FunctionsDead", &[("refund_invoked", &[&[1.0], &[1.0]])], Alarm),
        ("FunctionsDead", &[("refund_invoked", &[NONE, &[1.0]])], Well),
        ("FunctionsDead", &[("grant_invoked", &[&[3.0], &[1.0]]), ("grant_requests", &[&[1.0], NONE])], Well),
        (
            "FunctionsDead",
            &[("grant_invoked", &[&[3.0], &[1.0]]), ("refund_requests", &[&[1.0], &[1.0]])],
            Alarm,
        ),
        (
            "FunctionsDead",
            &[("decrease_invoked", &[&[3.0], &[1.0]]), ("none_requests", &[&[1.0], &[1.0]])],
            Well,
        ),
        ("FunctionsDead", &[], Well),
        ("ReceiversDead", &[("payments_invoked", &[&[1.0], &[1.0]])], Alarm),
        (
            "ReceiversDead",
            &[("webhook_invoked", &[&[3.0], &[1.0]]), ("payments_requests", &[&[1.0], &[1.0]])],
            Alarm,
        ),
        (
            "ReceiversDead",
            &[("payments_invoked", &[&[3.0], &[1.0]]), ("payments_requests", &[&[1.0], NONE])],
            Well,
        ),
        (
            "ReceiversDead",
            &[("webhook_invoked", &[&[3.0], &[1.0]]), ("none_requests", &[&[1.0], &[1.0]])],
            Well,
        ),
        ("QueriesSlow", &[("query_latency", &[many_slow, NONE, many_slow])], Alarm),
        ("QueriesSlow", &[("query_latency", &[many_slow, some_slow, some_slow])], Well),
        ("QueriesSlow", &[("query_latency", &[&[0.5], &[0.5], &[0.5]])], Well),
        ("QueriesSlow", &[("query_latency", &[NONE, NONE, &[0.9]])], Well),
        ("AnomaliesPile", &[("charges", &[&[6.0]]), ("successes", &[&[5.0]])], Alarm),
        ("AnomaliesPile", &[("charges", &[&[6.0]]), ("successes", &[&[4.0]])], Well),
        ("AnomaliesPile", &[("charges", &[&[5.0]]), ("grants", &[&[4.0]]), ("successes", &[&[2.0]])], Alarm),
        ("AnomaliesPile", &[("charges", &[&[11.0]])], Alarm),
        ("AnomaliesPile", &[], Well),
        ("LateSuccessesAlarm", &[("anomalies", &[&[1.0]])], Alarm),
        ("LateSuccessesAlarm", &[("anomalies", &[NONE])], Well),
        ("BooksDrift", &[("drifted_users", &[&[0.0, 1.0]])], Alarm),
        ("BooksDrift", &[("drifted_users", &[&[0.0]])], Well),
        ("BooksDrift", &[("drifted_users", &[NONE])], Kept),
        ("AuditUnfinished", &[("audit_unfinished", &[&[1.0]])], Alarm),
        ("AuditUnfinished", &[("audit_unfinished", &[&[0.0]])], Well),
        ("AuditUnfinished", &[("audit_unfinished", &[NONE])], Kept),
        // It is the number of audits that counts, not what they found.
        ("AuditDead", &[("audits", &[NONE, NONE])], Alarm),
        ("AuditDead", &[("audits", &[&[0.0], NONE])], Well),
        ("AuditDead", &[("audits", &[NONE, &[7.0]])], Well),
        ("SweepDead", &[("sweeps", &[NONE])], Alarm),
        ("SweepDead", &[("sweeps", &[&[0.0]])], Well),
        ("HoldsFail", &[("holds_failed", &[&[1.0], NONE, &[2.0], &[0.0], &[1.0]])], Alarm),
        ("HoldsFail", &[("holds_failed", &[&[1.0], &[0.0], &[0.0], &[0.0], &[1.0]])], Well),
        ("HoldsFail", &[("holds_failed", &[NONE])], Well),
        (
            "TableThrottles",
            &[("table_writes", &[&[1.0], NONE, NONE]), ("timeline_writes", &[NONE, NONE, &[1.0]])],
            Alarm,
        ),
        ("TableThrottles", &[("table_reads", &[NONE, &[900.0], NONE])], Well),
        ("TableThrottles", &[], Well),
        ("CallersRefused", &[("RefusedCallers", &[&[1.0; 101]])], Alarm),
        ("CallersRefused", &[("RefusedCallers", &[&[1.0; 100]])], Well),
        ("CallersRefused", &[("RefusedCallers", &[NONE])], Well),
        ("SignaturesFail", &[("errors", &[&[1.0, 1.0, 1.0]])], Alarm),
        ("SignaturesFail", &[("errors", &[&[1.0, 1.0]])], Well),
        ("SignaturesFail", &[("errors", &[NONE])], Well),
        ("PaymentSignaturesFail", &[("errors", &[&[1.0, 1.0, 1.0]])], Alarm),
        ("PaymentSignaturesFail", &[("errors", &[&[1.0, 1.0]])], Well),
        ("PaymentsUnusable", &[("anomalies", &[&[1.0]])], Alarm),
        ("PaymentsUnusable", &[("anomalies", &[NONE])], Well),
        ("AuditFinds", &[("AuditFinds", &[&[1.0]])], Alarm),
        ("AuditFinds", &[("AuditFinds", &[NONE])], Well),
    ];
    let document = document();
    for (name, properties) in alarms(&document["Resources"]) {
        let alarm = plain(&document, properties);
        let alike = if is_of_a_deployment(&document["Resources"], name) { "GrantErrors" } else { name };
        let cases: Vec<_> = cases.iter().filter(|(of, ..)| *of == alike).collect();
        for (_, series, expected) in &cases {
            assert_eq!(state(&alarm, series), *expected, "{name}: {series:?}");
        }
        let tried = |on: bool| cases.iter().any(|(.., state)| (*state == Alarm) == on);
        assert!(tried(true) && tried(false), "{name}");
    }
}

/// Whether it is there to stop the deployment of one function.
fn is_of_a_deployment(resources: &Value, alarm: &str) -> bool {
    alarm.strip_suffix("Errors").is_some_and(|function| resources[format!("{function}Function")].is_object())
}

/// The alarms of the template.
fn alarms(resources: &Value) -> Vec<(&str, &Value)> {
    of_type(resources, "AWS::CloudWatch::Alarm")
}

/// A value as it is where parameters have their defaults. What a `!Ref` to anything else
/// gives is its name.
fn plain(document: &Value, value: &Value) -> Value {
    let of_map = |map: &str, key: &Value, field: &str| {
        document["Mappings"][map][text(&plain(document, key))][field].clone()
    };
    match value {
        Value::Array(items) => items.iter().map(|item| plain(document, item)).collect(),
        Value::Object(fields) if fields.contains_key("!FindInMap") => {
            let path = &fields["!FindInMap"];
            of_map(text(&path[0]), &path[1], text(&path[2]))
        }
        Value::Object(fields) if fields.contains_key("!Ref") => {
            document["Parameters"][text(&fields["!Ref"])].get("Default").unwrap_or(&fields["!Ref"]).clone()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), plain(document, value))).collect()
        }
        plain => plain.clone(),
    }
}

/// The state of an alarm after these measurements ("Alarm evaluation" in the User Guide of
/// CloudWatch), in the periods that it evaluates. Where data are missing, CloudWatch looks
/// at some older periods besides, and may change its mind later; that is left out.
fn state(alarm: &Value, series: Series) -> State {
    let periods = usize::try_from(alarm["EvaluationPeriods"].as_u64().unwrap()).unwrap();
    let points: Vec<_> = (0..periods).map(|ago| point(alarm, series, periods - ago)).collect();
    let missing = text(&alarm["TreatMissingData"]);
    if missing == "ignore" && points.iter().all(Option::is_none) {
        return Kept;
    }
    let limit = alarm["Threshold"].as_f64().unwrap();
    let breaks = |value: f64| match text(&alarm["ComparisonOperator"]) {
        "GreaterThanThreshold" => value > limit,
        "LessThanThreshold" => value < limit,
        other => panic!("{other}"),
    };
    let breaching = points.iter().filter(|point| point.map_or(missing == "breaching", breaks)).count();
    let enough =
        alarm["DatapointsToAlarm"].as_u64().map_or(periods, |points| usize::try_from(points).unwrap());
    if breaching >= enough { Alarm } else { Well }
}

/// What the alarm looks at in the period that is so many from the end.
fn point(alarm: &Value, series: Series, back: usize) -> Option<f64> {
    let measured = |id: &str, statistic: &str| {
        let (_, periods) = series.iter().find(|(of, _)| *of == id)?;
        let values = periods[periods.len().checked_sub(back)?];
        (!values.is_empty()).then(|| aggregate(values, statistic))
    };
    let Some(queries) = alarm["Metrics"].as_array() else {
        let statistic = alarm.get("ExtendedStatistic").unwrap_or_else(|| &alarm["Statistic"]);
        return measured(text(&alarm["MetricName"]), text(statistic));
    };
    let [returned] = queries.iter().filter(|query| query["ReturnData"] == true).collect::<Vec<_>>()[..]
    else {
        panic!("one is what the alarm looks at: {alarm}");
    };
    value_of(queries, text(&returned["Id"]), &measured)
}

/// The value of a metric, or of an expression.
fn value_of(queries: &[Value], id: &str, measured: &dyn Fn(&str, &str) -> Option<f64>) -> Option<f64> {
    let query = queries.iter().find(|query| query["Id"] == id).unwrap_or_else(|| panic!("no {id}"));
    match query["Expression"].as_str() {
        Some(expression) => Some(math::evaluate(expression, &|id| value_of(queries, id, measured))),
        None => measured(id, text(&query["MetricStat"]["Stat"])),
    }
}

#[expect(clippy::float_arithmetic, reason = "metrics are floats")]
fn aggregate(values: &[f64], statistic: &str) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap());
    match statistic {
        "Sum" => values.iter().sum(),
        "Average" => values.iter().sum::<f64>() / count,
        "Maximum" => values.iter().copied().fold(f64::MIN, f64::max),
        "SampleCount" => count,
        percentile => {
            let hundredths: usize = percentile.strip_prefix('p').unwrap().parse().unwrap();
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted[(sorted.len() * hundredths).div_ceil(100) - 1]
        }
    }
}

/// "PutMetricAlarm" in the API reference of CloudWatch has the limits.
#[test]
fn alarms_are_valid_for_cloudwatch_and_notify_a_topic() {
    let document = document();
    let topic = json!({ "!If": ["HasAlarmTopic", [{ "!Ref": "AlarmTopic" }], { "!Ref": "AWS::NoValue" }] });
    for (name, properties) in alarms(&document["Resources"]) {
        let alarm = plain(&document, properties);
        let description = text(&alarm["AlarmDescription"]);
        // Only what runs by the clock is missed where no metric is emitted.
        let is_scheduled = ["AuditDead", "SweepDead"].contains(&name);
        assert_eq!(alarm["TreatMissingData"] == "breaching", is_scheduled, "{name}");
        assert!(description.ends_with('.') && !description.contains(". "), "{name}: {description}");
        let notified_topic = (!is_of_a_deployment(&document["Resources"], name)).then_some(&topic);
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(properties.get(actions), notified_topic, "{name}: {actions}");
        }
        let metrics: Vec<_> = alarm["Metrics"].as_array().into_iter().flatten().collect();
        let metrics: Vec<_> = metrics.iter().filter_map(|query| query.get("MetricStat")).collect();
        assert!(metrics.len() <= 10, "{name}");
        let periods: BTreeSet<_> =
            metrics.into_iter().chain([&alarm]).filter_map(|of| of["Period"].as_u64()).collect();
        let [period] = periods.into_iter().collect::<Vec<_>>()[..] else { panic!("{name}: one period") };
        let longest = if period < 3_600 { 86_400 } else { 7 * 86_400 };
        assert!(
            period % 60 == 0 && period * alarm["EvaluationPeriods"].as_u64().unwrap() <= longest,
            "{name}"
        );
    }
}

/// A metric's name and its labels.
type EmittedMetric = (String, BTreeMap<String, String>);

/// A recorder of the emitted metrics, without their values.
#[derive(Default)]
struct MetricRecorder(Mutex<BTreeSet<EmittedMetric>>);

impl MetricRecorder {
    fn hear(&self, key: &Key) {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
        self.0.lock().unwrap().insert((key.name().to_owned(), labels.collect()));
    }
}

impl Recorder for MetricRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.hear(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.hear(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.hear(key);
        Histogram::noop()
    }
}

/// The metrics that the functions emit in successful and in failing requests.
async fn emitted_metrics() -> BTreeSet<EmittedMetric> {
    let recorder = MetricRecorder::default();
    let listening = metrics::set_default_local_recorder(&recorder);
    let ledger = TestLedger::new().await;
    let http_client = FaultInjectingClient::new();
    http_client.inject(|_| Some(Fault::Error(400, "TaskTimedOut")));
    let executions = Some(webhook::executions(&http_client));
    let app = webhook::app(&ledger, Callbacks { executions, ..callbacks_signed_with(WEBHOOK_SECRET) });
    for trans_type in ["new_user", "system_add"] {
        ledger
            .invoke(GRANT, json!({ "user_uuid": "u", "trans_type": trans_type, "credits": 10 }))
            .await
            .unwrap();
    }
    ledger.grant("u", 10, None).await;
    let chat = |generation| json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1, "generation_uuid": generation });
    for generation in [Some("chat"), None] {
        ledger.invoke(DECREASE, chat(generation)).await.unwrap();
    }
    ledger.charge("u", 1, "made", None).await.unwrap();
    for generation in ["chat", "made", "made", "unknown"] {
        ledger.refund(Some("u"), generation, None).await.unwrap();
    }
    ledger.balance("u").await;
    ledger.sound_balance("u").await;
    ledger.invoke(HISTORY, json!({ "operation": "generation", "generation_uuid": "made" })).await.unwrap();
    ledger.invoke(GRANT, json!([])).await.unwrap_err();
    let done = json!({ "generation_uuid": "made", "status": "succeeded", "task_token": "t" });
    webhook::call(&ledger, &app, &done, WEBHOOK_SECRET).await;
    webhook::call(&ledger, &app, &done, "of somebody else").await;
    ledger.callback(webhook::failed("made")).await;
    pay(&ledger).await;
    let whole = json!({ "segment": 0, "of": 1 });
    ledger.audit(Audit::every(60).unwrap(), &whole, 600_000).await.unwrap();
    ledger.sweep().await.unwrap();
    ledger.http_client.inject(|_| Some(Fault::Error(400, "AccessDeniedException")));
    ledger.refund(Some("u"), "made", None).await.unwrap_err();
    ledger.callback(webhook::failed("made")).await;
    ledger.stripe_event(&payments::checkout("u")).await;
    drop(listening);
    recorder.0.into_inner().unwrap()
}

/// Sends payment events of each outcome.
async fn pay(ledger: &TestLedger) {
    let mut won = payments::dispute("pi_1", "funds_reinstated");
    won["created"] = json!(won["created"].as_i64().unwrap() + 1);
    for event in [
        payments::checkout("u"),
        payments::checkout("u"),
        payments::checkout("another"),
        payments::invoice_payment("in_1", "pi_2"),
        payments::refund("pi_3", 10),
        payments::dispute("pi_1", "funds_withdrawn"),
        payments::dispute("pi_1", "funds_withdrawn"),
        won,
        payments::event("customer.created", json!({})),
    ] {
        ledger.stripe_event(&event).await;
    }
    let unsigned = ledger.http("POST", "/webhooks/stripe", "{}", None).await;
    assert_eq!(unsigned.status, 401);
}

/// Compares a metric with the emitted ones: CloudWatch finds a metric only by all its
/// dimensions.
fn check_emitted(
    emitted: &BTreeSet<EmittedMetric>,
    place: &str,
    name: &str,
    mut dimensions: BTreeMap<String, String>,
) {
    assert_eq!(dimensions.remove("stack").as_deref(), Some("AWS::StackName"), "{place}: {name}");
    assert!(emitted.contains(&(name.to_owned(), dimensions.clone())), "{place}: {name} {dimensions:?}");
}

#[tokio::test]
async fn alarms_use_emitted_metrics() {
    let (document, emitted) = (document(), emitted_metrics().await);
    for (name, alarm) in alarms(&document["Resources"]) {
        let alarm = plain(&document, alarm);
        let queries = alarm["Metrics"].as_array().into_iter().flatten();
        let metrics = queries.filter_map(|query| query.pointer("/MetricStat/Metric")).chain([&alarm]);
        for metric in metrics.filter(|metric| metric["Namespace"] == "Scrip") {
            let part = |dimension: &Value, part: &str| text(&dimension[part]).to_owned();
            let dimensions = metric["Dimensions"].as_array().unwrap().iter();
            let dimensions = dimensions.map(|of| (part(of, "Name"), part(of, "Value"))).collect();
            check_emitted(&emitted, name, text(&metric["MetricName"]), dimensions);
        }
    }
    let variables = &document["Globals"]["Function"]["Environment"]["Variables"];
    let stack = json!({ "!If": ["WatchesFully", { "!Ref": "AWS::StackName" }, { "!Ref": "AWS::NoValue" }] });
    assert_eq!(variables["SCRIP_STACK"], stack);
    // Without metrics, an alarm on them would be wrong or blind.
    for (name, alarm) in alarms(&document["Resources"]) {
        let reads_metrics = alarm.to_string().contains(r#""Namespace":"Scrip""#);
        assert!(!reads_metrics || document["Resources"][name]["Condition"] == "WatchesFully", "{name}");
    }
}

/// What callers are refused for is read from the API's own log.
#[test]
fn rejected_callers_are_counted_from_the_log_of_the_api() {
    let resources = resources();
    let logged = text(&resources["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]).to_owned();
    assert!(logged.contains(r#""status":"$context.status""#));
    let filter = &resources["RefusedCallersFilter"]["Properties"];
    assert_eq!(filter["LogGroupName"], json!({ "!Ref": "ApiLog" }));
    assert_eq!(filter["FilterPattern"], r#"{ $.status = "401" || $.status = "403" }"#);
    let (counted, alarm) = (&filter["MetricTransformations"][0], &resources["CallersRefused"]["Properties"]);
    assert_eq!(
        (&counted["MetricNamespace"], &counted["MetricName"]),
        (&alarm["Namespace"], &alarm["MetricName"])
    );
}

#[tokio::test]
async fn dashboard_shows_emitted_metrics_and_every_alarm() {
    let (resources, emitted) = (resources(), emitted_metrics().await);
    let body = text(&resources["Dashboard"]["Properties"]["DashboardBody"]["!Sub"]);
    for placeholder in body.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        let resource = &resources[placeholder.split('.').next().unwrap()];
        assert!(placeholder.starts_with("AWS::") || is_with_dashboard(resource), "{placeholder}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let widgets = body["widgets"].as_array().unwrap();
    assert!((1..=500).contains(&widgets.len()));
    for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
        let metrics = widget["properties"]["metrics"].as_array().unwrap();
        for metric in metrics.iter().filter(|metric| metric[0] == "Scrip") {
            let parts: Vec<_> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let dimensions = parts[2..].chunks(2).map(|pair| (pair[0].to_owned(), reference(pair[1])));
            check_emitted(&emitted, text(&widget["properties"]["title"]), parts[1], dimensions.collect());
        }
    }
    let shown = widgets.iter().find(|widget| widget["type"] == "alarm").unwrap();
    let shown: BTreeSet<_> =
        list(&shown["properties"]["alarms"]).into_iter().map(|arn| reference(text(arn))).collect();
    let recorder = alarms(&resources)
        .into_iter()
        .filter(|(name, alarm)| alarm["AlarmActions"].is_object() && is_with_dashboard(&resources[name]));
    assert_eq!(shown, recorder.map(|(name, _)| format!("{name}.Arn")).collect());
}

/// Whether a stack with a dashboard always has this resource.
fn is_with_dashboard(resource: &Value) -> bool {
    let conditions = [Value::Null, json!("Watches"), json!("WatchesFully")];
    resource.is_object() && conditions.contains(&resource["Condition"])
}

/// The cost of an alarm for each metric, in cents a month: docs/operations.md adds them up.
const CENTS: usize = 10;

#[test]
fn alarms_of_a_stack_at_rest_cost_what_the_document_says() {
    let resources = resources();
    let metrics = |alarm: &Value| alarm.to_string().matches(r#""MetricName""#).count();
    let cents = |conditions: &[Option<&str>]| -> usize {
        let priced = alarms(&resources).into_iter();
        let priced = priced.filter(|(name, _)| conditions.contains(&resources[name]["Condition"].as_str()));
        priced.map(|(_, alarm)| CENTS * metrics(alarm)).sum()
    };
    let operations = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"));
    let operations = operations.unwrap();
    for (watching, cents) in [
        ("full", cents(&[None, Some("Watches"), Some("WatchesFully")])),
        ("basic", cents(&[None, Some("Watches"), Some("WatchesBasics")])),
        ("none", cents(&[None])),
    ] {
        let row = operations.lines().find(|line| line.starts_with(&format!("| `{watching}` |"))).unwrap();
        let price = format!("| {}.{:02} |", cents / 100, cents % 100);
        assert!(row.contains(&price), "{row}: {price}");
    }
}

/// The text between the braces of `${…}`, or the whole text.
fn reference(text: &str) -> String {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text).to_owned()
}
