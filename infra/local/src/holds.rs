//! The schedule of the function `sweep`, which voids the charges whose holds have timed out.

use std::{sync::Arc, time::Duration};

use lambda_runtime::{Context, LambdaEvent};
use scrip::transport::{App, Sweep};
use serde_json::value::RawValue;
use tokio::time::sleep;
use uuid::Uuid;

/// The time between two sweeps. On AWS it is a minute; tests of apps do not wait that long.
const PAUSE: Duration = Duration::from_secs(1);
/// The time limit of a sweep, in milliseconds.
const SWEEP_MILLIS: i64 = 10_000;

/// Sweeps until it is dropped. The function logs a failure, and the next sweep repeats it.
pub(crate) async fn sweep_regularly(app: Arc<App>) {
    loop {
        let mut context = Context::default();
        context.request_id = Uuid::new_v4().to_string();
        context.deadline = app.ledger.now().plus_millis(SWEEP_MILLIS).millis().unsigned_abs();
        let _ = Sweep.handle(&app, LambdaEvent::new(RawValue::NULL.to_owned(), context)).await;
        sleep(PAUSE).await;
    }
}
