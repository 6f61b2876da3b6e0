//! The retry policy of all calls: which failures are retried, the pauses, and the limits.

use std::pin::{Pin, pin};

use tokio::time::{Duration, sleep, timeout};

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp},
    invocation_metrics,
    store::{Commit, StoreError},
};

/// The limit of the first pause, or the duration of the last transaction if that is longer.
/// The limit doubles with each pause. A pause is uniformly random up to the limit ("full
/// jitter").
const PAUSE_FIRST_MILLIS: i64 = 40;
/// The largest limit of a pause, or four times the duration of the last transaction if that is
/// longer, so that an overloaded engine gets fewer requests.
const PAUSE_MAX_MILLIS: i64 = 500;
/// The number of consecutive calls without a response after which the work fails.
const UNANSWERED_CALLS_MAX: u32 = 4;

/// The retries of one execution.
pub(super) struct RetryState {
    deadline: Timestamp,
    pauses: u32,
    unanswered: u32,
    has_wallet_changed: bool,
    /// The time of the first contention since the last commit.
    contended_since: Option<Timestamp>,
    /// Whether the outcome of an earlier transaction is unknown.
    is_outcome_unknown: bool,
    /// The duration of the last transaction.
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

    /// Whether this is the first changed wallet since the last commit. It counts as a retry.
    pub(super) fn is_first_wallet_change(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.has_wallet_changed, true);
        invocation_metrics::record(|metrics| metrics.retries += u64::from(is_first));
        is_first
    }

    /// Resets the limits after a commit.
    pub(super) fn reset_after_commit(&mut self) {
        (self.pauses, self.unanswered, self.has_wallet_changed, self.contended_since) = (0, 0, false, None);
    }

    /// Resets the count of calls without a response.
    pub(super) fn reset_unanswered(&mut self) {
        self.unanswered = 0;
    }

    /// Prevents `Busy`, which means that nothing was written.
    pub(super) fn set_outcome_unknown(&mut self) {
        self.is_outcome_unknown = true;
    }

    /// The error for the caller: not `Busy` if the outcome of a transaction is unknown.
    pub(super) fn rejection(&self, error: LedgerError) -> LedgerError {
        if error == LedgerError::Busy && self.is_outcome_unknown {
            LedgerError::StoreUnavailable
        } else {
            error
        }
    }
}

impl Ledger {
    /// Reads with retries.
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

    /// Reads with the retries of an execution.
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

    /// Sends a transaction once, and measures its duration.
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
        if matches!(result, Ok(Commit::Refused(_) | Commit::Conflict)) {
            invocation_metrics::record(|metrics| metrics.conflicts += 1);
        }
        result
    }

    /// Ends a call at the deadline, and starts none after it. The caller pins the future,
    /// because it has several kilobytes and each move is a copy.
    async fn call_with_deadline<T>(
        &self,
        deadline: Timestamp,
        call: Pin<&mut impl Future<Output = Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        let Ok(millis @ 1..) = u64::try_from(deadline.millis() - self.now().millis()) else {
            return Err(StoreError::DeadlineExceeded);
        };
        invocation_metrics::record(|metrics| metrics.round_trips += 1);
        let no_answer = || Err(StoreError::Unavailable("no response before the deadline".to_owned()));
        timeout(Duration::from_millis(millis), call).await.unwrap_or_else(|_| no_answer())
    }

    /// Pauses after a failure that can be retried.
    ///
    /// # Errors
    /// The error for the caller, if it cannot be retried.
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
            StoreError::Unavailable(reason) => {
                retries.unanswered += 1;
                tracing::warn!(reason, unanswered = retries.unanswered, "DynamoDB did not respond");
                if retries.unanswered < UNANSWERED_CALLS_MAX {
                    self.pause(retries, LedgerError::StoreUnavailable).await
                } else {
                    Err(LedgerError::StoreUnavailable)
                }
            }
            StoreError::Denied(reason) => {
                tracing::error!(reason, "DynamoDB rejected the credentials");
                Err(LedgerError::StoreUnavailable)
            }
            StoreError::NewerFormat(reason) => {
                tracing::error!(reason, "an item has a newer format than this version reads");
                Err(LedgerError::StoreUnavailable)
            }
            StoreError::TokenMismatch(reason) | StoreError::Corrupt(reason) | StoreError::Other(reason) => {
                Err(LedgerError::Internal(reason))
            }
        }
    }

    /// Pauses before a retry.
    ///
    /// # Errors
    /// `timeout_error` if the deadline, or the time for contention, has passed.
    pub(super) async fn pause(
        &self,
        retries: &mut RetryState,
        timeout_error: LedgerError,
    ) -> Result<(), LedgerError> {
        invocation_metrics::record(|metrics| metrics.retries += 1);
        let now = self.now();
        let timeout_error = retries.rejection(timeout_error);
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
