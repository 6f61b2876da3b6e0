//! The functions' metrics, in the Prometheus text format and as a summary line.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use scrip::transport::telemetry;
use tokio::time::interval;

use crate::server_timing::RecordingRecorder;

/// Interval at which the exporter aggregates recorded values, which it buffers until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Bucket bounds of latency metrics, in seconds.
const LATENCY_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Bucket bounds of all other metrics.
const COUNT_BUCKETS: [f64; 9] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

/// Metrics of the process since its start.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder of the process, and a task that aggregates its values.
    pub(crate) fn start() -> Result<Metrics, String> {
        let builder = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets_for_metric(Matcher::Suffix("latency".to_owned()), &LATENCY_BUCKETS)
            .and_then(|builder| builder.set_buckets(&COUNT_BUCKETS));
        let recorder = builder.map_err(|error| error.to_string())?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(RecordingRecorder(recorder)).map_err(|error| error.to_string())?;
        telemetry::describe();
        let exporter = handle.clone();
        tokio::spawn(async move {
            let mut upkeep = interval(UPKEEP_INTERVAL);
            loop {
                upkeep.tick().await;
                exporter.run_upkeep();
            }
        });
        Ok(Metrics(handle))
    }

    /// The Prometheus text format.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// One line for the end of the process.
    pub(crate) fn summary(&self) -> String {
        let text = self.render();
        let sum = |name: &str| sum(&text, name);
        format!(
            "requests: {}, errors: {}, failures: {}; credits granted: {}, charged: {}, voided: {}",
            sum("requests_total"),
            sum("errors_total"),
            sum("failures_total"),
            sum("credits_granted_total"),
            sum("credits_charged_total"),
            sum("credits_voided_total"),
        )
    }
}

/// The sum of a counter over all its labels.
fn sum(text: &str, name: &str) -> u64 {
    let is_counter = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = text.lines().filter(is_counter).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_is_summed_over_its_labels() {
        let text = "# TYPE requests_total counter\nrequests_total{operation=\"grant\"} 2\n\
            requests_total{operation=\"refund\"} 3\nrequests_total_more 7\nretries_total 1\n";
        for (name, expected) in [("requests_total", 5), ("retries_total", 1), ("errors_total", 0)] {
            assert_eq!(sum(text, name), expected, "{name}");
        }
    }
}
