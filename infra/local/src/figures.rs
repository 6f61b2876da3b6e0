//! The functions' metrics, in the format of Prometheus and as a summary line.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use scrip::transport::telemetry;
use tokio::time::interval;

use crate::cost::Noting;

/// How often values are taken into the sums; until then each is kept.
const UPKEEP: Duration = Duration::from_secs(5);
/// The buckets of metrics in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// The buckets of all other metrics.
const COUNTS: [f64; 9] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

/// The figures since the start.
#[derive(Clone)]
pub(crate) struct Figures(PrometheusHandle);

impl Figures {
    /// Takes all metrics of the process from now on.
    pub(crate) fn start() -> Result<Figures, String> {
        let builder = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets_for_metric(Matcher::Suffix("latency".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets(&COUNTS));
        let recorder = builder.map_err(|error| error.to_string())?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(Noting(recorder)).map_err(|error| error.to_string())?;
        telemetry::describe();
        let kept = handle.clone();
        tokio::spawn(async move {
            let mut upkeep = interval(UPKEEP);
            loop {
                upkeep.tick().await;
                kept.run_upkeep();
            }
        });
        Ok(Figures(handle))
    }

    /// As Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// What was done, in a line.
    pub(crate) fn summary(&self) -> String {
        let text = self.render();
        let sum = |name: &str| sum(&text, name);
        format!(
            "answered {} requests, {} of them by an error, {} by a failure; credits: {} granted, {} charged, {} voided",
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
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text = "# TYPE requests_total counter\nrequests_total{operation=\"grant\"} 2\n\
            requests_total{operation=\"refund\"} 3\nrequests_total_more 7\nretries_total 1\n";
        for (name, expected) in [("requests_total", 5), ("retries_total", 1), ("errors_total", 0)] {
            assert_eq!(sum(text, name), expected, "{name}");
        }
    }
}
