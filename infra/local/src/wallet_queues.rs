//! Callers of one wallet, one after another.
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

/// Wallets of one queue wait for each other without need, so there are many more than callers.
const QUEUES: usize = 1_024;
/// After this wait a call goes ahead: a call that hangs must not stop all others of its wallet.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The queues of all wallets.
pub(crate) struct WalletQueues {
    queues: Box<[Mutex<()>]>,
    hasher: RandomState,
}

/// The field of a request that names the wallet.
#[derive(Deserialize)]
struct Wallet<'a> {
    #[serde(borrow)]
    user_uuid: Cow<'a, str>,
}

impl Default for WalletQueues {
    fn default() -> WalletQueues {
        WalletQueues { queues: (0..QUEUES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl WalletQueues {
    /// Waits until earlier calls with this user have ended. The turn ends when the guard is
    /// dropped. There is none for a request without a user.
    pub(crate) async fn turn(&self, body: &[u8]) -> Option<MutexGuard<'_, ()>> {
        let Wallet { user_uuid } = serde_json::from_slice(body).ok()?;
        let queues = u64::try_from(self.queues.len()).ok()?;
        let nth = usize::try_from(self.hasher.hash_one(user_uuid) % queues).ok()?;
        timeout(WAIT_MAX, self.queues.get(nth)?.lock()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::Instant};

    use super::*;

    const ANA: &[u8] = br#"{"user_uuid":"ana","credits":1}"#;

    #[tokio::test]
    async fn calls_of_a_wallet_take_turns() {
        let queues = WalletQueues::default();
        let first = queues.turn(ANA).await;
        assert!(first.is_some());
        let second = queues.turn(br#"{"credits":2,"user_uuid":"\u0061na"}"#);
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
    async fn requests_without_a_user_have_no_turn() {
        let queues = WalletQueues::default();
        for body in [&b""[..], b"{}", b"[]", br#"{"user_uuid":7}"#, b"\xff"] {
            assert!(queues.turn(body).await.is_none(), "{body:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_goes_ahead_after_the_longest_wait() {
        let queues = WalletQueues::default();
        let _hangs = queues.turn(ANA).await;
        let start = Instant::now();
        assert!(queues.turn(ANA).await.is_none());
        assert_eq!(start.elapsed().as_secs(), WAIT_MAX.as_secs());
    }
}
