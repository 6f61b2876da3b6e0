//! Syncs the engine's write-ahead log, beside the requests: one that has changed the table goes on
//! while its change is synced, and waits only before it is answered. Changes that are written
//! during one sync share the next.

use std::{
    fs::File,
    io::Result,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::watch;

/// Interval of the syncs for changes by other tools, through the engine's port.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A write-ahead log, and how much of it is on disk.
pub(crate) struct LogSync {
    /// Counts each change twice: before the log has it, and when it has.
    changes: Arc<AtomicU64>,
    /// Wakes the thread that syncs. It ends with this.
    wake: SyncSender<()>,
    /// The value of `changes` before the last sync. Closed by a failed one.
    synced: watch::Receiver<u64>,
}

/// A sync failed. The system then forgets what it could not write, so a later sync would
/// report success: nothing may be answered any more.
#[derive(Debug)]
pub(crate) struct SyncFailed;

impl LogSync {
    /// The log of a database, whose file exists.
    ///
    /// # Errors
    /// If it cannot be opened, or its name cannot be synced.
    pub(crate) fn open(log: &Path) -> Result<LogSync> {
        // A new file survives a power failure only with its folder's entry.
        File::open(log.parent().unwrap_or(log))?.sync_all()?;
        let file = File::options().write(true).open(log)?;
        Ok(LogSync::start(move || file.sync_data()))
    }

    fn start(sync: impl FnMut() -> Result<()> + Send + 'static) -> LogSync {
        let changes = Arc::new(AtomicU64::new(0));
        // One waiting signal is enough: the sync that it starts includes all changes before it.
        let (wake, woken) = sync_channel(1);
        let (sender, synced) = watch::channel(0);
        let counter = changes.clone();
        thread::spawn(move || sync_until_failure(&woken, &counter, &sender, sync));
        LogSync { changes, wake, synced }
    }

    /// Writes a change to the log, and starts to sync it.
    pub(crate) fn write<T>(&self, change: impl FnOnce() -> T) -> T {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let changed = change();
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.wake();
        changed
    }

    /// Waits until every change is on disk that a request until now may have made or seen:
    /// an answer must not report a change that a power failure undoes.
    ///
    /// # Errors
    /// If a sync failed, now or earlier.
    pub(crate) async fn wait(&self) -> std::result::Result<(), SyncFailed> {
        let seen = self.changes.load(Ordering::SeqCst);
        let mut synced = self.synced.clone();
        if *synced.borrow() < seen {
            self.wake();
        }
        synced.wait_for(|synced| *synced >= seen).await.map(drop).map_err(|_| SyncFailed)
    }

    fn wake(&self) {
        // Fails if a signal is waiting already, or after a failed sync.
        let _ = self.wake.try_send(());
    }
}

/// Syncs at each signal if there are changes, and at intervals in any case.
fn sync_until_failure(
    woken: &Receiver<()>,
    changes: &AtomicU64,
    synced: &watch::Sender<u64>,
    mut sync: impl FnMut() -> Result<()>,
) {
    loop {
        let signal = woken.recv_timeout(SYNC_INTERVAL);
        let before = changes.load(Ordering::SeqCst);
        match signal {
            Ok(()) if before == *synced.borrow() => continue,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Err(problem) = sync() {
            eprintln!("error: the table cannot be written to disk: {problem}; restart the stack");
            return;
        }
        synced.send_replace(before);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    /// A log whose syncs wait for a permit each, and are counted.
    fn with_permits() -> (LogSync, SyncSender<Result<()>>, Arc<AtomicU64>) {
        let (permits, permit) = sync_channel(100);
        let syncs = Arc::new(AtomicU64::new(0));
        let counter = syncs.clone();
        let log = LogSync::start(move || {
            let result = permit.recv().unwrap_or(Ok(()));
            counter.fetch_add(1, Ordering::SeqCst);
            result
        });
        (log, permits, syncs)
    }

    #[tokio::test]
    async fn answer_waits_for_the_sync_of_a_change() {
        let (log, permits, syncs) = with_permits();
        log.wait().await.unwrap();
        log.write(|| ());
        tokio::select! {
            biased;
            _ = log.wait() => panic!("nothing is synced"),
            () = tokio::task::yield_now() => {}
        }
        permits.send(Ok(())).unwrap();
        log.wait().await.unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
        log.wait().await.unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), 1, "synced already");
    }

    #[tokio::test]
    async fn answer_waits_for_a_change_that_it_may_have_seen() {
        let (log, permits, syncs) = with_permits();
        log.changes.fetch_add(1, Ordering::SeqCst);
        permits.send(Ok(())).unwrap();
        log.wait().await.unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), 1, "the log may have the change already");
    }

    #[tokio::test]
    async fn changes_during_a_sync_share_the_next() {
        let (log, permits, syncs) = with_permits();
        for _ in 0..100 {
            log.write(|| ());
        }
        // The first sync may have begun before the others.
        (0..2).for_each(|_| permits.send(Ok(())).unwrap());
        log.wait().await.unwrap();
        assert!((1..=2).contains(&syncs.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn nothing_is_answered_after_a_failed_sync() {
        let (log, permits, syncs) = with_permits();
        permits.send(Err(Error::other("disk"))).unwrap();
        for _ in 0..2 {
            log.write(|| ());
            assert!(log.wait().await.is_err());
        }
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }
}
