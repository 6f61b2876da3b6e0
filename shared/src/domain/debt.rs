//! The debts of a wallet: what settled charges cost beyond all packs.

use super::{
    Adjustment, AdjustmentKind, Charge, ChargeVersion, Credits, GenerationId, IdempotencyKey, InvocationId,
    LedgerError, LedgerLimit, RecordChange, RecordKey, Timestamp, TransNo, Wallet,
};

/// The debt of one charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    /// The version of the wallet at which the charge was settled. Older debts are repaid first.
    pub since: Timestamp,
    /// The charge.
    pub trans_no: TransNo,
    /// The generation of the charge.
    pub generation: GenerationId,
    /// The idempotency key of the charge.
    pub key: Option<IdempotencyKey>,
    /// The credits.
    pub credits: Credits,
    /// The number of parts of packs that the charge owns. It bounds the size of the charge.
    pub parts: usize,
}

impl Debt {
    /// The debt of a charge; `None` for a charge without a generation, which cannot be settled.
    pub(super) fn of(charge: &Charge, credits: Credits, parts: usize, since: Timestamp) -> Option<Debt> {
        let (generation, key) = (charge.generation.clone()?, charge.key.clone());
        Some(Debt { since, trans_no: charge.trans_no, generation, key, credits, parts })
    }

    /// Reduces the debt. Returns whether there is a rest, or `None` if it is less than that.
    pub(super) fn reduce(&mut self, credits: Credits, parts: usize) -> Option<bool> {
        self.credits = self.credits.checked_sub(credits)?;
        self.parts += parts;
        Some(!self.credits.is_zero())
    }

    fn record_key(&self) -> RecordKey {
        RecordKey::Charge { generation: Some(self.generation.clone()), key: self.key.clone() }
    }
}

impl Wallet {
    /// The largest number of charges in debt.
    pub const DEBTS_MAX: usize = 50;
    /// The largest number of parts of packs of a charge in debt. With it, the charges that a
    /// grant repays fit into one transaction.
    pub const DEBTOR_PARTS_MAX: usize = 120;
    /// The largest size of the item of a charge in debt, in bytes.
    pub const DEBTOR_BYTES_MAX: usize = 62_000;
    /// The largest number of parts of packs of a charge when its debt begins.
    pub const NEW_DEBTOR_PARTS_MAX: usize = 70;

    /// The sum of all debts.
    pub fn debt(&self) -> Credits {
        self.debts.iter().map(|debt| debt.credits).sum()
    }

    /// Repays debts, oldest first, from the usable packs in spending order. Returns the sum,
    /// and the change of each charge in debt.
    ///
    /// # Errors
    /// `LimitExceeded` if a charge would consist of too many parts; `Internal` if the wallet
    /// contradicts itself.
    pub(super) fn repay(
        &mut self,
        invocation: InvocationId,
        at: Timestamp,
    ) -> Result<(Credits, Vec<RecordChange>), LedgerError> {
        let (mut repaid, mut changes) = (Credits::ZERO, Vec::new());
        while let Some(debt) = self.debts.first().cloned() {
            let credits = debt.credits.min(self.balance(at));
            if credits.is_zero() {
                break;
            }
            let taken = self.allocate(credits, at);
            if debt.parts + taken.len() > Wallet::DEBTOR_PARTS_MAX {
                return Err(LedgerError::LimitExceeded(LedgerLimit::Parts));
            }
            for part in &taken {
                self.take_credits(&part.grant, part.credits)?;
            }
            self.reduce_debt(debt.trans_no, credits, taken.len())?;
            repaid = repaid.checked_add(credits)?;
            let adjustment = Adjustment { at, invocation, kind: AdjustmentKind::Repaid(taken) };
            changes.push(RecordChange::Adjust(debt.record_key(), ChargeVersion::InDebt, adjustment));
        }
        Ok((repaid, changes))
    }

    /// Checks that wallet and charge agree about the debt of the charge. Before a change that
    /// repays debts, because a charge that is read as before its settlement would repay its own.
    ///
    /// # Errors
    /// `Internal` if they contradict each other.
    pub(super) fn check_debt(&self, charge: &Charge) -> Result<(), LedgerError> {
        let debt = self.debts.iter().find(|debt| debt.trans_no == charge.trans_no);
        let credits = debt.map_or(Credits::ZERO, |debt| debt.credits);
        if credits == charge.state().debt() {
            Ok(())
        } else {
            Err(LedgerError::Internal(format!("the wallet contradicts the debt of {}", charge.trans_no)))
        }
    }

    /// Adds a debt.
    pub(super) fn add_debt(&mut self, debt: Option<Debt>) -> Result<(), LedgerError> {
        let debt = debt.ok_or_else(|| LedgerError::Internal("a debt without a generation".to_owned()))?;
        if self.debts.len() >= Wallet::DEBTS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Debts));
        }
        self.debts.push(debt);
        Ok(())
    }

    /// Reduces the debt of a charge.
    pub(super) fn reduce_debt(
        &mut self,
        trans_no: TransNo,
        credits: Credits,
        parts: usize,
    ) -> Result<(), LedgerError> {
        let contradiction =
            || LedgerError::Internal(format!("the wallet contradicts the debt of {trans_no}"));
        let debt = self.debts.iter_mut().find(|debt| debt.trans_no == trans_no);
        let has_rest = debt.and_then(|debt| debt.reduce(credits, parts)).ok_or_else(contradiction)?;
        if !has_rest {
            self.debts.retain(|debt| debt.trans_no != trans_no);
        }
        Ok(())
    }
}
