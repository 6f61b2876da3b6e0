//! The command of `revoke`: takes back what the sources of an order revoke in total, or returns
//! what they no longer revoke.

use super::{Command, Plan, ReadRequest, RecordChange, RestoredCredits, Step, View};
use crate::domain::{
    Change, Credits, Effect, GrantRecord, InvocationId, LedgerError, LedgerLimit, Metadata, Order,
    OrderAddress, OrderNo, Reason, Record, RecordKey, Revocation, RevocationKind, RevokeSource,
    RevokeStatement, RevokedAmount, Timestamp, UserId, Wallet,
};

/// A request of `revoke`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeRequest {
    /// The order, or an alias of it.
    pub order_no: OrderNo,
    /// The user of the order, if the caller states one.
    pub user: Option<UserId>,
    /// Who revokes.
    pub source: RevokeSource,
    /// What the source revokes in total.
    pub amount: RevokedAmount,
    /// The time of the statement, which orders the statements of one source.
    pub as_of: Timestamp,
    /// What happens to credits that were spent.
    pub shortfall: ShortfallPolicy,
    /// The reason.
    pub reason: Reason,
    /// The caller's own fields.
    pub metadata: Metadata,
}

impl RevokeRequest {
    /// The statement of the request.
    pub fn statement(&self) -> RevokeStatement {
        RevokeStatement {
            as_of: self.as_of,
            amount: self.amount,
            reason: self.reason.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

/// What a revocation does with credits that were spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortfallPolicy {
    /// The user keeps them. Credits that return to the pack fill the shortfall.
    Keep,
    /// The user pays with other packs, and owes the rest.
    Debt,
}

/// A change of a granted order: a statement of a source, or a new alias.
#[derive(Clone, Debug)]
pub struct Revoke<'a> {
    /// The user of the order.
    pub user: &'a UserId,
    /// The order, as it was read before.
    pub address: &'a OrderAddress,
    /// The request; absent for a new alias.
    pub request: Option<&'a RevokeRequest>,
}

/// The outcome of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// More is revoked than before.
    Revoked,
    /// Less is revoked than before.
    Restored,
    /// As much is revoked as before.
    Unchanged,
    /// The order has no grant yet. The statement is stored for it.
    Kept,
}

impl RevokeOutcome {
    /// The name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RevokeOutcome::Revoked => "revoked",
            RevokeOutcome::Restored => "restored",
            RevokeOutcome::Unchanged => "unchanged",
            RevokeOutcome::Kept => "kept",
        }
    }
}

/// The result of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeResult {
    /// The outcome.
    pub outcome: RevokeOutcome,
    /// The number of the order.
    pub order_no: OrderNo,
    /// The order's grant; absent before it.
    pub granted: Option<RevokedGrant>,
}

/// The grant of a revoked order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedGrant {
    /// The user.
    pub user: UserId,
    /// The granted credits.
    pub credits: Credits,
    /// The revoked credits after the call, including shortfall and debt.
    pub revoked: Credits,
    /// The credits that this call took.
    pub taken: Credits,
    /// The credits that this call returned.
    pub returned: RestoredCredits,
    /// The shortfall of the order after the call.
    pub shortfall: Credits,
    /// The debt of the order after the call.
    pub owed: Credits,
    /// The balance of the user after the call.
    pub balance: Credits,
}

impl Command for Revoke<'_> {
    type Answer = RevokeResult;

    fn user(&self) -> &UserId {
        self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.record_key())
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let key = self.record_key();
        match view.record(&key) {
            // The balance in a response must not be older than the record in it.
            Some(record) if view.is_wallet_older_than(record) => Ok(Step::Read(ReadRequest::Wallet)),
            Some(Record::Grant(record)) => self.next_of_grant(record, view, now),
            Some(_) => Err(LedgerError::Internal("the key of a grant contains another record".to_owned())),
            None if view.is_snapshot_of([&key]) => {
                Err(LedgerError::Internal("the order has a user and no grant".to_owned()))
            }
            // The grant was committed with the order, and is not visible yet.
            None => Ok(Step::Read(ReadRequest::Snapshot(vec![key]))),
        }
    }

    fn answer(&self, view: View, now: Timestamp) -> Result<RevokeResult, LedgerError> {
        let missing = || LedgerError::Internal("the view has no grant after it was revoked".to_owned());
        let Some(changed @ Record::Grant(record)) = view.record(&self.record_key()) else {
            return Err(missing());
        };
        let state = record.revocation_state();
        let (mut taken, mut returned) = (Credits::ZERO, RestoredCredits::default());
        // Not those of charges: a repayment takes from packs too.
        let is_own = |change: &Change<'_>| change.origin.is_invocation(view.invocation);
        for change in changed.changes().into_iter().filter(is_own) {
            match change.effect {
                Effect::Taken(_, credits) => taken = taken.checked_add(credits)?,
                effect => returned.add(&effect, change.at)?,
            }
        }
        Ok(RevokeResult {
            outcome: outcome(record, view.invocation),
            order_no: self.address.order_no.clone(),
            granted: Some(RevokedGrant {
                user: self.user.clone(),
                credits: record.grant.credits,
                revoked: state.total,
                taken,
                returned,
                shortfall: view.wallet().shortfall(record.grant.trans_no),
                owed: state.owed,
                balance: view.wallet().balance(now),
            }),
        })
    }
}

fn outcome(record: &GrantRecord, invocation: InvocationId) -> RevokeOutcome {
    let own = record.revocations.iter().find(|revocation| revocation.invocation == invocation);
    match own.map(|revocation| &revocation.kind) {
        Some(RevocationKind::Revoked { .. }) => RevokeOutcome::Revoked,
        Some(RevocationKind::Restored { .. }) => RevokeOutcome::Restored,
        Some(RevocationKind::Repaid(_)) | None => RevokeOutcome::Unchanged,
    }
}

impl Revoke<'_> {
    /// The order and its alias as they were last seen.
    fn latest_address(&self, view: &View) -> OrderAddress {
        let latest =
            |order_no: &OrderNo, read: &Option<Order>| view.order(order_no).or(read.as_ref()).cloned();
        let OrderAddress { order_no, order, alias } = self.address;
        OrderAddress {
            order_no: order_no.clone(),
            order: latest(order_no, order),
            alias: alias.as_ref().map(|(alias, read)| (alias.clone(), latest(alias, read))),
        }
    }

    fn record_key(&self) -> RecordKey {
        RecordKey::OrderGrant(self.address.order_no.clone())
    }

    fn next_of_grant(&self, record: &GrantRecord, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let address = self.latest_address(view);
        // An alias that got a grant of its own since it was read is another order.
        if address.alias.as_ref().is_some_and(|(_, alias)| alias.as_ref().is_some_and(|it| it.user.is_some()))
        {
            return Err(LedgerError::Busy);
        }
        let orders = match self.request {
            Some(request) => address.state(&request.source, &request.statement())?,
            None => address.link()?,
        };
        // A write changes order, grant and wallet together, but it may be visible in some of them
        // only. A repeat of it must not return what the grant was before.
        let (granted, state) = (record.grant.credits, record.revocation_state());
        let stated = address.order.as_ref().map_or(Credits::ZERO, |order| order.revoked(granted));
        let is_partial =
            stated != state.total || view.wallet().check_debt(record.grant.trans_no, state.owed).is_err();
        if is_partial && !view.is_snapshot_of([&self.record_key()]) {
            return Ok(Step::Read(ReadRequest::Snapshot(vec![self.record_key()])));
        }
        if orders.is_empty() {
            return Ok(Step::Done);
        }
        let changed = orders.iter().find(|change| change.order_no == address.order_no);
        let total = changed.map(|change| change.order.revoked(granted));
        let policy = self.request.map_or(ShortfallPolicy::Keep, |request| request.shortfall);
        match view.wallet().revoke(record, total, policy, view, now) {
            Ok(plan) => Ok(Step::Commit(Plan { orders, ..plan })),
            Err(error) => self.reread_or_reject(error, view),
        }
    }

    /// Reads a snapshot after an error that came from independent reads.
    fn reread_or_reject(&self, error: LedgerError, view: &View) -> Result<Step, LedgerError> {
        let key = self.record_key();
        if view.is_snapshot_of([&key]) {
            Err(error)
        } else {
            Ok(Step::Read(ReadRequest::Snapshot(vec![key])))
        }
    }
}

impl Wallet {
    /// Plans the change of the revoked credits of a grant to this total, if there is one.
    ///
    /// # Errors
    /// `LimitExceeded` for too many changes, shortfalls, debts, parts or packs; `Internal` if
    /// wallet and grant contradict each other.
    fn revoke(
        &self,
        record: &GrantRecord,
        total: Option<Credits>,
        policy: ShortfallPolicy,
        view: &View,
        now: Timestamp,
    ) -> Result<Plan, LedgerError> {
        let state = record.revocation_state();
        let total = total.unwrap_or(state.total);
        if total == state.total {
            return Ok(Plan::default());
        }
        if record.revocations.len() >= GrantRecord::REVOCATIONS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Revocations));
        }
        self.check_debt(record.grant.trans_no, state.owed)?;
        let (mut wallet, at) = self.begin_change(now)?;
        let kind = match total.checked_sub(state.total) {
            Some(more) => self.revoke_more(record, more, policy, at)?,
            None => self.revoke_less(record, state.total.checked_sub(total).unwrap_or_default())?,
        };
        wallet.apply(record.revocation_state().apply(&kind), at)?;
        let (_, repayments) = wallet.repay(view.invocation, at)?;
        if wallet.packs.len() > Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks));
        }
        let order_no = record.grant.order_no.clone();
        let key = order_no.map(RecordKey::OrderGrant);
        let key = key.ok_or_else(|| LedgerError::Internal("a revoked grant without an order".to_owned()))?;
        let revocation = Revocation { at, invocation: view.invocation, kind };
        let mut changes = vec![RecordChange::Revoke(key, record.version(), revocation, Some(total))];
        changes.extend(repayments);
        Ok(Plan { wallet: Some(wallet), changes, ..Plan::default() })
    }

    /// The pack of the grant pays first, also if it has expired. The rest was spent.
    fn revoke_more(
        &self,
        record: &GrantRecord,
        more: Credits,
        policy: ShortfallPolicy,
        at: Timestamp,
    ) -> Result<RevocationKind, LedgerError> {
        let own = self.packs.iter().find(|pack| pack.grant.trans_no == record.grant.trans_no);
        let taken = own.map_or(Credits::ZERO, |pack| pack.remaining.min(more));
        let spent = more.checked_sub(taken).unwrap_or_default();
        if policy == ShortfallPolicy::Keep {
            let (paid, owed) = (Vec::new(), Credits::ZERO);
            return Ok(RevocationKind::Revoked { taken, paid, shortfall: spent, owed });
        }
        let mut rest = self.clone();
        rest.packs.retain(|pack| pack.grant.trans_no != record.grant.trans_no);
        let available = if self.debts.is_empty() { rest.balance(at).min(spent) } else { Credits::ZERO };
        let paid = rest.allocate(available, at);
        if record.revocation_state().parts() + paid.len() > Wallet::NEW_DEBTOR_PARTS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Parts));
        }
        let owed = spent.checked_sub(available).unwrap_or_default();
        Ok(RevocationKind::Revoked { taken, paid, shortfall: Credits::ZERO, owed })
    }

    /// Debt and shortfall of the order shrink first. Then credits return to the packs that they
    /// were taken from, last taken first.
    fn revoke_less(&self, record: &GrantRecord, less: Credits) -> Result<RevocationKind, LedgerError> {
        let state = record.revocation_state();
        let mut rest = less;
        let mut part = |of: Credits| {
            let part = rest.min(of);
            rest = rest.checked_sub(part).unwrap_or_default();
            part
        };
        let owed = part(state.owed);
        let shortfall = part(self.shortfall(record.grant.trans_no));
        let (paid, returned) = (part(state.paid()), part(less));
        let kind = RevocationKind::Restored { owed, shortfall, paid, returned, fills: Vec::new() };
        let mut fills = self.fills(&record.revocation_state().apply(&kind));
        // Its own shortfall is zero before credits return to its pack.
        fills.retain(|fill| fill.pack != record.grant.trans_no);
        Ok(RevocationKind::Restored { owed, shortfall, paid, returned, fills })
    }
}
