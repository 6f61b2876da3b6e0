//! The revoked credits of a wallet, and the shortfalls of its revoked orders.

use std::collections::BTreeMap;

use super::{Credits, Effect, Grant, LedgerError, LedgerLimit, ShortfallFill, TransNo, Wallet};

impl Wallet {
    /// The shortfall of the order of a grant.
    pub fn shortfall(&self, grant: TransNo) -> Credits {
        self.shortfalls.get(&grant).copied().unwrap_or_default()
    }

    /// How the credits that these effects return fill shortfalls.
    pub(super) fn fills(&self, effects: &[Effect<'_>]) -> Vec<ShortfallFill> {
        let mut returned: BTreeMap<TransNo, Credits> = BTreeMap::new();
        if !self.shortfalls.is_empty() {
            for effect in effects {
                if let Effect::Returned(grant, credits) = effect {
                    let sum = returned.entry(grant.trans_no).or_default();
                    *sum = [*sum, *credits].into_iter().sum();
                }
            }
        }
        let fill = |(pack, credits): (TransNo, Credits)| {
            let credits = credits.min(self.shortfall(pack));
            (!credits.is_zero()).then_some(ShortfallFill { pack, credits })
        };
        returned.into_iter().filter_map(fill).collect()
    }

    pub(super) fn restore_revoked(&mut self, credits: Credits) -> Result<(), LedgerError> {
        let contradiction = || LedgerError::Internal("the wallet contradicts its revoked credits".to_owned());
        self.revoked = self.revoked.checked_sub(credits).ok_or_else(contradiction)?;
        Ok(())
    }

    pub(super) fn add_shortfall(&mut self, grant: &Grant, credits: Credits) -> Result<(), LedgerError> {
        let sum = self.shortfall(grant.trans_no).checked_add(credits)?;
        self.shortfalls.insert(grant.trans_no, sum);
        if self.shortfalls.len() > Wallet::SHORTFALLS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Shortfalls));
        }
        Ok(())
    }

    pub(super) fn reduce_shortfall(&mut self, grant: &Grant, credits: Credits) -> Result<(), LedgerError> {
        let trans_no = grant.trans_no;
        let contradiction =
            || LedgerError::Internal(format!("the wallet contradicts the shortfall of {trans_no}"));
        let rest = self.shortfall(trans_no).checked_sub(credits).ok_or_else(contradiction)?;
        if rest.is_zero() {
            self.shortfalls.remove(&trans_no);
        } else {
            self.shortfalls.insert(trans_no, rest);
        }
        Ok(())
    }
}
