//! The audit of one user: compares wallet and indexes with the records.

use super::{Ledger, comparison::COMPARISONS_MAX, user_snapshot::UserSnapshot};
use crate::{
    domain::{Discrepancies, Discrepancy, GenerationId, LedgerError, Timestamp, UserId, Wallet},
    store::RawWallet,
};

/// The result of a user's audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// The number of records.
    pub records: u64,
    /// The number of voided records.
    pub voided: u64,
    /// A generation of one of the user's charges.
    pub generation: Option<GenerationId>,
    /// The discrepancies of the last comparison.
    pub discrepancies: Discrepancies,
}

impl Ledger {
    /// Compares a user's wallet and index entries with the records. Concurrent writes are
    /// allowed: the records are compared as of the version of the wallet, which is read
    /// first.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`. A discrepancy is not an error.
    pub async fn audit(&self, user: &UserId, deadline: Timestamp) -> Result<AuditReport, LedgerError> {
        let mut comparisons = 1;
        let mut comparison = loop {
            let (wallet, snapshot) = self.wallet_and_records(user, deadline).await?;
            let comparison = self.compare(user, wallet.as_ref(), snapshot, deadline).await?;
            if comparison.is_clean() || comparisons == COMPARISONS_MAX {
                break comparison;
            }
            comparisons += 1;
            self.wait_before_next_comparison(deadline).await?;
        };
        self.identify_discrepancies(user, &mut comparison, deadline).await?;
        let (records, voided) = comparison.snapshot.rebuild.counts();
        let charges = comparison.snapshot.charges;
        let generation = charges.into_values().next().map(|(generation, _)| generation);
        Ok(AuditReport { records, voided, generation, discrepancies: comparison.discrepancies })
    }

    /// Reads the wallet, if it is readable, and then the records as of its version.
    async fn wallet_and_records(
        &self,
        user: &UserId,
        deadline: Timestamp,
    ) -> Result<(Option<Wallet>, UserSnapshot), LedgerError> {
        let stored_wallet = self.raw_wallet(user, deadline).await?;
        let wallet = stored_wallet.as_ref().map_or_else(|| Some(Wallet::default()), RawWallet::wallet);
        let as_of = wallet.as_ref().and_then(|wallet| wallet.version);
        let mut snapshot = self.snapshot(user, as_of, deadline).await?;
        if as_of.is_some() && as_of < snapshot.rebuild.latest() {
            let now = self.raw_wallet(user, deadline).await?;
            let version = now.as_ref().and_then(RawWallet::wallet).and_then(|wallet| wallet.version);
            if version < snapshot.rebuild.latest() {
                snapshot.rebuild.add_discrepancy(Discrepancy::WalletBehind);
            }
        }
        Ok((wallet, snapshot))
    }
}
