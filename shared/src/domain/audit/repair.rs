//! The wallet that a repair puts in the place of the stored one.

use super::WalletRebuild;
use crate::domain::{Credits, LedgerError, Pack, Timestamp, Wallet, discrepancy::is_ahead};

impl WalletRebuild {
    /// The wallet that the records give: later than all of them, and later than `from`, the
    /// wallet that it replaces, unless that one is ahead of the clock. The records must
    /// have no discrepancies.
    ///
    /// # Errors
    /// `LimitExceeded` where they give more than a wallet holds, `Internal` where a pack
    /// has less than nothing left.
    pub fn wallet(&self, from: Option<&Wallet>, now: Timestamp) -> Result<Wallet, LedgerError> {
        let version = from.and_then(|wallet| wallet.version).filter(|version| !is_ahead(*version, now));
        let before = self.latest.max(version);
        let packs: Result<Vec<_>, LedgerError> = self.packs.values().map(|rebuilt| rebuilt.pack()).collect();
        let wallet = Wallet {
            version: before,
            packs: packs?.into_iter().flatten().collect(),
            totals: self.totals.clone(),
            has_keyed_charges: self.has_keyed_charges,
            fences: self.fences,
        };
        wallet.normalized(now)
    }
}

impl super::RebuiltPack {
    /// What is left, if anything.
    fn pack(&self) -> Result<Option<Pack>, LedgerError> {
        let remaining =
            u64::try_from(self.remaining()).ok().and_then(|credits| Credits::try_from(credits).ok());
        let overdrawn = || LedgerError::Internal(format!("pack {} is overdrawn", self.grant.trans_no));
        let remaining = remaining.ok_or_else(overdrawn)?;
        Ok((!remaining.is_zero()).then(|| Pack { grant: self.grant.clone(), remaining }))
    }
}
