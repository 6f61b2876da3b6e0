//! The plan that voids charges, for refunds and for holds that time out.

use super::{Plan, ReadRequest, RecordChange, Step, View};
use crate::domain::{
    Charge, Credits, Effect, Grant, LedgerError, LedgerLimit, Reason, RecordKey, ShortfallFill, Timestamp,
    Void, Wallet,
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
    let (mut wallet, at, fills) = view.wallet().void(charges.iter().map(|(_, charge, _)| *charge), now)?;
    let (mut repaid, repayments) = wallet.repay(view.invocation, at)?;
    let mut changes: Vec<_> = charges
        .iter()
        .zip(fills)
        .map(|((key, charge, _), fills)| {
            // The first void of the transaction states what all of them repaid.
            let repaid = std::mem::take(&mut repaid);
            let void = Void { at, reason: reason.clone(), invocation: view.invocation, repaid, fills };
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
    /// To no pack, because they filled the shortfall of a revoked order.
    pub revoked: Credits,
}

impl RestoredCredits {
    /// The sum.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn sum(self) -> Result<Credits, LedgerError> {
        self.restored.checked_add(self.expired)?.checked_add(self.revoked)
    }

    fn part_of(&mut self, grant: &Grant, at: Timestamp) -> &mut Credits {
        if grant.is_usable(at) { &mut self.restored } else { &mut self.expired }
    }

    /// Adds an effect, if it returns credits to a pack.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub(in crate::domain) fn add(&mut self, effect: &Effect<'_>, at: Timestamp) -> Result<(), LedgerError> {
        match effect {
            Effect::Returned(grant, credits) => {
                let part = self.part_of(grant, at);
                *part = part.checked_add(*credits)?;
            }
            Effect::Filled(grant, credits) => {
                let part = self.part_of(grant, at);
                *part = part.checked_sub(*credits).unwrap_or_default();
                self.revoked = self.revoked.checked_add(*credits)?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Wallet {
    /// Plans the void of live charges: the next wallet, the time of the void, and how each void
    /// fills shortfalls. Credits of an expired pack remain expired.
    ///
    /// # Errors
    /// `LimitExceeded` for more than [`Wallet::PACKS_MAX`] packs; `Internal` if wallet and
    /// charges contradict each other.
    pub fn void<'a>(
        &self,
        charges: impl IntoIterator<Item = &'a Charge>,
        now: Timestamp,
    ) -> Result<(Wallet, Timestamp, Vec<Vec<ShortfallFill>>), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let mut all_fills = Vec::new();
        for charge in charges {
            let state = charge.state();
            wallet.check_debt(charge.trans_no, state.debt())?;
            let mut effects = state.void(&[]);
            let fills = wallet.fills(&effects);
            Effect::add_fills(&mut effects, &fills);
            wallet.apply(effects, at)?;
            all_fills.push(fills);
        }
        if wallet.packs.len() > Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks));
        }
        Ok((wallet, at, all_fills))
    }
}
