//! The command of `grant`: one pack for each identity.

use super::{Command, Plan, ReadRequest, RecordChange, Step, View, WriteOutcome, reject_or_reread};
use crate::domain::{
    Credits, Debt, Debtor, Grant, GrantRecord, GrantType, IdempotencyKey, InvocationId, LedgerError,
    LedgerLimit, Metadata, Order, OrderChange, OrderNo, Record, RecordKey, Revocation, RevocationKind,
    Timestamp, TransNo, UserId, Wallet,
};

/// The difference of two expiries from which they are of different grants, in milliseconds.
const EXPIRY_TOLERANCE_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// A request of `grant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// The owner of the wallet.
    pub user: UserId,
    /// The type of the grant.
    pub trans_type: GrantType,
    /// The credits to add.
    pub credits: Credits,
    /// The order that paid for the grant.
    pub order_no: Option<OrderNo>,
    /// The expiry; never if absent.
    pub expired_at: Option<Timestamp>,
    /// The idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The caller's own fields.
    pub metadata: Metadata,
}

impl GrantRequest {
    /// The identity of the request; `None` if it cannot be repeated.
    pub fn identity(&self) -> Option<RecordKey> {
        match self.trans_type {
            GrantType::NewUser => Some(RecordKey::NewUserGrant),
            GrantType::OrderPay => self.order_no.clone().map(RecordKey::OrderGrant),
            GrantType::SystemAdd => self.key.clone().map(RecordKey::KeyedGrant),
        }
    }

    /// Rejects a replay that requests something else. The gift of a new user is the same
    /// whatever its amount, and a caller that retries may compute the expiry again.
    fn compare(&self, grant: &Grant) -> Result<(), LedgerError> {
        if self.trans_type == GrantType::NewUser {
            return Ok(());
        }
        if grant.credits != self.credits {
            return Err(LedgerError::IdempotencyConflict(
                "An earlier grant with this identity has different `credits`.",
            ));
        }
        let is_close = match (grant.expired_at, self.expired_at) {
            (Some(first), Some(second)) => first.millis().abs_diff(second.millis()) < EXPIRY_TOLERANCE_MILLIS,
            (first, second) => first == second,
        };
        if is_close {
            Ok(())
        } else {
            Err(LedgerError::IdempotencyConflict(
                "An earlier grant with this identity has an `expired_at` that differs by a day or more.",
            ))
        }
    }

    fn record_key(&self, view: &View) -> RecordKey {
        self.identity().unwrap_or(RecordKey::UnkeyedGrant(view.delivery))
    }
}

impl Command for GrantRequest {
    type Answer = WriteOutcome<GrantRecord>;

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
            Some(Record::Grant(record)) => self.compare(&record.grant).map(|()| Step::Done),
            Some(_) => Err(LedgerError::Internal("the key of a grant contains another record".to_owned())),
            // An order in debt has a grant. A plan would repay its debt in the record that it creates.
            None if self.is_in_debt(view) && view.is_snapshot_of([&key]) => {
                Err(LedgerError::Internal("the order has a debt and no grant".to_owned()))
            }
            None if self.is_in_debt(view) => Ok(Step::Read(ReadRequest::Snapshot(vec![key]))),
            None => match self.order(view).map(|order| (order, order.user.as_ref())) {
                None | Some((_, None)) => self.plan(key, view, now),
                Some((_, Some(user))) if *user != self.user => {
                    Err(LedgerError::IdempotencyConflict("The order was granted to another user."))
                }
                Some(_) if view.is_snapshot_of([&key]) => {
                    Err(LedgerError::Internal("the order has a user and no grant".to_owned()))
                }
                // The grant was committed with the order, and is not visible yet.
                Some(_) => Ok(Step::Read(ReadRequest::Snapshot(vec![key]))),
            },
        }
    }

    fn answer(&self, mut view: View, now: Timestamp) -> Result<WriteOutcome<GrantRecord>, LedgerError> {
        let key = self.record_key(&view);
        let Some(Record::Grant(record)) = view.take(&key) else {
            return Err(LedgerError::Internal("the view has no grant after it was written".to_owned()));
        };
        let replayed = !record.grant.trans_no.is_from(view.invocation);
        Ok(WriteOutcome { record, balance: view.wallet().balance(now), replayed })
    }
}

impl GrantRequest {
    /// The paid order, if the last refusal returned it.
    fn order<'a>(&self, view: &'a View) -> Option<&'a Order> {
        view.order(self.paid_order()?)
    }

    /// Whether the wallet lists a debt of this order.
    fn is_in_debt(&self, view: &View) -> bool {
        let is_own = |debt: &Debt| match &debt.debtor {
            Debtor::Order(order_no) => self.paid_order() == Some(order_no),
            Debtor::Charge { .. } => false,
        };
        view.wallet().debts.iter().any(is_own)
    }

    fn paid_order(&self) -> Option<&OrderNo> {
        self.order_no.as_ref().filter(|_| self.trans_type == GrantType::OrderPay)
    }

    /// Plans the grant. An order that was revoked before gives only the rest.
    fn plan(&self, key: RecordKey, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let (wallet, record, repayments) = match self.plan_record(view, now) {
            Ok(planned) => planned,
            Err(error) => return reject_or_reread(error, &key, view),
        };
        let mut changes = vec![RecordChange::Create(key, Record::Grant(record))];
        changes.extend(repayments);
        let orders = self.paid_order().map(|order_no| self.order_change(order_no, view));
        Ok(Step::Commit(Plan { wallet: Some(wallet), changes, orders: orders.into_iter().collect() }))
    }

    fn plan_record(
        &self,
        view: &View,
        now: Timestamp,
    ) -> Result<(Wallet, GrantRecord, Vec<RecordChange>), LedgerError> {
        let (mut wallet, grant) = view.wallet().grant(self, view.invocation, now)?;
        let at = grant.trans_no.created_at();
        let mut record = GrantRecord { metadata: self.metadata.clone(), ..grant.into() };
        let taken = self.order(view).map_or(Credits::ZERO, |order| order.revoked(self.credits));
        if !taken.is_zero() {
            let (paid, shortfall, owed) = (Vec::new(), Credits::ZERO, Credits::ZERO);
            let kind = RevocationKind::Revoked { taken, paid, shortfall, owed };
            wallet.apply(record.revocation_state().apply(&kind), at)?;
            record.revocations.push(Revocation { at, invocation: view.invocation, kind });
        }
        let (repaid, repayments) = wallet.repay(view.invocation, at)?;
        Ok((wallet, GrantRecord { repaid, ..record }, repayments))
    }

    /// An order with a grant of its own is no alias.
    fn order_change(&self, order_no: &OrderNo, view: &View) -> OrderChange {
        match view.order(order_no) {
            None => OrderChange::create(order_no.clone(), self.user.clone()),
            Some(stored) => {
                let user = Some(self.user.clone());
                Order { user, alias_of: None, ..stored.clone() }.replacing(order_no, Some(stored))
            }
        }
    }
}

impl Wallet {
    /// Plans a grant: the next wallet, and the record.
    ///
    /// # Errors
    /// `InvalidRequest` if the expiry is not in the future; `LimitExceeded` for too many packs
    /// or credits.
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
            return Err(LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned()));
        }
        let (packs_max, limit) = match request.trans_type {
            GrantType::OrderPay => (Wallet::PAID_PACKS_MAX, LedgerLimit::PaidPacks),
            GrantType::NewUser | GrantType::SystemAdd => (Wallet::GIFT_PACKS_MAX, LedgerLimit::GiftPacks),
        };
        if wallet.usable(at).count() >= packs_max || wallet.packs.len() >= Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(limit));
        }
        wallet.apply(grant.effects(), at)?;
        wallet.total_granted()?;
        Ok((wallet, grant))
    }
}
