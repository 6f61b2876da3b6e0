//! A stream of the changes of a user, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::stream;
use scrip::{
    domain::{Timestamp, UserId},
    transport::App,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// The time between two looks for writes that bypassed the API.
const LOOK: Duration = Duration::from_millis(500);
/// The least time between two looks, however many changes there are.
const REST: Duration = Duration::from_millis(50);
/// The time limit of a look.
const LOOK_MILLIS: i64 = 2_000;
/// The time between empty events, which reveal a dead connection.
const ALIVE: Duration = Duration::from_secs(10);

/// Wakes the streams after a change and at the end of the stack. A slow stream misses nothing:
/// it reads the wallet itself, and needs only one wake-up for any number of changes.
pub(super) struct Changes(watch::Sender<Pulse>);

#[derive(Clone, Copy, Default)]
struct Pulse {
    is_last: bool,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes(watch::Sender::new(Pulse::default()))
    }
}

impl Changes {
    /// Wakes all streams.
    pub(super) fn notify(&self) {
        self.0.send_modify(|_| {});
    }

    /// Ends all streams, so that the shutdown does not wait for them.
    pub(super) fn end(&self) {
        self.0.send_modify(|pulse| pulse.is_last = true);
    }
}

/// An event for each version of a user's wallet, the current one first; versions in quick
/// succession become one event. It ends with the stack, and when the table cannot be read.
pub(super) fn stream(app: Arc<App>, changes: &Changes, user: UserId) -> Response {
    let pulses = changes.0.subscribe();
    let watch = Watch { app, user, pulses, sent: None };
    let events = stream::unfold(watch, |watch| async {
        let (version, watch) = watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(version.to_string())), watch))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

/// The watch of one user.
struct Watch {
    app: Arc<App>,
    user: UserId,
    pulses: watch::Receiver<Pulse>,
    sent: Option<i64>,
}

impl Watch {
    /// The next version, 0 without a wallet.
    async fn next(mut self) -> Option<(i64, Watch)> {
        loop {
            if self.pulses.borrow_and_update().is_last {
                return None;
            }
            let ledger = &self.app.ledger;
            let wallet = ledger.wallet(&self.user, ledger.now().plus_millis(LOOK_MILLIS)).await.ok()?;
            let version = wallet.version.map_or(0, Timestamp::millis);
            if self.sent.replace(version) != Some(version) {
                return Some((version, self));
            }
            sleep(REST).await;
            // Until a write through the API, or the next look.
            let _ = timeout(LOOK, self.pulses.changed()).await;
        }
    }
}
