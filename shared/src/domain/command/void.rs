//! The plan that voids charges, for refunds and for holds that time out.

use super::{Plan, ReadRequest, RecordChange, Step, View};
use crate::domain::{
    Charge, Credits, Effect, LedgerError, LedgerLimit, Reason, RecordKey, Timestamp, Void, Wallet,
};

/// A loaded charge: its key, its record, and the size of its item in bytes.
pub(super) type LoadedCharge<'a> = (&'a RecordKey, &'a Charge, usize);

/// Plans the void of these live charges, or reads a snapshot of them if they contradict the
/// wallet: a void may be visible in the wallet, but not yet in its charge.
pub(super) fn void(
    charges: &[LoadedCharge<'_>],
    reason: &Reason,
    view: &View,
    now: Timestamp,
) -> Result<Step, LedgerError> {
    match plan(charges, reason, view, now) {
        Ok(plan) => Ok(Step::Commit(plan)),
        Err(error) => reread_or_reject(error, charges, view),
    }
}

/// Reads a snapshot of wallet and charges after an error that came from independent reads.
pub(super) fn reread_or_reject(
    error: LedgerError,
    charges: &[LoadedCharge<'_>],
    view: &View,
) -> Result<Step, LedgerError> {
    let keys = charges.iter().map(|(key, ..)| *key);
    if view.is_snapshot_of(keys.clone()) {
        Err(error)
    } else {
        Ok(Step::Read(ReadRequest::Snapshot(keys.cloned().collect())))
    }
}

fn plan(
    charges: &[LoadedCharge<'_>],
    reason: &Reason,
    view: &View,
    now: Timestamp,
) -> Result<Plan, LedgerError> {
    let (mut wallet, at, _) = view.wallet().void(charges.iter().map(|(_, charge, _)| *charge), now)?;
    let (mut repaid, repayments) = wallet.repay(view.invocation, at)?;
    let mut changes: Vec<_> = charges
        .iter()
        .map(|(key, charge, _)| {
            // The first void of the transaction states what all of them repaid.
            let repaid = std::mem::take(&mut repaid);
            let void = Void { at, reason: reason.clone(), invocation: view.invocation, repaid };
            RecordChange::Void((*key).clone(), charge.version(), void)
        })
        .collect();
    changes.extend(repayments);
    Ok(Plan { wallet: Some(wallet), changes, ..Plan::default() })
}

/// The credits that a change returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredCredits {
    /// To usable packs.
    pub restored: Credits,
    /// To expired packs.
    pub expired: Credits,
}

impl RestoredCredits {
    /// Adds an effect, if it returns credits to a pack.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub(super) fn add(&mut self, effect: &Effect<'_>, at: Timestamp) -> Result<(), LedgerError> {
        if let Effect::Returned(grant, credits) = effect {
            let part = if grant.is_usable(at) { &mut self.restored } else { &mut self.expired };
            *part = part.checked_add(*credits)?;
        }
        Ok(())
    }
}

impl Wallet {
    /// Plans the void of live charges: the next wallet, the time of the void, and the credits
    /// that it returns. Credits of an expired pack remain expired.
    ///
    /// # Errors
    /// `LimitExceeded` for more than [`Wallet::PACKS_MAX`] packs; `Internal` if wallet and
    /// charges contradict each other.
    pub fn void<'a>(
        &self,
        charges: impl IntoIterator<Item = &'a Charge>,
        now: Timestamp,
    ) -> Result<(Wallet, Timestamp, RestoredCredits), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let mut returned = RestoredCredits::default();
        for charge in charges {
            wallet.check_debt(charge)?;
            let effects = charge.state().void();
            effects.iter().try_for_each(|effect| returned.add(effect, at))?;
            wallet.apply(effects, at)?;
        }
        if wallet.packs.len() > Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks));
        }
        Ok((wallet, at, returned))
    }
}
