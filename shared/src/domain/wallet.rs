//! The wallet: what is left of each grant, and how the effects of records change it.

use std::collections::BTreeMap;

use super::{
    Credits, Effect, Grant, GrantType, LedgerError, LedgerLimit, Timestamp, TransNo, TransType,
    discrepancy::is_ahead,
};

/// One user's money: what is left of each grant, and what ever happened in sums.
///
/// Every change goes from one wallet to the next: [`Wallet::grant`], [`Wallet::charge`]
/// and [`Wallet::void`] plan it, and the store commits it only if the wallet is still the
/// one that the plan began with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    /// The moment of the last change, which grows with every change, so that it
    /// also tells one wallet from the next. Absent before the first grant.
    pub version: Option<Timestamp>,
    /// What is left, in spending order.
    pub packs: Vec<Pack>,
    /// What was ever granted, charged and voided.
    pub totals: BTreeMap<TransType, Totals>,
    /// Whether any charge ever had both a generation and a key. While none had,
    /// a generation's one charge is all that its refund has to look for.
    pub has_keyed_charges: bool,
    /// How many fences the user has: none of them can go unnoticed.
    pub fences: u64,
}

/// What is left of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Where it came from.
    pub grant: Grant,
    /// What is left, at least 1 and at most what was granted.
    pub remaining: Credits,
}

/// A sum of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CreditSum {
    /// The sum of their credits, as a positive number.
    pub credits: Credits,
    /// How many there are.
    pub count: u64,
}

/// The lifetime sums of one trans_type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Totals {
    /// All records, voided ones too.
    pub created: CreditSum,
    /// The voided ones among them.
    pub voided: CreditSum,
}

impl Wallet {
    /// How many packs with credits left a wallet may have for a grant to be taken.
    pub const GRANTED_PACKS_MAX: usize = 500;
    /// How many packs a wallet may hold, counting those that refunds brought back.
    pub const PACKS_MAX: usize = 1_050;
    /// How many trans_types of charges one user may have.
    pub const CHARGE_TYPES_MAX: usize = 100;
    /// How long a pack that ran out stays: clocks differ, and what is dropped by
    /// one that is ahead is gone for all.
    const EXPIRED_RETENTION_MILLIS: i64 = 60_000;

    /// The sum of what is left in the usable packs.
    pub fn balance(&self, now: Timestamp) -> Credits {
        self.usable(now).map(|pack| pack.remaining).sum()
    }

    /// The packs that can be spent, in spending order. No clock that is behind
    /// brings back what had run out when the wallet last changed.
    pub fn usable(&self, now: Timestamp) -> impl Iterator<Item = &Pack> {
        let now = self.version.map_or(now, |version| now.max(version));
        self.packs.iter().filter(move |pack| pack.grant.is_usable(now))
    }

    /// Whether an order was ever paid.
    pub fn is_recharged(&self) -> bool {
        self.totals.contains_key(&TransType::Grant(GrantType::OrderPay))
    }

    /// The first thing wrong with a wallet that was read, if any: what the
    /// rules below rest on, and what no plan of theirs can bring about.
    pub fn validate(&self) -> Result<(), &'static str> {
        let in_order = self.packs.is_sorted_by(|a, b| a.grant.spending_order() < b.grant.spending_order());
        let filled = |pack: &Pack| !pack.remaining.is_zero() && pack.remaining <= pack.grant.credits;
        let sum = self.packs.iter().try_fold(Credits::ZERO, |sum, pack| sum.checked_add(pack.remaining));
        if !in_order {
            Err("packs out of order")
        } else if !self.packs.iter().all(filled) {
            Err("a pack with no credits or more than its grant")
        } else if sum.is_err() {
            Err("more than 2^53-1 credits")
        } else {
            Ok(())
        }
    }

    /// Does what a record does to a wallet, at this version.
    ///
    /// # Errors
    /// `LimitExceeded` for sums; `Internal` when wallet and record contradict each other.
    pub fn apply<'a>(
        &mut self,
        effects: impl IntoIterator<Item = Effect<'a>>,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        for effect in effects {
            match effect {
                Effect::Created(trans_type, credits) => {
                    self.totals.entry(trans_type).or_default().created.add(credits)?;
                }
                Effect::Voided(trans_type, credits) => self.count_void(&trans_type, credits)?,
                Effect::Granted(grant) => {
                    self.insert_pack(Pack { grant: grant.clone(), remaining: grant.credits });
                }
                Effect::Taken(grant, credits) => self.take_credits(grant, credits)?,
                Effect::Returned(grant, credits) => self.return_credits(grant, credits, at)?,
                Effect::Fenced => self.fences += 1,
            }
        }
        Ok(())
    }

    /// The wallet that follows on this one, of which nothing but its contents is known: in
    /// order, and no more than may be stored.
    ///
    /// # Errors
    /// `LimitExceeded` for too many packs, trans_types or credits.
    pub(super) fn normalized(&self, now: Timestamp) -> Result<Wallet, LedgerError> {
        let (mut wallet, _) = self.begin_change(now)?;
        wallet.packs.sort_by_key(|pack| pack.grant.spending_order());
        wallet.total_granted()?;
        wallet.charge_totals().try_fold(CreditSum::default(), CreditSum::checked_add)?;
        if wallet.packs.len() > Self::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::Packs));
        }
        if wallet.charge_totals().count() > Self::CHARGE_TYPES_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes));
        }
        Ok(wallet)
    }

    /// All that was ever granted.
    pub fn total_granted(&self) -> Result<CreditSum, LedgerError> {
        let grants = self.totals.iter().filter(|(of, _)| !matches!(of, TransType::Charge(_)));
        grants.map(|(_, totals)| totals.created).try_fold(CreditSum::default(), CreditSum::checked_add)
    }

    /// What was ever charged, type by type.
    pub(super) fn charge_totals(&self) -> impl Iterator<Item = CreditSum> {
        let charges = self.totals.iter().filter(|(of, _)| matches!(of, TransType::Charge(_)));
        charges.map(|(_, totals)| totals.created)
    }

    /// A copy of this wallet to be changed, without the packs that expired long ago, and
    /// the version of the change: later than the one before, whatever the clock says. A
    /// change is decided as of that version, so that a charge never takes from a pack that
    /// had expired by the charge's own `created_at`.
    ///
    /// # Errors
    /// `Internal` when the wallet's version is more than an hour ahead of the clock:
    /// every change would be stamped with a time that has not come.
    pub fn begin_change(&self, now: Timestamp) -> Result<(Wallet, Timestamp), LedgerError> {
        let at = self.version.map_or(now, |version| now.max(version.plus_millis(1)));
        if is_ahead(at, now) {
            return Err(LedgerError::Internal(format!("the wallet's version {at} is far ahead of {now}")));
        }
        let mut wallet = Wallet { version: Some(at), ..self.clone() };
        wallet.packs.retain(|pack| !is_prunable(&pack.grant, at));
        Ok((wallet, at))
    }

    fn count_void(&mut self, trans_type: &TransType, credits: Credits) -> Result<(), LedgerError> {
        let contradiction =
            || LedgerError::Internal(format!("a void of {trans_type} contradicts the totals"));
        let totals = self.totals.get_mut(trans_type).ok_or_else(contradiction)?;
        totals.voided.add(credits)?;
        totals.created.checked_sub(totals.voided).map(drop).ok_or_else(contradiction)
    }

    fn take_credits(&mut self, grant: &Grant, credits: Credits) -> Result<(), LedgerError> {
        let index = self.packs.iter().position(|pack| pack.grant.trans_no == grant.trans_no);
        let index = index.ok_or_else(|| contradiction(grant.trans_no))?;
        let pack = &mut self.packs[index];
        pack.remaining = pack.remaining.checked_sub(credits).ok_or_else(|| contradiction(grant.trans_no))?;
        if pack.remaining.is_zero() {
            self.packs.remove(index);
        }
        Ok(())
    }

    fn return_credits(&mut self, grant: &Grant, credits: Credits, at: Timestamp) -> Result<(), LedgerError> {
        if is_prunable(grant, at) {
            return Ok(());
        }
        let Some(pack) = self.packs.iter_mut().find(|pack| pack.grant.trans_no == grant.trans_no) else {
            self.insert_pack(Pack { grant: grant.clone(), remaining: credits });
            return Ok(());
        };
        pack.remaining = pack.remaining.checked_add(credits)?;
        if pack.remaining > pack.grant.credits { Err(contradiction(grant.trans_no)) } else { Ok(()) }
    }

    fn insert_pack(&mut self, pack: Pack) {
        let index =
            self.packs.partition_point(|other| other.grant.spending_order() < pack.grant.spending_order());
        self.packs.insert(index, pack);
    }
}

/// Whether a pack expired so long ago that every clock agrees.
fn is_prunable(grant: &Grant, now: Timestamp) -> bool {
    grant.expired_at.is_some_and(|at| at.plus_millis(Wallet::EXPIRED_RETENTION_MILLIS) <= now)
}

fn contradiction(trans_no: TransNo) -> LedgerError {
    LedgerError::Internal(format!("the wallet contradicts record {trans_no}"))
}

impl CreditSum {
    /// Counts one more record in.
    pub fn add(&mut self, credits: Credits) -> Result<(), LedgerError> {
        *self = self.checked_add(CreditSum { credits, count: 1 })?;
        Ok(())
    }

    /// Both together.
    pub fn checked_add(self, other: CreditSum) -> Result<CreditSum, LedgerError> {
        let count =
            self.count.checked_add(other.count).ok_or(LedgerError::LimitExceeded(LedgerLimit::Total))?;
        Ok(CreditSum { credits: self.credits.checked_add(other.credits)?, count })
    }

    /// What remains without these, which must be among them.
    pub fn checked_sub(self, part: CreditSum) -> Option<CreditSum> {
        Some(CreditSum {
            credits: self.credits.checked_sub(part.credits)?,
            count: self.count.checked_sub(part.count)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
