//! The wallet that a repair stores.

use std::collections::BTreeMap;

use super::WalletRebuild;
use crate::domain::{Credits, LedgerError, Pack, Timestamp, TransNo, Wallet, discrepancy::is_ahead};

impl WalletRebuild {
    /// The wallet that the records give, which do not show a block. Its version is later than
    /// all records, and later than that of the wallet `from` which it replaces, unless that one
    /// is ahead of the clock. The records must have no discrepancies.
    ///
    /// # Errors
    /// `LimitExceeded` if the records exceed a limit of a wallet, `Internal` if charges took
    /// more from a pack than was granted.
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
            debts: self.debts.values().cloned().collect(),
            revoked: rebuilt_credits(self.revoked, "the revoked credits are")?,
            shortfalls: self.rebuilt_shortfalls()?,
            is_blocked: false,
        };
        wallet.normalized(now)
    }

    fn rebuilt_shortfalls(&self) -> Result<BTreeMap<TransNo, Credits>, LedgerError> {
        let open = self.shortfalls.iter().filter(|(_, credits)| **credits != 0);
        open.map(|(grant, credits)| Ok((*grant, rebuilt_credits(*credits, "a shortfall is")?))).collect()
    }
}

fn rebuilt_credits(credits: i128, what: &str) -> Result<Credits, LedgerError> {
    let credits = u64::try_from(credits).ok().and_then(|credits| credits.try_into().ok());
    credits.ok_or_else(|| LedgerError::Internal(format!("by the records {what} negative")))
}

impl super::RebuiltPack {
    /// The pack of a wallet, unless it is empty.
    fn pack(&self) -> Result<Option<Pack>, LedgerError> {
        let remaining =
            u64::try_from(self.remaining()).ok().and_then(|credits| Credits::try_from(credits).ok());
        let overdrawn = || LedgerError::Internal(format!("pack {} is overdrawn", self.grant.trans_no));
        let remaining = remaining.ok_or_else(overdrawn)?;
        Ok((!remaining.is_zero()).then(|| Pack { grant: self.grant.clone(), remaining }))
    }
}
