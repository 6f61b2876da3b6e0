//! The cost of a call for the header `Server-Timing`, captured from the functions' metrics.

use std::{cell::RefCell, fmt::Write, sync::Arc, time::Instant};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::task_local;

/// The header of the cost, which a browser's developer tools show.
pub(crate) const SERVER_TIMING: &str = "server-timing";

/// The metrics of the cost; each is recorded once a call.
const COSTS: [&str; 3] = ["round_trips", "read_units", "write_units"];

task_local! {
    static NOTED: RefCell<Vec<(&'static str, f64)>>;
}

/// Makes a call and returns its duration and cost in the form of [`SERVER_TIMING`].
pub(crate) async fn of<T>(call: impl Future<Output = T>) -> (T, String) {
    let began = Instant::now();
    let noting = async { (call.await, NOTED.with(RefCell::take)) };
    let (done, noted) = NOTED.scope(RefCell::default(), noting).await;
    let micros = began.elapsed().as_micros();
    let mut text = format!("function;dur={}.{:03}", micros / 1_000, micros % 1_000);
    for (name, value) in noted {
        // Writing to a String does not fail.
        let _ = write!(text, ", {name};desc=\"{value}\"");
    }
    (done, text)
}

/// Forwards all metrics, and records those of the cost of a call.
pub(crate) struct Noting<R>(pub(crate) R);

struct Noted {
    name: &'static str,
    passed_on: Histogram,
}

impl HistogramFn for Noted {
    fn record(&self, value: f64) {
        self.passed_on.record(value);
        // Outside of a call there is nothing to collect.
        let _ = NOTED.try_with(|noted| noted.borrow_mut().push((self.name, value)));
    }
}

impl<R: Recorder> Recorder for Noting<R> {
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
        let passed_on = self.0.register_histogram(key, metadata);
        match COSTS.into_iter().find(|name| *name == key.name()) {
            Some(name) => Histogram::from_arc(Arc::new(Noted { name, passed_on })),
            None => passed_on,
        }
    }
}
