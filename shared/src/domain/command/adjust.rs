//! The plan that adjusts a charge: settlements, returned outputs and deliveries.

use super::{Plan, RecordChange, View};
use crate::domain::{
    Adjustment, AdjustmentKind, Charge, CreditSum, Effect, LedgerError, LedgerLimit, Settlement, Timestamp,
    Wallet,
};

impl Wallet {
    /// Plans an adjustment of a charge, and the repayments by the credits that it returns.
    ///
    /// # Errors
    /// `LimitExceeded` for too many packs, debts or parts; `Internal` if wallet and charge
    /// contradict each other.
    pub(super) fn adjust(
        &self,
        charge: &Charge,
        mut kind: AdjustmentKind,
        view: &View,
        now: Timestamp,
    ) -> Result<Plan, LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        wallet.check_debt(charge.trans_no, charge.state().debt())?;
        let mut effects = charge.state().adjust(&kind);
        let filled = wallet.fills(&effects);
        Effect::add_fills(&mut effects, &filled);
        wallet.apply(effects, at)?;
        wallet.charge_totals().try_fold(CreditSum::default(), CreditSum::checked_add)?;
        let (sum, repayments) = wallet.repay(view.invocation, at)?;
        if wallet.packs.len() > Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks));
        }
        if let AdjustmentKind::Settled(Settlement { repaid, fills, .. })
        | AdjustmentKind::Returned { repaid, fills, .. } = &mut kind
        {
            (*repaid, *fills) = (sum, filled);
        }
        let key = charge
            .record_key()
            .ok_or_else(|| LedgerError::Internal("an adjustment without a key".to_owned()))?;
        let adjustment = Adjustment { at, invocation: view.invocation, kind };
        let mut changes = vec![RecordChange::Adjust(key, charge.version(), adjustment)];
        changes.extend(repayments);
        Ok(Plan { wallet: Some(wallet), changes, ..Plan::default() })
    }
}
