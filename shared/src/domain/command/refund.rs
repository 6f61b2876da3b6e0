//! The command of `refund`: voids the live charges that a request addresses, or returns some
//! outputs of one, and returns their credits to the packs.

use std::collections::BTreeMap;

use super::{
    Command, Plan, ReadRequest, RecordChange, RestoredCredits, Step, View,
    address::ChargeAddress,
    void::{LoadedCharge, reread_or_reject, void},
};
use crate::domain::{
    Adjustment, AdjustmentKind, Charge, Credits, Effect, GenerationId, IdempotencyKey, LedgerError,
    OutputSet, Reason, Record, Timestamp, TransNo, UserId, Void, Wallet,
};

/// The largest number of charges in a result.
const CHARGES_MAX: usize = 1_000;

/// The bytes that a void adds to the item of a charge: a reason of 255 characters, and the
/// other attributes.
const VOID_BYTES_MAX: usize = 4 * 255 + 200;

/// A request of `refund`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// The owner of the charges; looked up by the generation if absent.
    pub user: Option<UserId>,
    /// The generation of the charges.
    pub generation: GenerationId,
    /// The idempotency key of one charge; all charges of the generation if absent.
    pub key: Option<IdempotencyKey>,
    /// The identity of the one charge to refund. Other charges of the generation, such as
    /// those of later attempts, remain.
    pub trans_no: Option<TransNo>,
    /// The outputs to refund of the one charge under the key.
    pub outputs: Option<OutputSet>,
    /// The sender of the request.
    pub source: RefundSource,
    /// The reason, which the voided charges store.
    pub reason: Reason,
}

/// The sender of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundSource {
    /// The app. It may refund a settled charge.
    Caller,
    /// A provider. Its failure after a success or a settlement changes nothing.
    Callback,
}

/// The command of a refund: the request with its user.
#[derive(Clone, Copy, Debug)]
pub struct Refund<'a> {
    /// The owner of the charges.
    pub user: &'a UserId,
    /// The request.
    pub request: &'a RefundRequest,
}

/// The outcome of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// This call voided at least one charge, or returned an output.
    Voided,
    /// Earlier calls had voided all charges, or returned all of the outputs.
    AlreadyVoided,
    /// A call-back reported failure of charges that were settled or delivered.
    Settled,
    /// There was no charge. A fence rejects a later one.
    Fenced,
}

impl RefundOutcome {
    /// The name in responses and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RefundOutcome::Voided => "voided",
            RefundOutcome::AlreadyVoided => "already_voided",
            RefundOutcome::Settled => "settled",
            RefundOutcome::Fenced => "fenced",
        }
    }
}

/// The result of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundResult {
    /// The outcome.
    pub outcome: RefundOutcome,
    /// The owner of the charges.
    pub user: UserId,
    /// The credits that this call returned to packs.
    pub returned: RestoredCredits,
    /// The credits among them that repaid debts at once.
    pub repaid: Credits,
    /// The outputs of the charge that have been returned so far, if the request names outputs.
    pub outputs: Option<Vec<u8>>,
    /// The voided charges that the request addresses, oldest first, or the one charge whose
    /// outputs it names.
    pub charges: Vec<RefundedCharge>,
    /// Whether the list omits charges.
    pub truncated: bool,
    /// The balance after the call.
    pub balance: Credits,
}

/// A charge in a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundedCharge {
    /// The identity of the charge.
    pub trans_no: TransNo,
    /// What it costs, or cost before its void, as a positive number.
    pub credits: Credits,
    /// The void.
    pub void: Option<Void>,
}

impl Command for Refund<'_> {
    type Answer = RefundResult;

    fn user(&self) -> &UserId {
        self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.address().record_key())
    }

    /// The request addresses one key if it has an idempotency key or names outputs, or if the
    /// wallet has no keyed charges. Otherwise the charges of the generation are queried after
    /// the wallet was read. The query is complete if only this refund has changed the wallet
    /// since. A request that names a charge by `trans_no` leaves no fence: the charge exists,
    /// or existed, and a fence would reject another attempt.
    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let address = self.address();
        if let Some(read) = address.first_missing_read(view)? {
            return Ok(Step::Read(read));
        }
        if let Some(outputs) = &self.request.outputs {
            return self.next_of_outputs(outputs, view, now);
        }
        if self.live(view).next().is_some() {
            return self.void_group(view, now);
        }
        if let Some(read) = address.last_missing_read(view) {
            return Ok(Step::Read(read));
        }
        if address.charges(view).next().is_some() {
            return Ok(Step::Done);
        }
        match (self.request.trans_no, view.record(&address.record_key())) {
            (Some(_), _) => Err(LedgerError::ChargeNotFound),
            (None, Some(_)) => Ok(Step::Done),
            (None, None) => self.fence(view, now),
        }
    }

    fn answer(&self, view: View, now: Timestamp) -> Result<RefundResult, LedgerError> {
        let mut charges = BTreeMap::new();
        let mut repaid = Credits::ZERO;
        let mut has_returned = false;
        for (_, charge, _) in self.address().charges(&view) {
            for own in own_repaid(charge, &view) {
                has_returned = true;
                repaid = repaid.checked_add(own)?;
            }
            if charge.void.is_some() || self.request.outputs.is_some() {
                charges.insert(charge.trans_no, RefundedCharge::from(charge));
            }
        }
        let mut returned = RestoredCredits::default();
        view.own_changes().try_for_each(|change| returned.add(&change.effect, change.at))?;
        let outputs = self.request.outputs.as_ref().and_then(|_| self.returned_outputs(&view));
        Ok(RefundResult {
            outcome: self.outcome(&view, has_returned, !charges.is_empty()),
            user: self.user.clone(),
            returned,
            repaid,
            outputs,
            truncated: charges.len() > CHARGES_MAX,
            charges: charges.into_values().take(CHARGES_MAX).collect(),
            balance: view.wallet().balance(now),
        })
    }
}

impl Refund<'_> {
    fn address(&self) -> ChargeAddress<'_> {
        let RefundRequest { generation, key, trans_no, outputs, .. } = self.request;
        ChargeAddress { generation, key: key.as_ref(), trans_no: *trans_no, is_exact: outputs.is_some() }
    }

    /// The addressed charges that this refund may void.
    fn live<'a>(&'a self, view: &'a View) -> impl Iterator<Item = LoadedCharge<'a>> {
        let is_refundable =
            |charge: &Charge| self.request.source == RefundSource::Caller || !charge.is_final();
        let charges = self.address().charges(view);
        charges.filter(move |(_, charge, _)| charge.void.is_none() && is_refundable(charge))
    }

    /// Plans the void of the oldest live charges that fit into one transaction.
    fn void_group(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let mut live: Vec<_> = self.live(view).collect();
        live.sort_by_key(|(_, charge, _)| charge.trans_no);
        let group = &live[..charges_per_transaction(&live, view)];
        if group.len() < live.len() && view.own_changes().next().is_none() {
            // The void of all charges must be valid before the first group is committed.
            let all = view.wallet().void(live.iter().map(|(_, charge, _)| *charge), now);
            if let Err(error @ LedgerError::LimitExceeded(_)) = all {
                return Err(error);
            }
        }
        void(group, &self.request.reason, view, now)
    }

    /// Plans the return of the outputs that have not been returned yet. The last ones void the
    /// charge.
    fn next_of_outputs(&self, outputs: &OutputSet, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let loaded = self.address().charges(view).next();
        let (key, charge, bytes) = loaded.ok_or(LedgerError::ChargeNotFound)?;
        let of = charge.outputs.filter(|of| of.contains(outputs)).ok_or_else(|| {
            LedgerError::InvalidRequest("`outputs` must name outputs that the charge has.".to_owned())
        })?;
        let is_refundable = self.request.source == RefundSource::Caller || !charge.is_final();
        let before = charge.returned_outputs().into_keys().collect();
        let new = outputs.without(&before).filter(|_| charge.void.is_none() && is_refundable);
        let Some(new) = new else { return Ok(Step::Done) };
        if before.len() + new.numbers().count() == usize::from(of.count()) {
            return void(&[(key, charge, bytes)], &self.request.reason, view, now);
        }
        match view.wallet().adjust(
            charge,
            AdjustmentKind::Returned { outputs: new, repaid: Credits::ZERO, fills: Vec::new() },
            view,
            now,
        ) {
            Ok(plan) => Ok(Step::Commit(plan)),
            Err(error) => reread_or_reject(error, &[(key, charge, bytes)], view),
        }
    }

    fn outcome(&self, view: &View, has_returned: bool, has_listed: bool) -> RefundOutcome {
        let is_settled = |(_, charge, _): LoadedCharge<'_>| charge.void.is_none() && charge.is_final();
        let is_callback = self.request.source == RefundSource::Callback;
        if has_returned {
            RefundOutcome::Voided
        } else if is_callback && self.address().charges(view).any(is_settled) {
            RefundOutcome::Settled
        } else if has_listed {
            RefundOutcome::AlreadyVoided
        } else {
            RefundOutcome::Fenced
        }
    }

    /// The outputs that have been returned; all of a voided charge.
    fn returned_outputs(&self, view: &View) -> Option<Vec<u8>> {
        let (_, charge, _) = self.address().charges(view).next()?;
        Some(match (&charge.void, charge.outputs) {
            (Some(_), Some(of)) => (1..=of.count()).collect(),
            _ => charge.returned_outputs().into_keys().collect(),
        })
    }

    /// Plans a fence at the key of a charge that has not arrived.
    fn fence(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let (mut wallet, at) = view.wallet().begin_change(now)?;
        wallet.apply([Effect::Fenced], at)?;
        let (reason, invocation) = (self.request.reason.clone(), view.invocation);
        let fence = Record::Fence(Void::new(at, reason, invocation));
        let changes = vec![RecordChange::Create(self.address().record_key(), fence)];
        Ok(Step::Commit(Plan { wallet: Some(wallet), changes, ..Plan::default() }))
    }
}

impl From<&Charge> for RefundedCharge {
    fn from(charge: &Charge) -> RefundedCharge {
        RefundedCharge { trans_no: charge.trans_no, credits: charge.state().cost, void: charge.void.clone() }
    }
}

/// For each change of this invocation that returned credits of a charge, what it repaid.
fn own_repaid(charge: &Charge, view: &View) -> Vec<Credits> {
    let own_outputs =
        charge.adjustments.iter().filter_map(|Adjustment { invocation, kind, .. }| match kind {
            AdjustmentKind::Returned { repaid, .. } if *invocation == view.invocation => Some(*repaid),
            _ => None,
        });
    let own_void = charge.void.iter().filter(|void| void.invocation == view.invocation);
    own_outputs.chain(own_void.map(|void| void.repaid)).collect()
}

/// The number of these charges that fit into one transaction; at least one. The transaction
/// may also change every charge in debt.
fn charges_per_transaction(live: &[LoadedCharge<'_>], view: &View) -> usize {
    let debts = view.wallet().debts.len();
    let records = view.limits.records.saturating_sub(debts).max(1);
    let mut bytes = debts * Wallet::DEBTOR_BYTES_MAX;
    let fits = |(_, _, item): &&LoadedCharge<'_>| {
        bytes += item + VOID_BYTES_MAX;
        bytes <= view.limits.bytes
    };
    live.iter().take(records).take_while(fits).count().max(1)
}
