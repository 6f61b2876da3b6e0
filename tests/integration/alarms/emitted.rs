//! Alarms and dashboard read metrics that the functions emit.

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
    template::{document, list, resources, text},
    webhook,
};

use super::*;

/// A metric's name and its labels.
type EmittedMetric = (String, BTreeMap<String, String>);

/// A recorder of the emitted metrics, without their values.
#[derive(Default)]
struct MetricRecorder(Mutex<BTreeSet<EmittedMetric>>);

impl MetricRecorder {
    fn record(&self, key: &Key) {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
        self.0.lock().unwrap().insert((key.name().to_owned(), labels.collect()));
    }
}

impl Recorder for MetricRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.record(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.record(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.record(key);
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
