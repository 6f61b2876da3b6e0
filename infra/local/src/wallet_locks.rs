//! A lock for each wallet, so that its calls run one after another.
//!
//! On AWS each call runs in an environment of its own. Calls that change one wallet at the same
//! time meet at DynamoDB, and all but one try again. Here they run in one process, so they wait
//! for each other instead, which needs no retries.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

/// Wallets that share a lock wait for each other without need, so there are many more than callers.
const LOCKS: usize = 1_024;
/// After this wait a call runs without the lock: a call that hangs must not stop all others of
/// its wallet.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The locks of all wallets.
pub(crate) struct WalletLocks {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

/// The field of a request that names the wallet.
#[derive(Deserialize)]
struct Wallet<'a> {
    #[serde(borrow)]
    user_uuid: Cow<'a, str>,
}

impl Default for WalletLocks {
    fn default() -> WalletLocks {
        WalletLocks { locks: (0..LOCKS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl WalletLocks {
    /// Locks the wallet that the body of a request names, in the order of the calls. Returns
    /// `None` if the body names no user, and after the longest wait.
    pub(crate) async fn lock(&self, body: &[u8]) -> Option<MutexGuard<'_, ()>> {
        let Wallet { user_uuid } = serde_json::from_slice(body).ok()?;
        let locks = u64::try_from(self.locks.len()).ok()?;
        let nth = usize::try_from(self.hasher.hash_one(user_uuid) % locks).ok()?;
        timeout(WAIT_MAX, self.locks.get(nth)?.lock()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::Instant};

    use super::*;

    const ANA: &[u8] = br#"{"user_uuid":"ana","credits":1}"#;

    #[tokio::test]
    async fn calls_of_a_wallet_run_one_after_another() {
        let locks = WalletLocks::default();
        let first = locks.lock(ANA).await;
        assert!(first.is_some());
        let second = locks.lock(br#"{"credits":2,"user_uuid":"\u0061na"}"#);
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("the first has not ended"),
            () = yield_now() => {}
        }
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn requests_without_a_user_lock_nothing() {
        let locks = WalletLocks::default();
        for body in [&b""[..], b"{}", b"[]", br#"{"user_uuid":7}"#, b"\xff"] {
            assert!(locks.lock(body).await.is_none(), "{body:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_runs_after_the_longest_wait() {
        let locks = WalletLocks::default();
        let _hangs = locks.lock(ANA).await;
        let start = Instant::now();
        assert!(locks.lock(ANA).await.is_none());
        assert_eq!(start.elapsed().as_secs(), WAIT_MAX.as_secs());
    }
}
