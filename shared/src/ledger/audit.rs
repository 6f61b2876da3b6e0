//! An audit: a user's wallet and index entries compared with the records.

use std::collections::BTreeSet;

use super::{Ledger, user_snapshot::UserSnapshot};
use crate::{
    domain::{Discrepancy, GenerationUuid, LedgerError, Timestamp, UserUuid, Wallet},
    store::KeptWallet,
};

/// What a user's items are found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many records the user has.
    pub records: u64,
    /// How many of them are voided.
    pub voided: u64,
    /// One of the generations that the user was charged for.
    pub generation: Option<GenerationUuid>,
    /// All that is wrong.
    pub discrepancies: BTreeSet<Discrepancy>,
}

impl Ledger {
    /// Holds a user's wallet and index entries against the records. The user may be
    /// written to meanwhile: it is judged as of the wallet that is read first.
    ///
    /// # Errors
    /// What every call may end with; damage is no error.
    pub async fn audit(&self, user: &UserUuid, deadline: Timestamp) -> Result<AuditReport, LedgerError> {
        let (wallet, mut snapshot) = self.snapshot(user, deadline).await?;
        for discrepancy in self.index_faults(user, &snapshot, deadline).await? {
            snapshot.rebuild.note(discrepancy);
        }
        let (records, voided) = snapshot.rebuild.counts();
        let discrepancies = snapshot.rebuild.discrepancies(wallet.as_ref(), self.now());
        let generation = snapshot.charges.into_values().next().map(|(generation, _)| generation);
        Ok(AuditReport { records, voided, generation, discrepancies })
    }

    /// The wallet, where it can be read, and then all records as of it.
    async fn snapshot(
        &self,
        user: &UserUuid,
        deadline: Timestamp,
    ) -> Result<(Option<Wallet>, UserSnapshot), LedgerError> {
        loop {
            let kept = self.kept_wallet(user, deadline).await?;
            let wallet = kept.as_ref().map_or_else(|| Some(Wallet::default()), KeptWallet::wallet);
            let as_of = wallet.as_ref().and_then(|wallet| wallet.version);
            let mut snapshot = self.records(user, as_of, deadline).await?;
            // The first grant came after the look at the wallet.
            if kept.is_none() && snapshot.has_wallet {
                continue;
            }
            if as_of.is_some() && as_of < snapshot.rebuild.latest() {
                let now = self.kept_wallet(user, deadline).await?;
                let version = now.as_ref().and_then(KeptWallet::wallet).and_then(|wallet| wallet.version);
                if version < snapshot.rebuild.latest() {
                    snapshot.rebuild.note(Discrepancy::WalletBehind);
                }
            }
            return Ok((wallet, snapshot));
        }
    }
}
