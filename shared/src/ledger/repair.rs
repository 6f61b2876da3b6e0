//! The repair of a user's wallet: replaces it by the wallet that the records give.

use std::pin::pin;

use super::{
    Ledger,
    comparison::{COMPARISONS_MAX, Comparison},
    retry::RetryState,
};
use crate::{
    domain::{Discrepancies, Discrepancy, LedgerError, Timestamp, TransNo, UserId, Wallet},
    store::{self, Commit, RawWallet, StoreError},
};

/// The plan or the result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The discrepancies before the repair.
    pub discrepancies: Discrepancies,
    /// The number of records.
    pub records: u64,
    /// The wallet before; absent if it is missing or unreadable.
    pub before: Option<Wallet>,
    /// The wallet that the records give; absent if there is no discrepancy, or one that the
    /// repair of the wallet does not correct.
    pub after: Option<Wallet>,
    /// The identity of the repair; absent if nothing was written.
    pub trans_no: Option<TransNo>,
}

impl Ledger {
    /// Plans the repair of a user's wallet, and writes nothing.
    ///
    /// # Errors
    /// `Busy`, also if the wallet changes all the time; `LimitExceeded` if the records exceed a
    /// limit of a wallet; `StoreUnavailable` or `Internal`.
    pub async fn plan_repair(&self, user: &UserId, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (stored_wallet, comparison) =
            self.confirm(user, &mut RetryState::until(deadline), deadline).await?;
        self.plan(user, stored_wallet.as_ref(), comparison, deadline).await
    }

    /// Repairs a user's wallet, if only the wallet is wrong:
    ///
    /// ```text
    /// compare twice, until the wallet is the same both times
    ///   -> plan -> commit the wallet, if its version is unchanged, and the repair trail
    ///                -> the condition failed: compare again
    /// ```
    ///
    /// # Errors
    /// The same as [`Ledger::plan_repair`].
    pub async fn repair(&self, user: &UserId, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (invocation_id, mut retries) = (self.invocation_id(), RetryState::until(deadline));
        let mut sent: Option<Repair> = None;
        loop {
            let (stored_wallet, comparison) = self.confirm(user, &mut retries, deadline).await?;
            let own_repair =
                comparison.snapshot.repairs.iter().find(|repair| repair.is_from(invocation_id)).copied();
            // The transaction was committed, but its response was lost.
            if let (Some(sent), Some(_)) = (&sent, own_repair) {
                return Ok(Repair { trans_no: own_repair, ..sent.clone() });
            }
            let planned = self.plan(user, stored_wallet.as_ref(), comparison, deadline).await?;
            let Some((after, version)) =
                planned.after.clone().and_then(|after| after.version.map(|at| (after, at)))
            else {
                return Ok(planned);
            };
            let trans_no = TransNo::new(version, invocation_id);
            let faults = planned.discrepancies.listed().map(Discrepancy::to_string).collect();
            let repair = store::Repair { trans_no, faults, before: stored_wallet, after };
            if self.commit_repair(user, &repair, &mut retries).await? {
                return Ok(Repair { trans_no: Some(trans_no), ..planned });
            }
            self.pause(&mut retries, LedgerError::Busy).await?;
            sent = Some(planned);
        }
    }

    /// Commits a repair, and sends it again while its outcome is unknown. Returns false if a
    /// condition failed, or after a conflict.
    async fn commit_repair(
        &self,
        user: &UserId,
        repair: &store::Repair,
        retries: &mut RetryState,
    ) -> Result<bool, LedgerError> {
        let token = self.request_token();
        loop {
            let send = pin!(self.store.commit_repair(user, repair, token));
            match self.time_commit(retries, send).await {
                Ok(Commit::Done) => return Ok(true),
                Ok(Commit::Refused(_) | Commit::Conflict) | Err(StoreError::TokenMismatch(_)) => {
                    return Ok(false);
                }
                Err(error) => self.pause_after_failure(error, retries).await?,
            }
        }
    }

    /// Compares the wallet with the records until the result is confirmed. Discrepancies that a
    /// repair corrects are confirmed only if the wallet is the same as at the comparison
    /// before: a read during a transaction may return its wallet before its record, and a
    /// repair by such a read would lose the credits of the record.
    async fn confirm(
        &self,
        user: &UserId,
        retries: &mut RetryState,
        deadline: Timestamp,
    ) -> Result<(Option<RawWallet>, Comparison), LedgerError> {
        let (mut previous, mut comparisons) = (None, 1);
        loop {
            let (stored_wallet, comparison) = self.compare_unchanged(user, retries, deadline).await?;
            let is_confirmed = if comparison.is_repairable() {
                previous.as_ref() == Some(&stored_wallet)
            } else {
                comparison.is_clean() || comparisons >= COMPARISONS_MAX
            };
            if is_confirmed {
                return Ok((stored_wallet, comparison));
            }
            (previous, comparisons) = (Some(stored_wallet), comparisons + 1);
            self.wait_before_next_comparison(deadline).await?;
        }
    }

    /// Compares the wallet with all records. Repeats if the wallet changed between the reads.
    async fn compare_unchanged(
        &self,
        user: &UserId,
        retries: &mut RetryState,
        deadline: Timestamp,
    ) -> Result<(Option<RawWallet>, Comparison), LedgerError> {
        loop {
            let stored_wallet = self.raw_wallet(user, deadline).await?;
            let snapshot = self.snapshot(user, None, deadline).await?;
            if self.raw_wallet(user, deadline).await? != stored_wallet {
                self.pause(retries, LedgerError::Busy).await?;
                continue;
            }
            let empty = stored_wallet.is_none().then(Wallet::default);
            let wallet = stored_wallet.as_ref().and_then(RawWallet::wallet).or(empty);
            let mut snapshot = snapshot.until_last_change(wallet.as_ref());
            let version = wallet.as_ref().map(|wallet| wallet.version);
            if stored_wallet.is_some() && version.is_some_and(|version| version < snapshot.rebuild.latest()) {
                snapshot.rebuild.add_discrepancy(Discrepancy::WalletBehind);
            }
            let comparison = self.compare(user, wallet.as_ref(), snapshot, deadline).await?;
            return Ok((stored_wallet, comparison));
        }
    }

    /// Plans the repair of the discrepancies of a comparison.
    async fn plan(
        &self,
        user: &UserId,
        stored_wallet: Option<&RawWallet>,
        mut comparison: Comparison,
        deadline: Timestamp,
    ) -> Result<Repair, LedgerError> {
        self.identify_discrepancies(user, &mut comparison, deadline).await?;
        let before = stored_wallet.and_then(RawWallet::wallet);
        let Comparison { snapshot, discrepancies, .. } = comparison;
        let is_repairable = discrepancies.is_repairable();
        let after =
            is_repairable.then(|| snapshot.rebuild.wallet(before.as_ref(), self.now())).transpose()?;
        let is_blocked = stored_wallet.is_some_and(RawWallet::is_blocked);
        let after = after.map(|wallet| Wallet { is_blocked, ..wallet });
        Ok(Repair { discrepancies, records: snapshot.rebuild.counts().0, before, after, trans_no: None })
    }
}
