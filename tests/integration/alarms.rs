//! The alarms of `template.yaml` fire at the intended values.

mod emitted;
mod math;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::template::{document, of_type, resources, text};

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
