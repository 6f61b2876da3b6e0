//! `grant`: adds a pack, once for each identity.

use super::{Command, Plan, Read, RecordChange, Step, View, Written, refuse};
use crate::domain::{
    Credits, Grant, GrantType, IdempotencyKey, InvocationId, LedgerError, Limit, OrderNo, Record, RecordKey,
    Timestamp, TransNo, UserId, Wallet,
};

/// What `grant` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// Whose wallet.
    pub user: UserId,
    /// Why.
    pub trans_type: GrantType,
    /// How many.
    pub credits: Credits,
    /// The order that paid.
    pub order_no: Option<OrderNo>,
    /// When they expire.
    pub expired_at: Option<Timestamp>,
    /// The caller's key.
    pub key: Option<IdempotencyKey>,
}

impl GrantRequest {
    /// The key that makes a repeated request the same one, if anything does.
    pub fn identity(&self) -> Option<RecordKey> {
        match self.trans_type {
            GrantType::NewUser => Some(RecordKey::NewUserGrant),
            GrantType::OrderPay => self.order_no.clone().map(RecordKey::OrderGrant),
            GrantType::SystemAdd => self.key.clone().map(RecordKey::KeyedGrant),
        }
    }

    fn place(&self, view: &View) -> RecordKey {
        self.identity().unwrap_or(RecordKey::UnkeyedGrant(view.delivery))
    }
}

impl Command for GrantRequest {
    type Answer = Written<Grant>;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> Read {
        Read::Wallet
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let place = self.place(view);
        match view.record(&place) {
            // After an answer that reveals a record, no balance from before it may be read.
            Some(record) if view.is_behind(record) => Ok(Step::Read(Read::Wallet)),
            Some(Record::Grant(grant)) if grant.credits != self.credits => {
                Err(LedgerError::IdempotencyConflict("this grant was made with other credits"))
            }
            Some(Record::Grant(_)) => Ok(Step::Done),
            Some(_) => Err(LedgerError::Internal("the place of a grant holds another record".to_owned())),
            None => match view.wallet().grant(self, view.invocation, now) {
                Ok((wallet, grant)) => {
                    let changes = vec![RecordChange::Create(place, Record::Grant(grant))];
                    Ok(Step::Commit(Plan { wallet: Some(wallet), changes }))
                }
                Err(refusal) => refuse(refusal, &place, view),
            },
        }
    }

    fn answer(&self, mut view: View, now: Timestamp) -> Result<Written<Grant>, LedgerError> {
        let place = self.place(&view);
        let Some(Record::Grant(record)) = view.take(&place) else {
            return Err(LedgerError::Internal("a grant that was written is unknown".to_owned()));
        };
        let replayed = !record.trans_no.is_of(view.invocation);
        Ok(Written { record, balance: view.wallet().balance(now), replayed })
    }
}

impl Wallet {
    /// The wallet after a grant, and its record.
    ///
    /// # Errors
    /// `InvalidRequest` for a pack that would have expired already, `LimitExceeded` for
    /// too many packs or credits.
    pub fn grant(
        &self,
        request: &GrantRequest,
        invocation: InvocationId,
        now: Timestamp,
    ) -> Result<(Wallet, Grant), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let grant = Grant {
            trans_no: TransNo::new(at, invocation),
            trans_type: request.trans_type.into(),
            credits: request.credits,
            order_no: request.order_no.clone(),
            expired_at: request.expired_at,
        };
        if !grant.is_usable(at) {
            return Err(LedgerError::InvalidRequest("expired_at: must be in the future".to_owned()));
        }
        if wallet.usable(at).count() >= Wallet::GRANTED_PACKS_MAX || wallet.packs.len() >= Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(Limit::Packs));
        }
        wallet.apply(grant.effects(), at)?;
        wallet.granted()?;
        Ok((wallet, grant))
    }
}
