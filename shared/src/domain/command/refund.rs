//! The command of `refund`: voids the live charges that a request addresses, and returns
//! their credits to the packs.

use std::collections::BTreeMap;

use super::{Command, Plan, ReadRequest, RecordChange, Step, View};
use crate::domain::{
    Charge, Credits, Effect, GenerationId, IdempotencyKey, LedgerError, LedgerLimit, Reason, Record,
    RecordKey, Timestamp, TransNo, UserId, Void, Wallet,
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
    /// The reason, which the voided charges store.
    pub reason: Reason,
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
    /// This call voided at least one charge.
    Voided,
    /// Earlier calls had voided all charges.
    AlreadyVoided,
    /// There was no charge. A fence rejects a later one.
    Fenced,
}

impl RefundOutcome {
    /// The name in responses and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RefundOutcome::Voided => "voided",
            RefundOutcome::AlreadyVoided => "already_voided",
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
    /// The voided charges that the request addresses, oldest first.
    pub charges: Vec<VoidedCharge>,
    /// Whether the list omits charges.
    pub truncated: bool,
    /// The balance after the call.
    pub balance: Credits,
}

/// A voided charge in a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidedCharge {
    /// The identity of the charge.
    pub trans_no: TransNo,
    /// The credits, as a positive number.
    pub credits: Credits,
    /// The time of the void.
    pub voided_at: Timestamp,
    /// The reason of the void.
    pub voided_reason: Reason,
}

/// The credits that a void returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredCredits {
    /// To usable packs.
    pub restored: Credits,
    /// To expired packs.
    pub expired: Credits,
}

impl Command for Refund<'_> {
    type Answer = RefundResult;

    fn user(&self) -> &UserId {
        self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.record_key())
    }

    /// The request addresses one key if it has an idempotency key, or if the wallet has no
    /// keyed charges. Otherwise the charges of the generation are queried after the wallet
    /// was read. The query is complete if only this refund has changed the wallet since.
    /// A request that names a charge by `trans_no` leaves no fence: the charge exists, or
    /// existed, and a fence would reject another attempt.
    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let is_session = self.request.key.is_none() && view.wallet().has_keyed_charges;
        if view.records().any(|(_, record)| view.is_wallet_older_than(record)) {
            return Ok(Step::Read(ReadRequest::Wallet));
        }
        if view.records().any(|(_, record)| matches!(record, Record::Grant(_))) {
            return Err(LedgerError::Internal("the key of a charge contains a grant".to_owned()));
        }
        if is_session && !view.is_generation_queried() {
            return Ok(Step::Read(ReadRequest::Generation(self.request.generation.clone())));
        }
        if self.charges(view).any(|(_, charge, _)| charge.void.is_none()) {
            return self.void(view, now);
        }
        if is_session && !view.is_generation_complete() {
            return Ok(Step::Read(ReadRequest::Generation(self.request.generation.clone())));
        }
        if self.charges(view).next().is_some() {
            return Ok(Step::Done);
        }
        match (self.request.trans_no, view.record(&self.record_key())) {
            (Some(_), _) => Err(LedgerError::ChargeNotFound),
            (None, Some(_)) => Ok(Step::Done),
            (None, None) => self.fence(view, now),
        }
    }

    fn answer(&self, view: View, now: Timestamp) -> Result<RefundResult, LedgerError> {
        let mut voided = BTreeMap::new();
        let mut returned = RestoredCredits::default();
        let mut has_voided = false;
        for (_, charge, _) in self.charges(&view) {
            let Some(void) = &charge.void else { continue };
            if void.invocation == view.invocation {
                has_voided = true;
                returned = returned.checked_add(charge.restored_credits(void.at)?)?;
            }
            voided.insert(
                charge.trans_no,
                VoidedCharge {
                    trans_no: charge.trans_no,
                    credits: charge.credits,
                    voided_at: void.at,
                    voided_reason: void.reason.clone(),
                },
            );
        }
        let outcome = match (has_voided, voided.is_empty()) {
            (true, _) => RefundOutcome::Voided,
            (false, false) => RefundOutcome::AlreadyVoided,
            (false, true) => RefundOutcome::Fenced,
        };
        Ok(RefundResult {
            outcome,
            user: self.user.clone(),
            returned,
            truncated: voided.len() > CHARGES_MAX,
            charges: voided.into_values().take(CHARGES_MAX).collect(),
            balance: view.wallet().balance(now),
        })
    }
}

impl Refund<'_> {
    /// The one key that the request addresses, or the key of its fence.
    fn record_key(&self) -> RecordKey {
        RecordKey::Charge { generation: Some(self.request.generation.clone()), key: self.request.key.clone() }
    }

    /// The loaded charges that the request addresses.
    fn charges<'a>(&self, view: &'a View) -> impl Iterator<Item = (&'a RecordKey, &'a Charge, usize)> {
        let trans_no = self.request.trans_no;
        view.charges()
            .filter(move |(_, charge, _)| trans_no.is_none_or(|trans_no| trans_no == charge.trans_no))
    }

    /// Plans the void of the oldest live charges that fit into one transaction.
    fn void(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let mut live: Vec<_> = self.charges(view).filter(|(_, charge, _)| charge.void.is_none()).collect();
        live.sort_by_key(|(_, charge, _)| charge.trans_no);
        let group = &live[..charges_per_transaction(&live, view)];
        if group.len() < live.len() && view.own_changes().next().is_none() {
            // The void of all charges must be valid before the first group is committed.
            let all = view.wallet().void(live.iter().map(|(_, charge, _)| *charge), now);
            if let Err(error @ LedgerError::LimitExceeded(_)) = all {
                return Err(error);
            }
        }
        let (wallet, at, _) = match view.wallet().void(group.iter().map(|(_, charge, _)| *charge), now) {
            Ok(planned) => planned,
            Err(error) if view.is_snapshot_of(group.iter().map(|(key, ..)| *key)) => return Err(error),
            // A void may be visible in the wallet, but not yet in its charge.
            Err(_) => {
                let keys = group.iter().map(|(key, ..)| (*key).clone()).collect();
                return Ok(Step::Read(ReadRequest::Snapshot(keys)));
            }
        };
        let void = Void { at, reason: self.request.reason.clone(), invocation: view.invocation };
        let voided = |charge: &Charge| Charge { void: Some(void.clone()), ..charge.clone() };
        let change = |(key, charge, _): &(&RecordKey, &Charge, usize)| {
            RecordChange::Void((*key).clone(), Record::Charge(voided(charge)))
        };
        Ok(Step::Commit(Plan {
            wallet: Some(wallet),
            changes: group.iter().map(change).collect(),
            ..Plan::default()
        }))
    }

    /// Plans a fence at the key of a charge that has not arrived.
    fn fence(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let (mut wallet, at) = view.wallet().begin_change(now)?;
        wallet.apply([Effect::Fenced], at)?;
        let fence =
            Record::Fence(Void { at, reason: self.request.reason.clone(), invocation: view.invocation });
        let changes = vec![RecordChange::Create(self.record_key(), fence)];
        Ok(Step::Commit(Plan { wallet: Some(wallet), changes, ..Plan::default() }))
    }
}

/// The number of these charges that fit into one transaction; at least one.
fn charges_per_transaction(live: &[(&RecordKey, &Charge, usize)], view: &View) -> usize {
    let mut bytes = 0;
    let fits = |(_, _, item): &&(&RecordKey, &Charge, usize)| {
        bytes += item + VOID_BYTES_MAX;
        bytes <= view.limits.bytes
    };
    live.iter().take(view.limits.records).take_while(fits).count().max(1)
}

impl Wallet {
    /// Plans the void of live charges: the next wallet, the time of the void, and the credits
    /// that it returns. Credits of an expired pack remain expired.
    ///
    /// # Errors
    /// `LimitExceeded` for more than [`Wallet::PACKS_MAX`] packs; `Internal` if wallet and
    /// charges contradict each other.
    pub fn void<'a>(
        &self,
        charges: impl IntoIterator<Item = &'a Charge>,
        now: Timestamp,
    ) -> Result<(Wallet, Timestamp, RestoredCredits), LedgerError> {
        let (mut wallet, at) = self.begin_change(now)?;
        let mut returned = RestoredCredits::default();
        for charge in charges {
            wallet.apply(charge.void_effects(), at)?;
            returned = returned.checked_add(charge.restored_credits(at)?)?;
        }
        if wallet.packs.len() > Wallet::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks));
        }
        Ok((wallet, at, returned))
    }
}

impl Charge {
    /// The credits that a void at this time returns.
    fn restored_credits(&self, at: Timestamp) -> Result<RestoredCredits, LedgerError> {
        let mut returned = RestoredCredits::default();
        for (grant, credits) in self.owned() {
            let part = if grant.is_usable(at) { &mut returned.restored } else { &mut returned.expired };
            *part = part.checked_add(credits)?;
        }
        Ok(returned)
    }
}

impl RestoredCredits {
    /// The sum.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn checked_add(self, other: RestoredCredits) -> Result<RestoredCredits, LedgerError> {
        Ok(RestoredCredits {
            restored: self.restored.checked_add(other.restored)?,
            expired: self.expired.checked_add(other.expired)?,
        })
    }
}
