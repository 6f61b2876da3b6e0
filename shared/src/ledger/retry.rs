//! One policy for every call: what is retried, after which pause, and until when.

use std::pin::{Pin, pin};

use tokio::time::{Duration, sleep, timeout};

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp},
    invocation_metrics,
    store::{Commit, StoreError},
};

/// The first pause is at most this long, or as long as the last transaction took
/// if that is longer; each further one at most twice the one before. A pause is
/// drawn evenly from zero to that ("full jitter").
const PAUSE_FIRST_MILLIS: i64 = 40;
/// No pause is longer than this, or than four times the last transaction: an
/// engine that is slow because it has too many requests gets fewer.
const PAUSE_MAX_MILLIS: i64 = 500;
/// How often a call that got no answer is sent.
const UNANSWERED_CALLS_MAX: u32 = 4;

/// The retries of one piece of work.
pub(super) struct RetryState {
    deadline: Timestamp,
    pauses: u32,
    unanswered: u32,
    has_wallet_changed: bool,
    /// Since when the work meets contention.
    contended_since: Option<Timestamp>,
    /// Whether a transaction of unknown outcome was left behind.
    is_outcome_unknown: bool,
    /// How long the last transaction took.
    round_trip_millis: i64,
}

impl RetryState {
    pub(super) fn until(deadline: Timestamp) -> RetryState {
        RetryState {
            deadline,
            pauses: 0,
            unanswered: 0,
            has_wallet_changed: false,
            contended_since: None,
            is_outcome_unknown: false,
            round_trip_millis: 0,
        }
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Whether the wallet has moved for the first time; it counts as a retry.
    pub(super) fn is_first_wallet_change(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.has_wallet_changed, true);
        invocation_metrics::record(|metrics| metrics.retries += u64::from(is_first));
        is_first
    }

    /// A transaction was committed: the next one has a budget of its own.
    pub(super) fn reset_after_commit(&mut self) {
        (self.pauses, self.unanswered, self.has_wallet_changed, self.contended_since) = (0, 0, false, None);
    }

    /// DynamoDB answers again: what got no answer may have been too large.
    pub(super) fn reset_unanswered(&mut self) {
        self.unanswered = 0;
    }

    /// From now on nothing may be called undone.
    pub(super) fn set_outcome_unknown(&mut self) {
        self.is_outcome_unknown = true;
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
        self.read_with(&mut RetryState::until(deadline), call).await
    }

    /// The same as a part of other work.
    pub(super) async fn read_with<T, Call, Answer>(
        &self,
        retries: &mut RetryState,
        call: Call,
    ) -> Result<T, LedgerError>
    where
        Call: Fn() -> Answer,
        Answer: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match self.call_with_deadline(retries.deadline, pin!(call())).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause_after_failure(error, retries).await?,
            }
        }
    }

    /// Sends a transaction once, and measures it.
    pub(super) async fn time_commit(
        &self,
        retries: &mut RetryState,
        send: Pin<&mut impl Future<Output = Result<Commit, StoreError>>>,
    ) -> Result<Commit, StoreError> {
        let started_at = self.now();
        let result = match self.call_with_deadline(retries.deadline, send).await {
            Err(StoreError::Contended) => Ok(Commit::Conflict),
            result => result,
        };
        retries.round_trip_millis = (self.now().millis() - started_at.millis()).min(PAUSE_MAX_MILLIS);
        if matches!(result, Ok(Commit::Refused { .. } | Commit::Conflict)) {
            invocation_metrics::record(|metrics| metrics.conflicts += 1);
        }
        result
    }

    /// No call outlives the deadline, and none begins after it. The future is pinned by the
    /// caller: it is several kilobytes, and each move is a copy.
    async fn call_with_deadline<T>(
        &self,
        deadline: Timestamp,
        call: Pin<&mut impl Future<Output = Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        let Ok(millis @ 1..) = u64::try_from(deadline.millis() - self.now().millis()) else {
            return Err(StoreError::DeadlineExceeded);
        };
        invocation_metrics::record(|metrics| metrics.round_trips += 1);
        let no_answer = || Err(StoreError::Unavailable("no answer before the deadline".to_owned()));
        timeout(Duration::from_millis(millis), call).await.unwrap_or_else(|_| no_answer())
    }

    /// Pauses after a failure that may be retried.
    ///
    /// # Errors
    /// What a caller gets where it may not.
    pub(super) async fn pause_after_failure(
        &self,
        error: StoreError,
        retries: &mut RetryState,
    ) -> Result<(), LedgerError> {
        match error {
            StoreError::Contended => self.pause(retries, LedgerError::Busy).await,
            StoreError::DeadlineExceeded
                if retries.contended_since.is_some() && !retries.is_outcome_unknown =>
            {
                Err(LedgerError::Busy)
            }
            StoreError::DeadlineExceeded => Err(LedgerError::StoreUnavailable),
            StoreError::Unavailable(why) => {
                retries.unanswered += 1;
                tracing::warn!(why, unanswered = retries.unanswered, "DynamoDB did not answer");
                if retries.unanswered < UNANSWERED_CALLS_MAX {
                    self.pause(retries, LedgerError::StoreUnavailable).await
                } else {
                    Err(LedgerError::StoreUnavailable)
                }
            }
            StoreError::Denied(why) => {
                tracing::error!(why, "DynamoDB refused the service's credentials");
                Err(LedgerError::StoreUnavailable)
            }
            StoreError::NewerFormat(why) => {
                tracing::error!(why, "an item needs a newer version of the service");
                Err(LedgerError::StoreUnavailable)
            }
            StoreError::TokenMismatch(why) | StoreError::Corrupt(why) | StoreError::Other(why) => {
                Err(LedgerError::Internal(why))
            }
        }
    }

    /// Pauses before a retry.
    ///
    /// # Errors
    /// `timeout_error` where the deadline, or the time for contention, has passed.
    pub(super) async fn pause(
        &self,
        retries: &mut RetryState,
        timeout_error: LedgerError,
    ) -> Result<(), LedgerError> {
        invocation_metrics::record(|metrics| metrics.retries += 1);
        let now = self.now();
        let timeout_error =
            if retries.is_outcome_unknown { LedgerError::StoreUnavailable } else { timeout_error };
        let mut remaining = retries.deadline.millis() - now.millis();
        if timeout_error == LedgerError::Busy {
            let since = *retries.contended_since.get_or_insert(now);
            remaining = remaining.min(since.millis() + self.contention_millis - now.millis());
        }
        if remaining <= 0 {
            return Err(timeout_error);
        }
        let first = retries.round_trip_millis.max(PAUSE_FIRST_MILLIS);
        let longest =
            (first << retries.pauses.min(16)).min(PAUSE_MAX_MILLIS.max(4 * retries.round_trip_millis));
        retries.pauses += 1;
        let random = (self.clock_and_random.random)().as_u128() % u128::from(longest.unsigned_abs());
        let pause = u64::try_from(random).unwrap_or(0).min(remaining.unsigned_abs());
        sleep(Duration::from_millis(pause)).await;
        Ok(())
    }
}
