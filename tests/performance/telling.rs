//! Metrics and the log, as a function on Lambda has them, to nowhere.

use std::{io, sync::OnceLock};

use lambda_runtime::tracing::subscriber::fmt;
use metrics_cloudwatch_embedded::{Builder, Collector};
use scrip::transport::telemetry;

/// Where the metrics of this process are.
pub(crate) struct Telling(&'static Collector);

impl Telling {
    /// Those of the process, which has them once.
    pub(crate) fn start() -> &'static Telling {
        static TELLING: OnceLock<Telling> = OnceLock::new();
        TELLING.get_or_init(|| {
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
            Telling(metrics.expect("the only recorder"))
        })
    }

    /// Tells what was noted, as a function does before it answers.
    pub(crate) fn flush(&self) {
        self.0.set_property("request_id", "request").flush(io::sink()).expect("nowhere is never full");
    }
}
