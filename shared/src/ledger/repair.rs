//! The repair of one user's wallet by the records.

use std::pin::pin;

use super::{
    Ledger,
    comparison::{Comparison, LOOKS},
    retry::RetryState,
};
use crate::{
    domain::{Discrepancies, Discrepancy, LedgerError, Timestamp, TransNo, UserId, Wallet},
    store::{self, Commit, RawWallet, StoreError},
};

/// A plan to repair a user's wallet, or the result of the repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong before.
    pub discrepancies: Discrepancies,
    /// How many records the user has.
    pub records: u64,
    /// The wallet before; absent where it is missing or unreadable.
    pub before: Option<Wallet>,
    /// The wallet that the records give; absent where nothing is wrong, and where more is
    /// wrong than the wallet.
    pub after: Option<Wallet>,
    /// The identity of the repair; absent where nothing was written.
    pub written: Option<TransNo>,
}

impl Ledger {
    /// Plans the repair of a user's wallet, and changes nothing.
    ///
    /// # Errors
    /// What every call may end with, `Busy` where the user is written to all the time, and
    /// `LimitExceeded` where the records give more than a wallet holds.
    pub async fn plan_repair(&self, user: &UserId, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (kept, comparison) = self.confirmed(user, &mut RetryState::until(deadline), deadline).await?;
        self.plan(user, kept.as_ref(), comparison, deadline).await
    }

    /// Repairs a user's wallet where it alone is wrong:
    ///
    /// ```text
    /// look twice, until the wallet has not moved between the looks
    ///   -> plan -> put the wallet, if its version is unchanged, and the trail of the repair
    ///                -> refused: look again
    /// ```
    ///
    /// # Errors
    /// As for [`Ledger::plan_repair`].
    pub async fn repair(&self, user: &UserId, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (invocation_id, mut tries) = (self.invocation_id(), RetryState::until(deadline));
        let mut sent: Option<Repair> = None;
        loop {
            let (kept, comparison) = self.confirmed(user, &mut tries, deadline).await?;
            let ours = comparison.snapshot.repairs.iter().find(|repair| repair.is_of(invocation_id)).copied();
            // The transaction was done, and its answer was lost.
            if let (Some(sent), Some(_)) = (&sent, ours) {
                return Ok(Repair { written: ours, ..sent.clone() });
            }
            let planned = self.plan(user, kept.as_ref(), comparison, deadline).await?;
            let Some((after, version)) =
                planned.after.clone().and_then(|after| after.version.map(|at| (after, at)))
            else {
                return Ok(planned);
            };
            let trans_no = TransNo::new(version, invocation_id);
            let faults = planned.discrepancies.named().map(Discrepancy::to_string).collect();
            let repair = store::Repair { trans_no, faults, before: kept, after };
            if self.commit_repair(user, &repair, &mut tries).await? {
                return Ok(Repair { written: Some(trans_no), ..planned });
            }
            self.pause(&mut tries, LedgerError::Busy).await?;
            sent = Some(planned);
        }
    }

    /// Commits a repair, and resends it while its outcome is unknown; false where it was
    /// refused, or met others.
    async fn commit_repair(
        &self,
        user: &UserId,
        repair: &store::Repair,
        tries: &mut RetryState,
    ) -> Result<bool, LedgerError> {
        let token = self.request_token();
        loop {
            let send = pin!(self.store.commit_repair(user, repair, token));
            match self.time_commit(tries, send).await {
                Ok(Commit::Done) => return Ok(true),
                Ok(Commit::Refused { .. } | Commit::Conflict) | Err(StoreError::TokenMismatch(_)) => {
                    return Ok(false);
                }
                Err(error) => self.classify_failure(error, tries).await?,
            }
        }
    }

    /// Compares the wallet with the records until the result is certain. What a repair would
    /// correct is certain only if the wallet has not moved since the look before: a read beside a
    /// transaction may show its wallet and not yet its record, and a repair on such a read
    /// would lose the record's credits.
    async fn confirmed(
        &self,
        user: &UserId,
        tries: &mut RetryState,
        deadline: Timestamp,
    ) -> Result<(Option<RawWallet>, Comparison), LedgerError> {
        let (mut before, mut looks) = (None, 1);
        loop {
            let (kept, comparison) = self.look(user, tries, deadline).await?;
            let is_certain = if comparison.is_repairable() {
                before.as_ref() == Some(&kept)
            } else {
                comparison.is_clean() || looks >= LOOKS
            };
            if is_certain {
                return Ok((kept, comparison));
            }
            (before, looks) = (Some(kept), looks + 1);
            self.wait_for_next_look(deadline).await?;
        }
    }

    /// Compares the wallet with all records, where nothing was written between the reads.
    async fn look(
        &self,
        user: &UserId,
        tries: &mut RetryState,
        deadline: Timestamp,
    ) -> Result<(Option<RawWallet>, Comparison), LedgerError> {
        loop {
            let kept = self.raw_wallet(user, deadline).await?;
            let snapshot = self.snapshot(user, None, deadline).await?;
            if self.raw_wallet(user, deadline).await? != kept {
                self.pause(tries, LedgerError::Busy).await?;
                continue;
            }
            let none = kept.is_none().then(Wallet::default);
            let wallet = kept.as_ref().and_then(RawWallet::wallet).or(none);
            let mut snapshot = snapshot.until_last_change(wallet.as_ref());
            let version = wallet.as_ref().map(|wallet| wallet.version);
            if kept.is_some() && version.is_some_and(|version| version < snapshot.rebuild.latest()) {
                snapshot.rebuild.add_discrepancy(Discrepancy::WalletBehind);
            }
            let comparison = self.compare(user, wallet.as_ref(), snapshot, deadline).await?;
            return Ok((kept, comparison));
        }
    }

    /// The wallet that would correct what differs.
    async fn plan(
        &self,
        user: &UserId,
        kept: Option<&RawWallet>,
        mut comparison: Comparison,
        deadline: Timestamp,
    ) -> Result<Repair, LedgerError> {
        self.name_discrepancies(user, &mut comparison, deadline).await?;
        let before = kept.and_then(RawWallet::wallet);
        let Comparison { snapshot, discrepancies, .. } = comparison;
        let is_repairable = discrepancies.is_repairable();
        let after =
            is_repairable.then(|| snapshot.rebuild.wallet(before.as_ref(), self.now())).transpose()?;
        Ok(Repair { discrepancies, records: snapshot.rebuild.counts().0, before, after, written: None })
    }
}
