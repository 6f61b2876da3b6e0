//! The header `Server-Timing`: duration and cost of a call, captured from the functions' metrics.

use std::{cell::RefCell, fmt::Write, sync::Arc, time::Instant};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::task_local;

/// Header name. Developer tools of browsers display the header.
pub(crate) const SERVER_TIMING: &str = "server-timing";

/// The metrics in the header. A call records each once.
const COST_METRICS: [&str; 3] = ["round_trips", "read_units", "write_units"];

task_local! {
    static RECORDED: RefCell<Vec<(&'static str, f64)>>;
}

/// Awaits a call. Returns its output and the value of [`SERVER_TIMING`].
pub(crate) async fn measure<T>(call: impl Future<Output = T>) -> (T, String) {
    let start = Instant::now();
    let recording = async { (call.await, RECORDED.with(RefCell::take)) };
    let (output, recorded) = RECORDED.scope(RefCell::default(), recording).await;
    let micros = start.elapsed().as_micros();
    let mut text = format!("function;dur={}.{:03}", micros / 1_000, micros % 1_000);
    for (name, value) in recorded {
        // Writing to a String does not fail.
        let _ = write!(text, ", {name};desc=\"{value}\"");
    }
    (output, text)
}

/// Forwards every metric to another recorder, and keeps those of [`measure`].
pub(crate) struct RecordingRecorder<R>(pub(crate) R);

struct RecordingHistogram {
    name: &'static str,
    inner: Histogram,
}

impl HistogramFn for RecordingHistogram {
    fn record(&self, value: f64) {
        self.inner.record(value);
        // Fails outside of `measure`, where no call collects the value.
        let _ = RECORDED.try_with(|recorded| recorded.borrow_mut().push((self.name, value)));
    }
}

impl<R: Recorder> Recorder for RecordingRecorder<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.0.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.0.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let inner = self.0.register_histogram(key, metadata);
        match COST_METRICS.into_iter().find(|name| *name == key.name()) {
            Some(name) => Histogram::from_arc(Arc::new(RecordingHistogram { name, inner })),
            None => inner,
        }
    }
}
