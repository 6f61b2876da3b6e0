//! The binary `audit` in the environment of Lambda: its results, log and metrics.

use scrip_tests::{
    CORRUPTIONS, Lambda,
    cloudwatch_emf::{Metric, parse_metrics, sum},
};
use serde_json::{Value, json};

/// Starts the function with the environment of the template.
async fn started() -> Lambda {
    let environment =
        [("SCRIP_STACK", "prod"), ("SCRIP_AUDIT_EVERY_MINUTES", "15"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")];
    Lambda::start(env!("CARGO_BIN_EXE_audit"), &environment).await
}

/// The values and the unit of a metric.
fn values(metrics: &[Metric], name: &str) -> (Vec<f64>, String) {
    let matching: Vec<_> = metrics.iter().filter(|metric| metric.name == name).collect();
    let values = matching.iter().flat_map(|metric| metric.values.clone()).collect();
    (values, matching.first().map(|metric| metric.unit.clone()).unwrap_or_default())
}

/// The fields of the log lines that have this field.
fn lines(log: &str, field: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|mut line| line["fields"].take()).filter(|fields| fields.get(field).is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_logs_users_with_discrepancies_only() {
    let mut lambda = started().await;
    for nth in 0..CORRUPTIONS.len() {
        lambda.ledger.create_sample_user(&format!("u{nth}")).await;
    }
    lambda.ledger.create_sample_user("sound").await;
    for (nth, (sort, damage, _, _)) in CORRUPTIONS.into_iter().enumerate() {
        lambda.ledger.corrupt(&format!("u{nth}"), sort, damage).await;
    }
    let summary = lambda.invoke(&json!({ "segment": 0, "of": 1 })).await.unwrap();
    let damaged = CORRUPTIONS.len();
    assert_eq!((&summary["users"], &summary["drifted"]), (&json!(damaged + 1), &json!(damaged)), "{summary}");

    let log = lambda.into_output().await;
    let drifted = lines(&log, "discrepancies");
    assert_eq!(drifted.len(), CORRUPTIONS.len(), "{log}");
    for (nth, (sort, _, text, _)) in CORRUPTIONS.into_iter().enumerate() {
        let user = format!("u{nth}");
        let line = drifted.iter().find(|line| line["user_uuid"] == user).expect("a log line");
        assert!(
            line["reason"].as_str().is_some_and(|reason| reason.contains(text)),
            "{sort}: {text}: {line}"
        );
    }
    let metrics = parse_metrics(&log);
    assert_eq!(values(&metrics, "drifted_users"), (vec![34.0], "Count".to_owned()));
    let (accuracy, unit) = values(&metrics, "balance_accuracy");
    assert_eq!(unit, "Percent");
    assert!(accuracy.len() == 1 && (2.85..2.86).contains(&accuracy[0]), "1 of 35: {accuracy:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_finds_nothing_in_a_sound_table_under_load() {
    let mut lambda = started().await;
    for nth in 0..10 {
        lambda.ledger.create_sample_user(&format!("u{nth}")).await;
    }
    let second_process = lambda.ledger.second_process();
    let writing = tokio::spawn(async move {
        for nth in 0.. {
            let (user, generation) = (format!("u{}", nth % 10), format!("more-{nth}"));
            second_process.grant(&user, 3, None).await;
            second_process.charge(&user, 2, &generation, Some("k")).await.unwrap();
            second_process.refund(Some(&user), &generation, None).await.unwrap();
        }
    });
    for _ in 0..5 {
        let summary = lambda.invoke(&json!({ "segment": 0, "of": 1 })).await.unwrap();
        assert_eq!((&summary["users"], &summary["drifted"]), (&json!(10), &json!(0)), "{summary}");
    }
    assert!(!writing.is_finished(), "the load lasted until the end");
    writing.abort();
    let summary = lambda.invoke(&json!({ "time": "2026-01-01T00:00:00Z" })).await.unwrap();
    assert_eq!(summary["of"], 7 * 24 * 4, "one segment for each run of a week");

    let log = lambda.into_output().await;
    assert_eq!(lines(&log, "discrepancies"), [Value::Null; 0], "{log}");
    assert_eq!(lines(&log, "segment").len(), 6, "one line for each run: {log}");
    let metrics = parse_metrics(&log);
    for metric in &metrics {
        assert_eq!((&*metric.namespace, metric.dimensions.len()), ("Scrip", 1), "{metric:?}");
        assert_eq!(metric.dimensions["stack"], "prod");
    }
    for (name, expected) in
        [("audit_runs", 1.0), ("audit_unfinished", 0.0), ("drifted_users", 0.0), ("audit_failed_users", 0.0)]
    {
        assert_eq!(values(&metrics, name), (vec![expected; 6], "Count".to_owned()), "{name}");
    }
    let records = sum(&metrics, "audited_records", &[]);
    assert!(sum(&metrics, "audited_users", &[]) >= 50.0 && records >= 5.0 * 50.0, "{metrics:?}");
    assert!(sum(&metrics, "audited_voided", &[]) >= 50.0, "{metrics:?}");
    let (accuracy, _) = values(&metrics, "balance_accuracy");
    assert!(accuracy.len() >= 5 && accuracy.iter().all(|percent| *percent == 100.0), "{accuracy:?}");
    let (voided, unit) = values(&metrics, "voided_share");
    assert_eq!((voided.len(), &*unit), (accuracy.len(), "Percent"));
    assert!(voided.iter().all(|percent| (10.0..=50.0).contains(percent)), "{voided:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_run_emits_no_audit_run() {
    let environment = [("SCRIP_STACK", "prod"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")];
    let mut lambda = Lambda::start(env!("CARGO_BIN_EXE_audit"), &environment).await;
    let (error_type, _) = lambda.invoke(&json!({})).await.unwrap_err();
    assert_eq!(error_type, "StoreUnavailable");
    let metrics = parse_metrics(&lambda.into_output().await);
    for name in ["audit_runs", "audited_users", "drifted_users", "audit_failed_users", "balance_accuracy"] {
        assert_eq!(values(&metrics, name).0, [0.0; 0], "{name}");
    }
    assert_eq!(values(&metrics, "audit_unfinished").0, [1.0]);
}
