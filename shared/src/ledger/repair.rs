use std::collections::BTreeSet;

use super::{Ledger, retry::Tries, user_snapshot::UserSnapshot};
use crate::{
    domain::{Discrepancy, LedgerError, Timestamp, TransNo, UserUuid, Wallet},
    store::{self, Commit, KeptWallet, Transaction, WalletStep},
};

/// How a user's wallet is mended, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// All that is wrong, or was before.
    pub discrepancies: BTreeSet<Discrepancy>,
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
        let (kept, snapshot) = self.still(user, &mut Tries::until(deadline), deadline).await?;
        self.planned(user, kept.as_ref(), snapshot, deadline).await
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
        let (nonce, mut tries) = (self.nonce(), Tries::until(deadline));
        let mut sent: Option<Repair> = None;
        loop {
            let (kept, snapshot) = self.still(user, &mut tries, deadline).await?;
            let ours = snapshot.repairs.iter().find(|repair| repair.is_of(nonce)).copied();
            // The answer to what was sent was lost.
            if let (Some(sent), Some(_)) = (&sent, ours) {
                return Ok(Repair { written: ours, ..sent.clone() });
            }
            let planned = self.planned(user, kept.as_ref(), snapshot, deadline).await?;
            let Some((after, version)) =
                planned.after.clone().and_then(|after| after.version.map(|at| (after, at)))
            else {
                return Ok(planned);
            };
            let trans_no = TransNo::new(version, nonce);
            let discrepancies = planned.discrepancies.iter().map(Discrepancy::to_string).collect();
            let repair = store::Repair { trans_no, faults: discrepancies, before: kept, after };
            let wallet = WalletStep::Repaired(&repair);
            let transaction = Transaction { user, records: Vec::new(), wallet };
            match self.commit(&transaction, &mut tries).await? {
                Commit::Done => return Ok(Repair { written: Some(trans_no), ..planned }),
                Commit::Refused { .. } => self.pause(&mut tries, LedgerError::Busy).await?,
            }
            sent = Some(planned);
        }
    }

    /// The wallet and all records, between which nobody wrote.
    async fn still(
        &self,
        user: &UserUuid,
        tries: &mut Tries,
        deadline: Timestamp,
    ) -> Result<(Option<KeptWallet>, UserSnapshot), LedgerError> {
        loop {
            let kept = self.kept_wallet(user, deadline).await?;
            let snapshot = self.records(user, None, deadline).await?;
            if self.kept_wallet(user, deadline).await? == kept {
                return Ok((kept, snapshot));
            }
            self.pause(tries, LedgerError::Busy).await?;
        }
    }

    /// What is wrong, and the wallet that would put it right.
    async fn planned(
        &self,
        user: &UserUuid,
        kept: Option<&KeptWallet>,
        snapshot: UserSnapshot,
        deadline: Timestamp,
    ) -> Result<Repair, LedgerError> {
        let before = kept.and_then(KeptWallet::wallet);
        let mut snapshot = snapshot.ended_with(before.as_ref());
        for discrepancy in self.index_faults(user, &snapshot, deadline).await? {
            snapshot.rebuild.note(discrepancy);
        }
        if before.as_ref().is_some_and(|wallet| wallet.version < snapshot.rebuild.latest()) {
            snapshot.rebuild.note(Discrepancy::WalletBehind);
        }
        let (rebuild, now) = (snapshot.rebuild, self.now());
        let none = Wallet::default();
        let compared = if kept.is_none() { Some(&none) } else { before.as_ref() };
        let discrepancies = rebuild.discrepancies(compared, now);
        let is_mendable = !discrepancies.is_empty() && discrepancies.iter().all(Discrepancy::is_repairable);
        let after = is_mendable.then(|| rebuild.wallet(before.as_ref(), now)).transpose()?;
        Ok(Repair { discrepancies, records: rebuild.counts().0, before, after, written: None })
    }
}
