//! The command of `settle`: sets a charge to its actual cost, once.

use super::{Command, ReadRequest, RestoredCredits, Step, View, void::reread_or_reject};
use crate::domain::{
    AdjustmentKind, Charge, Credits, Effect, GenerationId, IdempotencyKey, LedgerError, LedgerLimit, Record,
    RecordKey, Settlement, Timestamp, UserId, Wallet,
};

/// A request of `settle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleRequest {
    /// The owner of the charge.
    pub user: UserId,
    /// The generation of the charge.
    pub generation: GenerationId,
    /// The idempotency key of the charge.
    pub key: Option<IdempotencyKey>,
    /// The actual cost; may be zero.
    pub credits: Credits,
    /// What to do if the cost exceeds the charge by more than the balance.
    pub overage: Overage,
}

/// What a settlement does with costs that exceed charge and balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overage {
    /// Rejects the request.
    Refuse,
    /// Takes the balance, and writes off the rest.
    Available,
    /// Takes the balance, and makes the rest the debt of the charge.
    Debt {
        /// The largest debt of the wallet.
        limit: Option<Credits>,
    },
}

/// The result of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleResult {
    /// The charge after the settlement.
    pub charge: Charge,
    /// The settlement.
    pub settlement: Settlement,
    /// The time of the settlement.
    pub settled_at: Timestamp,
    /// The credits that the settlement returned.
    pub returned: RestoredCredits,
    /// The debt that the settlement added.
    pub debt_added: Credits,
    /// The balance after the call.
    pub balance: Credits,
    /// The debt of the wallet after the call.
    pub debt: Credits,
    /// Whether an earlier call settled the charge.
    pub replayed: bool,
}

impl Command for SettleRequest {
    type Answer = SettleResult;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.record_key())
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let key = self.record_key();
        match view.record(&key) {
            // The balance in a response must not be older than the record in it.
            Some(record) if view.is_wallet_older_than(record) => Ok(Step::Read(ReadRequest::Wallet)),
            Some(Record::Charge(charge)) => self.next_of_charge(charge, view, now),
            Some(Record::Fence(_)) => Err(LedgerError::GenerationVoided),
            Some(Record::Grant(_)) => {
                Err(LedgerError::Internal("the key of a charge contains a grant".to_owned()))
            }
            None => Err(LedgerError::ChargeNotFound),
        }
    }

    fn answer(&self, mut view: View, now: Timestamp) -> Result<SettleResult, LedgerError> {
        let missing = || LedgerError::Internal("the view has no settlement after it was written".to_owned());
        let Some(Record::Charge(charge)) = view.take(&self.record_key()) else { return Err(missing()) };
        let (adjustment, settlement) = charge.settlement().ok_or_else(missing)?;
        let (settlement, settled_at) = (settlement.clone(), adjustment.at);
        let replayed = adjustment.invocation != view.invocation;
        let (mut returned, mut debt_added) = (RestoredCredits::default(), Credits::ZERO);
        for effect in charge.state_before(adjustment).adjust(&adjustment.kind) {
            returned.add(&effect, settled_at)?;
            if let Effect::Owed(_, credits, _) = effect {
                debt_added = credits;
            }
        }
        let (balance, debt) = (view.wallet().balance(now), view.wallet().debt());
        Ok(SettleResult { charge, settlement, settled_at, returned, debt_added, balance, debt, replayed })
    }
}

impl SettleRequest {
    fn record_key(&self) -> RecordKey {
        RecordKey::Charge { generation: Some(self.generation.clone()), key: self.key.clone() }
    }

    /// A replay precedes every rejection but that of a voided charge. The invocation's own
    /// settlement, whose response was lost, is the result whatever happened to it later.
    fn next_of_charge(&self, charge: &Charge, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        match charge.settlement() {
            Some((adjustment, _)) if adjustment.invocation == view.invocation => return Ok(Step::Done),
            _ if charge.void.is_some() => return Err(LedgerError::GenerationVoided),
            Some((_, settlement)) if settlement.requested == self.credits => return Ok(Step::Done),
            Some(_) => {
                return Err(LedgerError::IdempotencyConflict(
                    "The charge was settled to different `credits`.",
                ));
            }
            None if charge.outputs.is_some() => {
                let problem = "A charge with `outputs` cannot be settled. Refund its outputs.";
                return Err(LedgerError::InvalidRequest(problem.to_owned()));
            }
            None => {}
        }
        let planned = view.wallet().settlement(charge, self.credits, self.overage, now);
        let planned = planned.and_then(|settlement| {
            view.wallet().adjust(charge, AdjustmentKind::Settled(settlement), view, now)
        });
        match planned {
            Ok(plan) => Ok(Step::Commit(plan)),
            Err(error) => reread_or_reject(error, &[(&self.record_key(), charge, 0)], view),
        }
    }
}

impl Wallet {
    /// Plans the settlement of a charge to its actual cost.
    ///
    /// # Errors
    /// `InsufficientCredits` by the policy; `LimitExceeded` for too many debts or parts.
    pub fn settlement(
        &self,
        charge: &Charge,
        requested: Credits,
        overage: Overage,
        now: Timestamp,
    ) -> Result<Settlement, LedgerError> {
        let (wallet, at) = self.begin_change(now)?;
        let settlement = |taken, uncovered| Settlement::new(requested, uncovered, taken);
        let Some(excess) = requested.checked_sub(charge.state().cost).filter(|excess| !excess.is_zero())
        else {
            return Ok(settlement(Vec::new(), Credits::ZERO));
        };
        let (balance, debt) = (wallet.balance(at), wallet.debt());
        let available = if debt.is_zero() { balance.min(excess) } else { Credits::ZERO };
        let rest = excess.checked_sub(available).unwrap_or_default();
        let rejection = LedgerError::InsufficientCredits { balance, required: excess, debt };
        let taken = wallet.allocate(available, at);
        let parts = charge.allocations.len() + taken.len();
        let (uncovered, parts_max) = match overage {
            _ if rest.is_zero() => (Credits::ZERO, Wallet::CHARGE_PARTS_MAX),
            Overage::Refuse => return Err(rejection),
            Overage::Available => (rest, Wallet::CHARGE_PARTS_MAX),
            Overage::Debt { limit } if limit.is_some_and(|limit| exceeds(debt, rest, limit)) => {
                return Err(rejection);
            }
            Overage::Debt { .. } => (Credits::ZERO, Wallet::NEW_DEBTOR_PARTS_MAX),
        };
        if parts > parts_max {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Parts));
        }
        Ok(settlement(taken, uncovered))
    }
}

fn exceeds(debt: Credits, more: Credits, limit: Credits) -> bool {
    debt.checked_add(more).map_or(true, |sum| sum > limit)
}
