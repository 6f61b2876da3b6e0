//! The command of `decrease`: one charge for each identity, for all of its credits or none.

use super::{Command, Plan, ReadRequest, RecordChange, Step, View, WriteOutcome, reject_or_reread};
use crate::domain::{
    Allocation, Charge, ChargeType, CreditSum, Credits, GenerationId, IdempotencyKey, InvocationId,
    LedgerError, LedgerLimit, Metadata, OrderNo, Outputs, Record, RecordKey, Timestamp, TransNo, TransType,
    UserId, Wallet,
};

/// A request of `decrease`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// The owner of the wallet.
    pub user: UserId,
    /// The type of the charge.
    pub trans_type: ChargeType,
    /// The credits to take.
    pub credits: Credits,
    /// The generation that the charge pays for.
    pub generation: Option<GenerationId>,
    /// An order to store with the charge.
    pub order_no: Option<OrderNo>,
    /// The idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The number of parts that can be refunded on their own.
    pub outputs: Option<Outputs>,
    /// The time after which the charge is voided, in milliseconds, unless it is settled,
    /// delivered or refunded before.
    pub hold_millis: Option<i64>,
}

impl ChargeRequest {
    /// The identity of the request; `None` if it cannot be repeated.
    pub fn identity(&self) -> Option<RecordKey> {
        (self.generation.is_some() || self.key.is_some())
            .then(|| RecordKey::Charge { generation: self.generation.clone(), key: self.key.clone() })
    }

    fn record_key(&self, view: &View) -> RecordKey {
        self.identity().unwrap_or(RecordKey::UnkeyedCharge(view.delivery))
    }

    /// The error if the charge at the key is not a replay of this request. The invocation's
    /// own charge, whose response was lost, is the result whatever happened to it later.
    fn conflict(&self, charge: &Charge, view: &View) -> Option<LedgerError> {
        if charge.trans_no.is_from(view.invocation) {
            None
        } else if charge.void.is_some() {
            Some(LedgerError::GenerationVoided)
        } else if charge.credits != self.credits {
            Some(LedgerError::IdempotencyConflict(
                "An earlier charge with this identity has different `credits`.",
            ))
        } else if charge.trans_type != self.trans_type {
            Some(LedgerError::IdempotencyConflict(
                "An earlier charge with this identity has a different `trans_type`.",
            ))
        } else if charge.outputs != self.outputs {
            Some(LedgerError::IdempotencyConflict(
                "An earlier charge with this identity has different `outputs`.",
            ))
        } else if charge.hold_millis() != self.hold_millis {
            Some(LedgerError::IdempotencyConflict(
                "An earlier charge with this identity has a different `hold_seconds`.",
            ))
        } else {
            None
        }
    }
}

impl Command for ChargeRequest {
    type Answer = WriteOutcome<Charge>;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::Wallet
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let key = self.record_key(view);
        match view.record(&key) {
            // The balance in a response must not be older than the record in it.
            Some(record) if view.is_wallet_older_than(record) => Ok(Step::Read(ReadRequest::Wallet)),
            Some(Record::Charge(charge)) => self.conflict(charge, view).map_or(Ok(Step::Done), Err),
            Some(Record::Fence(_)) => Err(LedgerError::GenerationVoided),
            Some(Record::Grant(_)) => {
                Err(LedgerError::Internal("the key of a charge contains a grant".to_owned()))
            }
            None => match view.wallet().charge(self, view.invocation, now) {
                Ok((wallet, charge)) => {
                    let changes = vec![RecordChange::Create(key, Record::Charge(charge))];
                    Ok(Step::Commit(Plan { wallet: Some(wallet), changes, ..Plan::default() }))
                }
                Err(error) => reject_or_reread(error, &key, view),
            },
        }
    }

    fn answer(&self, mut view: View, now: Timestamp) -> Result<WriteOutcome<Charge>, LedgerError> {
        let key = self.record_key(&view);
        let Some(Record::Charge(record)) = view.take(&key) else {
            return Err(LedgerError::Internal("the view has no charge after it was written".to_owned()));
        };
        let replayed = !record.trans_no.is_from(view.invocation);
        Ok(WriteOutcome { record, balance: view.wallet().balance(now), replayed })
    }
}

impl Wallet {
    /// Plans a charge: the next wallet, and the record. The credits come from the usable packs
    /// in spending order.
    ///
    /// # Errors
    /// `InsufficientCredits`; `LimitExceeded` for too many types of charges or too large a sum.
    pub fn charge(
        &self,
        request: &ChargeRequest,
        invocation: InvocationId,
        now: Timestamp,
    ) -> Result<(Wallet, Charge), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let (balance, required) = (wallet.balance(at), request.credits);
        let debt = wallet.debt();
        if balance < required || !debt.is_zero() {
            return Err(LedgerError::InsufficientCredits { balance, required, debt });
        }
        let hold_until = request.hold_millis.map(|millis| at.plus_millis(millis));
        let allocations = wallet.allocate(required, at);
        let trans_no = TransNo::new(at, invocation);
        let charge = Charge {
            generation: request.generation.clone(),
            key: request.key.clone(),
            order_no: request.order_no.clone(),
            metadata: request.metadata.clone(),
            outputs: request.outputs,
            hold_until,
            ..Charge::new(trans_no, request.trans_type.clone(), required, allocations)
        };
        let trans_type = TransType::Charge(charge.trans_type.clone());
        if !wallet.totals.contains_key(&trans_type)
            && wallet.charge_totals().count() >= Wallet::CHARGE_TYPES_MAX
        {
            return Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes));
        }
        wallet.apply(charge.effects(), at)?;
        // Voided charges count too, so that no void can exceed the limit.
        wallet.charge_totals().try_fold(CreditSum::default(), CreditSum::checked_add)?;
        wallet.has_keyed_charges |= request.generation.is_some() && request.key.is_some();
        Ok((wallet, charge))
    }

    /// Divides the credits among the packs in spending order.
    pub(in crate::domain) fn allocate(&self, credits: Credits, now: Timestamp) -> Vec<Allocation> {
        let mut missing = credits;
        let allocation = |pack: &crate::domain::Pack| {
            let credits = missing.min(pack.remaining);
            missing = missing.checked_sub(credits)?;
            (!credits.is_zero()).then(|| Allocation { grant: pack.grant.clone(), credits })
        };
        self.packs.iter().filter(|pack| pack.grant.is_usable(now)).map_while(allocation).collect()
    }
}
