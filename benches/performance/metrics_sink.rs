//! Metrics and log as on Lambda, written to nowhere.

use std::{io, sync::OnceLock};

use lambda_runtime::tracing::subscriber::fmt;
use metrics_cloudwatch_embedded::{Builder, Collector};
use scrip::transport::telemetry;

/// The metrics of this process.
pub(crate) struct MetricsSink(&'static Collector);

impl MetricsSink {
    /// Starts the metrics and the log of the process, once.
    pub(crate) fn start() -> &'static MetricsSink {
        static SINK: OnceLock<MetricsSink> = OnceLock::new();
        SINK.get_or_init(|| {
            fmt()
                .with_target(false)
                .without_time()
                .with_writer(io::sink)
                .json()
                .with_current_span(false)
                .init();
            let metrics =
                Builder::new().cloudwatch_namespace("Scrip").with_dimension("stack", "bench").init();
            telemetry::describe();
            MetricsSink(metrics.expect("the only recorder"))
        })
    }

    /// Writes the recorded metrics, as a function does before it responds.
    pub(crate) fn flush(&self) {
        self.0.set_property("request_id", "request").flush(io::sink()).expect("a sink accepts everything");
    }
}
