//! A stream of a user's changes, as server-sent events.

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

/// Interval of reads that find writes of other processes, which notify no stream.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Minimum time between two reads of a stream, however many changes there are.
const READ_PAUSE: Duration = Duration::from_millis(50);
/// Time limit of a read, in milliseconds.
const READ_MILLIS: i64 = 2_000;
/// Interval of comments that detect a closed connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Wakes the streams after a change and at shutdown. A slow stream misses nothing: each reads
/// the wallet itself, and one wake-up covers any number of changes.
pub(super) struct Changes(watch::Sender<ChangeEvent>);

#[derive(Clone, Copy, Default)]
struct ChangeEvent {
    is_last: bool,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes(watch::Sender::new(ChangeEvent::default()))
    }
}

impl Changes {
    pub(super) fn notify(&self) {
        self.0.send_modify(|_| {});
    }

    /// Ends all streams, so that shutdown does not wait for them.
    pub(super) fn end(&self) {
        self.0.send_modify(|event| event.is_last = true);
    }
}

/// Sends the version of a user's wallet at once and after each change; several quick changes are
/// one event. Ends at shutdown and when the table cannot be read.
pub(super) fn stream(app: Arc<App>, changes: &Changes, user: UserId) -> Response {
    let events = changes.0.subscribe();
    let watch = Watch { app, user, events, last_sent: None };
    let stream = stream::unfold(watch, |watch| async {
        let (version, watch) = watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(version.to_string())), watch))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

struct Watch {
    app: Arc<App>,
    user: UserId,
    events: watch::Receiver<ChangeEvent>,
    last_sent: Option<i64>,
}

impl Watch {
    /// Waits for the next version. 0 means that the user has no wallet.
    async fn next(mut self) -> Option<(i64, Watch)> {
        loop {
            if self.events.borrow_and_update().is_last {
                return None;
            }
            let ledger = &self.app.ledger;
            let wallet = ledger.wallet(&self.user, ledger.now().plus_millis(READ_MILLIS)).await.ok()?;
            let version = wallet.version.map_or(0, Timestamp::millis);
            if self.last_sent.replace(version) != Some(version) {
                return Some((version, self));
            }
            sleep(READ_PAUSE).await;
            // A timeout is as good as an event: the loop reads again.
            let _ = timeout(POLL_INTERVAL, self.events.changed()).await;
        }
    }
}
