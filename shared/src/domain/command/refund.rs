//! `refund`: voids every live charge that a request addresses, and gives each pack back
//! what was taken from it.

use std::collections::BTreeMap;

use super::{Command, Plan, ReadRequest, RecordChange, Step, View};
use crate::domain::{
    Charge, Credits, Effect, GenerationId, IdempotencyKey, LedgerError, LedgerLimit, Reason, Record,
    RecordKey, Timestamp, TransNo, UserId, Void, Wallet,
};

/// How many voided charges an answer names at most.
const CHARGES_MAX: usize = 1_000;

/// What a void adds to the item of a charge: a reason of 255 characters, and the rest.
const VOID_BYTES_MAX: usize = 4 * 255 + 200;

/// What `refund` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Whose charges; found by the generation where absent.
    pub user: Option<UserId>,
    /// Of which generation.
    pub generation: GenerationId,
    /// The charge under this key, or all charges of the generation.
    pub key: Option<IdempotencyKey>,
    /// Why.
    pub reason: Reason,
}

/// A refund whose user is known.
#[derive(Clone, Copy, Debug)]
pub struct Refund<'a> {
    /// Whose charges.
    pub user: &'a UserId,
    /// Which of them, and why.
    pub request: &'a RefundRequest,
}

/// How a refund ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// This call voided at least one charge.
    Voided,
    /// Earlier calls had voided all there was.
    AlreadyVoided,
    /// There was nothing to void: a charge that comes later is refused.
    Fenced,
}

impl RefundOutcome {
    /// Its name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RefundOutcome::Voided => "voided",
            RefundOutcome::AlreadyVoided => "already_voided",
            RefundOutcome::Fenced => "fenced",
        }
    }
}

/// What a refund did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundResult {
    /// How it ended.
    pub outcome: RefundOutcome,
    /// Whose charges they were.
    pub user: UserId,
    /// What this call gave back.
    pub returned: RestoredCredits,
    /// The voided charges that the request addresses, oldest first.
    pub charges: Vec<VoidedCharge>,
    /// Whether there are more of them.
    pub truncated: bool,
    /// The balance of now.
    pub balance: Credits,
}

/// A charge that was refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidedCharge {
    /// Its identity.
    pub trans_no: TransNo,
    /// How many credits, as a positive number.
    pub credits: Credits,
    /// When it was voided.
    pub voided_at: Timestamp,
    /// Why.
    pub voided_reason: Reason,
}

/// What a void gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredCredits {
    /// To packs that can be spent.
    pub restored: Credits,
    /// To packs that have expired since.
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

    /// With a key, or while the wallet has never seen a charge with one, the request
    /// addresses one place. Otherwise its charges are queried after the wallet was read,
    /// and nothing was missed if only this refund has moved the wallet since.
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
        if view.charges().any(|(_, charge, _)| charge.void.is_none()) {
            return self.void(view, now);
        }
        if is_session && !view.is_generation_complete() {
            return Ok(Step::Read(ReadRequest::Generation(self.request.generation.clone())));
        }
        if view.charges().next().is_some() || view.record(&self.record_key()).is_some() {
            return Ok(Step::Done);
        }
        self.fence(view, now)
    }

    fn answer(&self, view: View, now: Timestamp) -> Result<RefundResult, LedgerError> {
        let mut voided = BTreeMap::new();
        let mut returned = RestoredCredits::default();
        let mut has_voided = false;
        for (_, charge, _) in view.charges() {
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
    /// The one place that the request addresses, or where its fence goes.
    fn record_key(&self) -> RecordKey {
        RecordKey::Charge { generation: Some(self.request.generation.clone()), key: self.request.key.clone() }
    }

    /// Voids the oldest live charges, as many as one transaction has room for.
    fn void(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let mut live: Vec<_> = view.charges().filter(|(_, charge, _)| charge.void.is_none()).collect();
        live.sort_by_key(|(_, charge, _)| charge.trans_no);
        let group = &live[..charges_per_transaction(&live, view)];
        if group.len() < live.len() && view.own_changes().next().is_none() {
            // All of it must be possible before any of it is done.
            let all = view.wallet().void(live.iter().map(|(_, charge, _)| *charge), now);
            if let Err(error @ LedgerError::LimitExceeded(_)) = all {
                return Err(error);
            }
        }
        let (wallet, at, _) = match view.wallet().void(group.iter().map(|(_, charge, _)| *charge), now) {
            Ok(planned) => planned,
            Err(error) if view.is_snapshot_of(group.iter().map(|(key, ..)| *key)) => return Err(error),
            // A void may show in the wallet and not yet in its charge.
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
        Ok(Step::Commit(Plan { wallet: Some(wallet), changes: group.iter().map(change).collect() }))
    }

    /// Takes the place of a charge that has not come.
    fn fence(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let (mut wallet, at) = view.wallet().begin_change(now)?;
        wallet.apply([Effect::Fenced], at)?;
        let fence =
            Record::Fence(Void { at, reason: self.request.reason.clone(), invocation: view.invocation });
        let changes = vec![RecordChange::Create(self.record_key(), fence)];
        Ok(Step::Commit(Plan { wallet: Some(wallet), changes }))
    }
}

/// How many of these charges one transaction has room for; at least one.
fn charges_per_transaction(live: &[(&RecordKey, &Charge, usize)], view: &View) -> usize {
    let mut bytes = 0;
    let fits = |(_, _, item): &&(&RecordKey, &Charge, usize)| {
        bytes += item + VOID_BYTES_MAX;
        bytes <= view.limits.bytes
    };
    live.iter().take(view.limits.records).take_while(fits).count().max(1)
}

impl Wallet {
    /// The wallet after these live charges are void, the time of it, and what it gives
    /// back. What belongs to a pack that has expired stays expired.
    ///
    /// # Errors
    /// `LimitExceeded` when more packs would come back than one item holds; `Internal`
    /// when wallet and charges contradict each other.
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
    /// What a void at this time gives back.
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
    /// `LimitExceeded` beyond the limit of sums.
    pub fn checked_add(self, other: RestoredCredits) -> Result<RestoredCredits, LedgerError> {
        Ok(RestoredCredits {
            restored: self.restored.checked_add(other.restored)?,
            expired: self.expired.checked_add(other.expired)?,
        })
    }
}
