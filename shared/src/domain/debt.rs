//! The debts of a wallet: what settled charges cost beyond all packs, and what revoked orders had
//! already spent.

use super::{
    Adjustment, AdjustmentKind, Allocation, Charge, Credits, GenerationId, Grant, IdempotencyKey,
    InvocationId, LedgerError, LedgerLimit, OrderNo, RecordChange, RecordKey, RecordVersion, Revocation,
    RevocationKind, Timestamp, TransNo, Wallet,
};

/// The debt of one charge or order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    /// The version of the wallet at which the debt began. Older debts are repaid first.
    pub since: Timestamp,
    /// The charge, or the grant of the order.
    pub trans_no: TransNo,
    /// Who owes.
    pub debtor: Debtor,
    /// The credits.
    pub credits: Credits,
    /// The number of parts of packs in the record. It bounds the size of the record.
    pub parts: usize,
}

/// The record that a debt belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debtor {
    /// A charge.
    Charge {
        /// The generation of the charge.
        generation: GenerationId,
        /// The idempotency key of the charge.
        key: Option<IdempotencyKey>,
    },
    /// A revoked order.
    Order(OrderNo),
}

impl Debt {
    /// The debt of a charge; `None` for a charge without a generation, which cannot be settled.
    pub(super) fn of(charge: &Charge, credits: Credits, parts: usize, since: Timestamp) -> Option<Debt> {
        let debtor = Debtor::Charge { generation: charge.generation.clone()?, key: charge.key.clone() };
        Some(Debt { since, trans_no: charge.trans_no, debtor, credits, parts })
    }

    /// The debt of the order of a grant; `None` for a grant without an order.
    pub(super) fn of_order(grant: &Grant, credits: Credits, parts: usize, since: Timestamp) -> Option<Debt> {
        let debtor = Debtor::Order(grant.order_no.clone()?);
        Some(Debt { since, trans_no: grant.trans_no, debtor, credits, parts })
    }

    /// Adds a later debt of the same record.
    pub(super) fn add(&mut self, later: &Debt) -> Result<(), LedgerError> {
        self.credits = self.credits.checked_add(later.credits)?;
        self.parts = later.parts;
        Ok(())
    }

    /// Reduces the debt. Returns whether there is a rest, or `None` if it is less than that.
    pub(super) fn reduce(&mut self, credits: Credits, parts: usize) -> Option<bool> {
        self.credits = self.credits.checked_sub(credits)?;
        self.parts += parts;
        Some(!self.credits.is_zero())
    }

    /// The change of the record that repays some of the debt.
    fn repayment(&self, taken: Vec<Allocation>, invocation: InvocationId, at: Timestamp) -> RecordChange {
        let version = RecordVersion::InDebt;
        match self.debtor.clone() {
            Debtor::Charge { generation, key } => {
                let key = RecordKey::Charge { generation: Some(generation), key };
                let kind = AdjustmentKind::Repaid(taken);
                RecordChange::Adjust(key, version, Adjustment { at, invocation, kind })
            }
            Debtor::Order(order_no) => {
                let kind = RevocationKind::Repaid(taken);
                let revocation = Revocation { at, invocation, kind };
                RecordChange::Revoke(RecordKey::OrderGrant(order_no), version, revocation, None)
            }
        }
    }
}

impl Wallet {
    /// The largest number of charges and orders in debt.
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
    /// and the change of each record in debt.
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
                self.take_credits(&part.grant, part.credits, at)?;
            }
            self.reduce_debt(debt.trans_no, credits, taken.len())?;
            repaid = repaid.checked_add(credits)?;
            changes.push(debt.repayment(taken, invocation, at));
        }
        Ok((repaid, changes))
    }

    /// Checks that wallet and record agree about the debt of the record. Before a change that
    /// repays debts, because a charge that is read as before its settlement would repay its own.
    ///
    /// # Errors
    /// `Internal` if they contradict each other.
    pub(super) fn check_debt(&self, trans_no: TransNo, owed: Credits) -> Result<(), LedgerError> {
        let debt = self.debts.iter().find(|debt| debt.trans_no == trans_no);
        if debt.map_or(Credits::ZERO, |debt| debt.credits) == owed {
            Ok(())
        } else {
            Err(LedgerError::Internal(format!("the wallet contradicts the debt of {trans_no}")))
        }
    }

    /// Adds a debt, or more of it.
    pub(super) fn add_debt(&mut self, debt: Option<Debt>) -> Result<(), LedgerError> {
        let debt = debt.ok_or_else(|| LedgerError::Internal("a debt without a debtor".to_owned()))?;
        if let Some(earlier) = self.debts.iter_mut().find(|earlier| earlier.trans_no == debt.trans_no) {
            return earlier.add(&debt);
        }
        if self.debts.len() >= Wallet::DEBTS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Debts));
        }
        self.debts.push(debt);
        Ok(())
    }

    /// Reduces the debt of a record.
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
