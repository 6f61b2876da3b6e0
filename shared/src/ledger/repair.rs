use std::{collections::BTreeSet, pin::pin};

use super::{Ledger, audit::Seen, retry::RetryState};
use crate::{
    domain::{Fault, LedgerError, Timestamp, TransNo, UserUuid, Wallet},
    store::{self, Commit, KeptWallet},
};

/// How a user's wallet is mended, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// All that is wrong, or was before.
    pub faults: BTreeSet<Fault>,
    /// How many records the user has.
    pub records: u64,
    /// The wallet that was found; nothing where none is, or none that can be read.
    pub before: Option<Wallet>,
    /// The wallet that the records give. Nothing where nothing is wrong, and where more is
    /// wrong than the wallet.
    pub after: Option<Wallet>,
    /// Under which identity it was written; nothing where it was not.
    pub written: Option<TransNo>,
}

impl Ledger {
    /// Says how the records would mend a user's wallet, and changes nothing.
    ///
    /// # Errors
    /// What every call may end with, `Busy` where the user is written to all the time, and
    /// `LimitExceeded` where the records give more than a wallet holds.
    pub async fn plan_repair(&self, user: &UserUuid, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (kept, seen) = self.still(user, &mut RetryState::until(deadline), deadline).await?;
        self.planned(user, kept.as_ref(), seen, deadline).await
    }

    /// Puts a user's wallet right where it alone is wrong:
    ///
    /// ```text
    /// read wallet -> read records -> read wallet -> moved: again
    ///                                               plan -> put wallet if unmoved   -> done
    ///                                                       put what is kept of it
    ///                                                          wallet moved -> again
    /// ```
    ///
    /// # Errors
    /// As for [`Ledger::plan_repair`].
    pub async fn repair(&self, user: &UserUuid, deadline: Timestamp) -> Result<Repair, LedgerError> {
        let (nonce, mut tries) = (self.nonce(), RetryState::until(deadline));
        let mut sent: Option<Repair> = None;
        loop {
            let (kept, seen) = self.still(user, &mut tries, deadline).await?;
            let ours = seen.repairs.iter().find(|repair| repair.is_of(nonce)).copied();
            // The answer to what was sent was lost.
            if let (Some(sent), Some(_)) = (&sent, ours) {
                return Ok(Repair { written: ours, ..sent.clone() });
            }
            let planned = self.planned(user, kept.as_ref(), seen, deadline).await?;
            let Some((after, version)) =
                planned.after.clone().and_then(|after| after.version.map(|at| (after, at)))
            else {
                return Ok(planned);
            };
            let trans_no = TransNo::new(version, nonce);
            let faults = planned.faults.iter().map(Fault::to_string).collect();
            let repair = store::Repair { trans_no, faults, before: kept, after };
            let send = pin!(self.store.commit_repair(user, &repair, self.nonce()));
            match self.time_commit(&mut tries, send).await {
                Ok(Commit::Done) => return Ok(Repair { written: Some(trans_no), ..planned }),
                Ok(Commit::Refused { .. } | Commit::Conflict) => {
                    self.pause(&mut tries, LedgerError::Busy).await?;
                }
                // Whether it was done is seen when the user is read again.
                Err(error) => self.classify_failure(error, &mut tries).await?,
            }
            sent = Some(planned);
        }
    }

    /// The wallet and all records, between which nobody wrote.
    async fn still(
        &self,
        user: &UserUuid,
        tries: &mut RetryState,
        deadline: Timestamp,
    ) -> Result<(Option<KeptWallet>, Seen), LedgerError> {
        loop {
            let kept = self.kept_wallet(user, deadline).await?;
            let seen = self.records(user, None, deadline).await?;
            if self.kept_wallet(user, deadline).await? == kept {
                return Ok((kept, seen));
            }
            self.pause(tries, LedgerError::Busy).await?;
        }
    }

    /// What is wrong, and the wallet that would put it right.
    async fn planned(
        &self,
        user: &UserUuid,
        kept: Option<&KeptWallet>,
        seen: Seen,
        deadline: Timestamp,
    ) -> Result<Repair, LedgerError> {
        let before = kept.and_then(KeptWallet::wallet);
        let mut seen = seen.ended_with(before.as_ref());
        for fault in self.index_faults(user, &seen, deadline).await? {
            seen.recount.note(fault);
        }
        if before.as_ref().is_some_and(|wallet| wallet.version < seen.recount.latest()) {
            seen.recount.note(Fault::WalletBehind);
        }
        let (recount, now) = (seen.recount, self.now());
        let none = Wallet::default();
        let compared = if kept.is_none() { Some(&none) } else { before.as_ref() };
        let faults = recount.faults(compared, now);
        let is_mendable = !faults.is_empty() && faults.iter().all(Fault::is_of_wallet);
        let after = is_mendable.then(|| recount.wallet(before.as_ref(), now)).transpose()?;
        Ok(Repair { faults, records: recount.counts().0, before, after, written: None })
    }
}
