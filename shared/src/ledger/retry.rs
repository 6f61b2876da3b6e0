//! One policy for every call: what may be tried again, when, and until when.

use std::pin::{Pin, pin};

use tokio::time::{Duration, sleep, timeout};

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp, UserUuid, Wallet},
    meter,
    store::{Commit, StoreError, Transaction},
};

/// The first pause is at most this long, or as long as the last transaction took
/// if that is longer; each further one at most twice the one before. A pause is
/// drawn evenly from zero to that ("full jitter").
const PAUSE_FIRST_MILLIS: i64 = 40;
/// No pause is longer than this, or than four times the last transaction. An
/// engine that is slow because it is asked too much is asked less.
const PAUSE_MAX_MILLIS: i64 = 500;
/// How often a call that got no answer is sent.
const UNANSWERED_MAX: u32 = 4;

/// The tries of one piece of work.
pub(super) struct Tries {
    deadline: Timestamp,
    pauses: u32,
    unanswered: u32,
    has_moved: bool,
    /// How long the last transaction took.
    round_trip_millis: i64,
}

impl Tries {
    pub(super) fn until(deadline: Timestamp) -> Tries {
        Tries { deadline, pauses: 0, unanswered: 0, has_moved: false, round_trip_millis: 0 }
    }
}

impl Ledger {
    /// Calls until there is an answer.
    pub(super) async fn read<T, Call, Answer>(
        &self,
        deadline: Timestamp,
        call: Call,
    ) -> Result<T, LedgerError>
    where
        Call: Fn() -> Answer,
        Answer: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = Tries::until(deadline);
        loop {
            match self.within(deadline, pin!(call())).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    /// Commits, or says which condition failed; contention alone refuses without
    /// saying anything. The same transaction goes out under the same token until
    /// DynamoDB says what became of it, so that work done by a call whose answer
    /// was lost is not done again.
    pub(super) async fn commit(
        &self,
        transaction: &Transaction<'_>,
        tries: &mut Tries,
    ) -> Result<Commit, LedgerError> {
        let token = self.nonce();
        let mut is_unknown = false;
        loop {
            let began = self.now();
            let ended = self.within(tries.deadline, pin!(self.store.commit(transaction, token))).await;
            tries.round_trip_millis = (self.now().millis() - began.millis()).min(PAUSE_MAX_MILLIS);
            if matches!(ended, Ok(Commit::Refused { .. }) | Err(StoreError::Contended)) {
                meter::note(|notes| notes.conflicts += 1);
            }
            match ended {
                Ok(commit) => return Ok(commit),
                // `Busy` would say that nothing was done.
                Err(StoreError::Contended) if is_unknown => {
                    self.pause(tries, LedgerError::StoreUnavailable).await?;
                }
                Err(StoreError::Contended) => {
                    return Ok(Commit::Refused { wallet: None, records: Vec::new() });
                }
                Err(error) => {
                    is_unknown |= matches!(error, StoreError::Unavailable(_));
                    self.after(error, tries).await?;
                }
            }
        }
    }

    /// The wallet to plan on after a refusal: at first the one that came along
    /// with it, at once. A second refusal means that many are at this wallet:
    /// then a pause, and the wallet of after the pause, because a plan that has
    /// waited fails, and a failed transaction costs more than a read.
    pub(super) async fn wallet_after(
        &self,
        user: &UserUuid,
        moved: Option<Wallet>,
        tries: &mut Tries,
    ) -> Result<Wallet, LedgerError> {
        match moved {
            Some(wallet) if !std::mem::replace(&mut tries.has_moved, true) => {
                meter::note(|notes| notes.retries += 1);
                Ok(wallet)
            }
            _ => {
                self.pause(tries, LedgerError::Busy).await?;
                self.wallet(user, tries.deadline).await
            }
        }
    }

    /// No call outlives the deadline, and none begins after it. It is pinned where it is
    /// made: it is several kilobytes, and each move is a copy.
    async fn within<T>(
        &self,
        deadline: Timestamp,
        call: Pin<&mut impl Future<Output = Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        let Ok(left @ 1..) = u64::try_from(deadline.millis() - self.now().millis()) else {
            return Err(StoreError::Contended);
        };
        meter::note(|notes| notes.round_trips += 1);
        let late = || Err(StoreError::Unavailable("no answer before the deadline".to_owned()));
        timeout(Duration::from_millis(left), call).await.unwrap_or_else(|_| late())
    }

    async fn after(&self, error: StoreError, tries: &mut Tries) -> Result<(), LedgerError> {
        match error {
            StoreError::Contended => self.pause(tries, LedgerError::Busy).await,
            StoreError::Unavailable(why) => {
                tries.unanswered += 1;
                tracing::warn!(why, unanswered = tries.unanswered, "DynamoDB did not answer");
                if tries.unanswered < UNANSWERED_MAX {
                    self.pause(tries, LedgerError::StoreUnavailable).await
                } else {
                    Err(LedgerError::StoreUnavailable)
                }
            }
            StoreError::Denied(why) => {
                tracing::error!(why, "DynamoDB refused the service's credentials");
                Err(LedgerError::StoreUnavailable)
            }
            StoreError::Corrupt(why) | StoreError::Other(why) => Err(LedgerError::Internal(why)),
        }
    }

    pub(super) async fn pause(&self, tries: &mut Tries, too_late: LedgerError) -> Result<(), LedgerError> {
        meter::note(|notes| notes.retries += 1);
        let first = tries.round_trip_millis.max(PAUSE_FIRST_MILLIS);
        let most = (first << tries.pauses.min(16)).min(PAUSE_MAX_MILLIS.max(4 * tries.round_trip_millis));
        tries.pauses += 1;
        let left = tries.deadline.millis() - self.now().millis();
        if left <= 0 {
            return Err(too_late);
        }
        let drawn = (self.sources.random)().as_u128() % u128::from(most.unsigned_abs());
        let pause = u64::try_from(drawn).unwrap_or(0).min(left.unsigned_abs());
        sleep(Duration::from_millis(pause)).await;
        Ok(())
    }
}
