//! Word of every change to a user, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::stream;
use scrip::domain::{Timestamp, UserUuid};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::gateway::Gateway;

/// How often it is looked whether somebody wrote past the API, straight to the table.
const LOOK: Duration = Duration::from_millis(500);
/// The least time between two looks, however much is written.
const REST: Duration = Duration::from_millis(50);
/// How long a look may take.
const LOOK_MILLIS: i64 = 2_000;
/// How often an event says nothing, so that a dead connection is known as one.
const ALIVE: Duration = Duration::from_secs(10);

/// That something may have changed, and that all ends. Whoever is slow misses none of it,
/// because nothing is queued: it only matters that there was something.
pub(crate) struct Changes(watch::Sender<Pulse>);

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
    /// Tells that something may have been written.
    pub(crate) fn tell(&self) {
        self.0.send_modify(|_| {});
    }

    /// Ends all streams, so that nothing waits for them.
    pub(crate) fn end(&self) {
        self.0.send_modify(|pulse| pulse.is_last = true);
    }
}

/// An event for each version of a user's wallet, the one of now first; of many in a moment
/// the last. It ends with the stack, and where the table cannot be read.
pub(crate) fn stream(gateway: Arc<Gateway>, user: UserUuid) -> Response {
    let pulses = gateway.console.changes.0.subscribe();
    let watch = Watch { gateway, user, pulses, told: None };
    let events = stream::unfold(watch, |watch| async {
        let (version, watch) = watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(version.to_string())), watch))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

/// A look at one user.
struct Watch {
    gateway: Arc<Gateway>,
    user: UserUuid,
    pulses: watch::Receiver<Pulse>,
    told: Option<i64>,
}

impl Watch {
    /// The next version, 0 where there is no wallet.
    async fn next(mut self) -> Option<(i64, Watch)> {
        loop {
            if self.pulses.borrow_and_update().is_last {
                return None;
            }
            let ledger = &self.gateway.app.ledger;
            let wallet = ledger.wallet(&self.user, ledger.now().plus_millis(LOOK_MILLIS)).await.ok()?;
            let version = wallet.version.map_or(0, Timestamp::millis);
            if self.told.replace(version) != Some(version) {
                return Some((version, self));
            }
            sleep(REST).await;
            // A write through the API, or the time to look for another.
            let _ = timeout(LOOK, self.pulses.changed()).await;
        }
    }
}
