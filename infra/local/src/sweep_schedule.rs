//! The schedule of the function `sweep`, which voids the charges whose holds have timed out.

use std::{sync::Arc, time::Duration};

use lambda_runtime::{Context, LambdaEvent};
use scrip::transport::{App, Failure, Payload, Sweep};
use tokio::time::sleep;
use uuid::Uuid;

/// On AWS the schedule has a minute.
const INTERVAL: Duration = Duration::from_secs(1);
/// After an error that a repeat does not change, and that the function logs: a table from before
/// holds has no index of them.
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Sweeps until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let mut context = Context::default();
        context.request_id = Uuid::new_v4().to_string();
        let event = LambdaEvent::<Payload>::new(Box::default(), context);
        // A sweep during which a test moves the clock misses its deadline.
        let is_internal = |Failure(error): Failure| error.internal_reason().is_some();
        let has_failed = Sweep.handle(&app, event).await.is_err_and(is_internal);
        sleep(if has_failed { INTERVAL_AFTER_FAILURE } else { INTERVAL }).await;
    }
}
