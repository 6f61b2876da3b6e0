//! `decrease`: charges, all or nothing, once for each identity.

use super::{Command, Plan, ReadRequest, RecordChange, Step, View, WriteOutcome, reject_or_reread};
use crate::domain::{
    Allocation, Charge, ChargeType, CreditSum, Credits, GenerationId, IdempotencyKey, InvocationId,
    LedgerError, LedgerLimit, OrderNo, Record, RecordKey, Timestamp, TransNo, TransType, UserId, Wallet,
};

/// What `decrease` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Whose wallet.
    pub user: UserId,
    /// What for.
    pub trans_type: ChargeType,
    /// How many.
    pub credits: Credits,
    /// The generation it pays for.
    pub generation: Option<GenerationId>,
    /// The order that the caller notes.
    pub order_no: Option<OrderNo>,
    /// The caller's key.
    pub key: Option<IdempotencyKey>,
}

impl ChargeRequest {
    /// The key that makes a repeated request the same one, if anything does.
    pub fn identity(&self) -> Option<RecordKey> {
        (self.generation.is_some() || self.key.is_some())
            .then(|| RecordKey::Charge { generation: self.generation.clone(), key: self.key.clone() })
    }

    fn record_key(&self, view: &View) -> RecordKey {
        self.identity().unwrap_or(RecordKey::UnkeyedCharge(view.delivery))
    }

    /// Why a charge in its place is not a replay of this request. The invocation's own
    /// charge, whose answer was lost, is its first answer, whatever came after it.
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
            // After an answer that reveals a record, no balance from before it may be read.
            Some(record) if view.is_wallet_older_than(record) => Ok(Step::Read(ReadRequest::Wallet)),
            Some(Record::Charge(charge)) => self.conflict(charge, view).map_or(Ok(Step::Done), Err),
            Some(Record::Fence(_)) => Err(LedgerError::GenerationVoided),
            Some(Record::Grant(_)) => {
                Err(LedgerError::Internal("the key of a charge contains a grant".to_owned()))
            }
            None => match view.wallet().charge(self, view.invocation, now) {
                Ok((wallet, charge)) => {
                    let changes = vec![RecordChange::Create(key, Record::Charge(charge))];
                    Ok(Step::Commit(Plan { wallet: Some(wallet), changes }))
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
    /// The wallet after a charge, and its record. Credits come from the usable packs in
    /// spending order, all or nothing.
    ///
    /// # Errors
    /// `InsufficientCredits`, or `LimitExceeded` for one trans_type too many or for sums.
    pub fn charge(
        &self,
        request: &ChargeRequest,
        invocation: InvocationId,
        now: Timestamp,
    ) -> Result<(Wallet, Charge), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let (balance, required) = (wallet.balance(at), request.credits);
        if balance < required {
            return Err(LedgerError::InsufficientCredits { balance, required });
        }
        let charge = Charge {
            trans_no: TransNo::new(at, invocation),
            trans_type: request.trans_type.clone(),
            credits: required,
            generation: request.generation.clone(),
            order_no: request.order_no.clone(),
            allocations: wallet.allocate(required, at),
            extra: Vec::new(),
            live: required,
            void: None,
        };
        let trans_type = TransType::Charge(charge.trans_type.clone());
        if !wallet.totals.contains_key(&trans_type)
            && wallet.charge_totals().count() >= Wallet::CHARGE_TYPES_MAX
        {
            return Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes));
        }
        wallet.apply(charge.effects(), at)?;
        // Voided charges count too, so that no void can ever pass the limit.
        wallet.charge_totals().try_fold(CreditSum::default(), CreditSum::checked_add)?;
        wallet.has_keyed_charges |= request.generation.is_some() && request.key.is_some();
        Ok((wallet, charge))
    }

    /// From which packs so many credits come: earliest expiry first.
    fn allocate(&self, credits: Credits, now: Timestamp) -> Vec<Allocation> {
        let mut missing = credits;
        let allocation = |pack: &crate::domain::Pack| {
            let credits = missing.min(pack.remaining);
            missing = missing.checked_sub(credits)?;
            (!credits.is_zero()).then(|| Allocation { grant: pack.grant.clone(), credits })
        };
        self.packs.iter().filter(|pack| pack.grant.is_usable(now)).map_while(allocation).collect()
    }
}
