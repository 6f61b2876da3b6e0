//! The handler of the scheduled sweep of holds, which has no route.

use std::time::Instant;

use lambda_runtime::LambdaEvent;
use serde::Serialize;

use super::{
    App,
    error::RequestError,
    event::Payload,
    failure::Failure,
    function::{catch_panic, deadline},
    reply::{Answer, Reply},
    telemetry,
};

/// The function `sweep`. Its payload is ignored.
#[derive(Clone, Copy, Debug)]
pub struct Sweep;

/// The result of a sweep.
#[derive(Serialize)]
struct SweepAnswer {
    expired: u64,
    failed: u64,
    unfinished: bool,
}

impl Sweep {
    /// Handles one event.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn handle(self, app: &App, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let started_at = Instant::now();
        let deadline = deadline(app.ledger.now(), &event.context);
        // Boxed, because the nested type exceeds a limit of the compiler.
        let run = Box::pin(app.ledger.sweep(deadline));
        let result = catch_panic(run).await.flatten().map_err(RequestError::from);
        telemetry::log_sweep(result.as_ref(), &event.context.request_id, started_at.elapsed());
        let answer = result.and_then(|summary| {
            let (expired, failed, unfinished) = (summary.expired, summary.failed, summary.is_unfinished);
            Answer::ok(&SweepAnswer { expired, failed, unfinished })
        });
        answer.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
    }
}
