//! The wallet: a user's packs and lifetime sums, and how the effects of records change them.

use std::collections::BTreeMap;

use super::{
    Credits, Debt, Effect, Grant, GrantType, LedgerError, LedgerLimit, Timestamp, TransNo, TransType,
    discrepancy::is_ahead,
};

/// The credits of one user: packs with remaining credits, and lifetime sums.
///
/// [`Wallet::grant`], [`Wallet::charge`] and [`Wallet::void`] plan a change: they return the
/// next wallet. The store commits it only if the stored wallet still has the version that the
/// plan is based on.
///
/// ```
/// use scrip::domain::{Credits, GrantRequest, GrantType, InvocationId, Timestamp, Wallet};
/// # use uuid::Uuid;
///
/// let request = GrantRequest {
///     user: "user-1".to_owned().try_into()?,
///     trans_type: GrantType::NewUser,
///     credits: Credits::requested(20).expect("an amount in range"),
///     order_no: None,
///     expired_at: Timestamp::parse("2026-03-01T00:00:00Z"),
///     key: None,
///     metadata: Default::default(),
/// };
/// let now = Timestamp::parse("2026-01-31T00:00:00Z").expect("a valid time");
/// let invocation = InvocationId::new(Uuid::from_u128(1));
/// let (wallet, grant) = Wallet::default().grant(&request, invocation, now).expect("a pack");
///
/// assert_eq!(wallet.balance(now), grant.credits);
/// assert_eq!(wallet.version, Some(now));
/// let expired_at = grant.expired_at.expect("an expiry");
/// assert_eq!(wallet.balance(expired_at), Credits::ZERO);
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    /// The time of the last change. It grows with every change, so it identifies the state
    /// of the wallet. Absent before the first change.
    pub version: Option<Timestamp>,
    /// The packs in spending order.
    pub packs: Vec<Pack>,
    /// The lifetime sums by type.
    pub totals: BTreeMap<TransType, Totals>,
    /// Whether any charge had both a generation and a key. While it is false, a generation
    /// has at most one charge, and its refund needs no query.
    pub has_keyed_charges: bool,
    /// The number of fences, by which an audit detects a lost fence.
    pub fences: u64,
    /// The debts of charges and orders, oldest first. While there is a debt, the balance is 0.
    pub debts: Vec<Debt>,
    /// The lifetime sum of revoked credits: those taken back, and those owed for revoked
    /// orders. A shortfall is not part of it.
    pub revoked: Credits,
    /// The shortfalls by grant: credits that were revoked after they were spent. Credits that
    /// return to the pack fill its shortfall first.
    pub shortfalls: BTreeMap<TransNo, Credits>,
    /// Whether a migration left the user behind. Every change is then rejected.
    pub is_blocked: bool,
}

/// The remaining credits of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// The origin of the pack.
    pub grant: Grant,
    /// From 1 to the credits of the grant.
    pub remaining: Credits,
}

/// The credits and the number of some records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CreditSum {
    /// The sum of the credits, as a positive number.
    pub credits: Credits,
    /// The number of records.
    pub count: u64,
}

/// The lifetime sums of one trans_type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Totals {
    /// All records, including the voided ones.
    pub created: CreditSum,
    /// The voided records.
    pub voided: CreditSum,
}

impl Wallet {
    /// The number of usable packs from which on a gift is rejected.
    pub const GIFT_PACKS_MAX: usize = 500;
    /// The number of usable packs from which on the grant of a paid order is rejected. Gifts
    /// cannot use up this room.
    pub const PAID_PACKS_MAX: usize = 900;
    /// The largest number of packs, including those that refunds restored.
    pub const PACKS_MAX: usize = 1_050;
    /// The largest number of revoked orders with a shortfall.
    pub const SHORTFALLS_MAX: usize = 50;
    /// The largest number of parts of packs of one charge.
    pub const CHARGE_PARTS_MAX: usize = 1_100;
    /// The largest number of types of charges of one user.
    pub const CHARGE_TYPES_MAX: usize = 100;
    /// The time for which an expired pack remains in the wallet. Clocks differ: a process
    /// with a fast clock must not remove a pack that is usable for the others.
    const EXPIRED_RETENTION_MILLIS: i64 = 60_000;

    /// The sum of the usable packs.
    pub fn balance(&self, now: Timestamp) -> Credits {
        self.usable(now).map(|pack| pack.remaining).sum()
    }

    /// The usable packs in spending order. If the clock is behind the wallet's version, the
    /// version decides what has expired.
    pub fn usable(&self, now: Timestamp) -> impl Iterator<Item = &Pack> {
        let now = self.version.map_or(now, |version| now.max(version));
        self.packs.iter().filter(move |pack| pack.grant.is_usable(now))
    }

    /// Whether the user has a grant of type `order_pay`.
    pub fn is_recharged(&self) -> bool {
        self.totals.contains_key(&TransType::Grant(GrantType::OrderPay))
    }

    /// Checks the invariants of a wallet that was read from the table.
    ///
    /// # Errors
    /// The first invariant that is violated.
    pub fn validate(&self) -> Result<(), &'static str> {
        let is_sorted = self.packs.is_sorted_by(|a, b| a.grant.spending_order() < b.grant.spending_order());
        let is_valid = |pack: &Pack| !pack.remaining.is_zero() && pack.remaining <= pack.grant.credits;
        let sum = self.packs.iter().try_fold(Credits::ZERO, |sum, pack| sum.checked_add(pack.remaining));
        let are_debts_valid = self.debts.is_sorted_by(|a, b| a.since < b.since)
            && self.debts.iter().all(|debt| !debt.credits.is_zero())
            && self.debts.len() <= Wallet::DEBTS_MAX;
        let is_filled = self.shortfalls.values().any(|credits| credits.is_zero());
        if !are_debts_valid {
            Err("debts out of order, without credits, or more than 50")
        } else if is_filled || self.shortfalls.len() > Wallet::SHORTFALLS_MAX {
            Err("shortfalls without credits, or more than 50")
        } else if !is_sorted {
            Err("packs out of order")
        } else if !self.packs.iter().all(is_valid) {
            Err("a pack with no credits or more than its grant")
        } else if sum.is_err() {
            Err("more than 2^53-1 credits")
        } else {
            Ok(())
        }
    }

    /// Applies the effects of a record at this version.
    ///
    /// # Errors
    /// `LimitExceeded` if a sum is too large; `Internal` if wallet and effects contradict each
    /// other.
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
                Effect::Adjusted(trans_type, from, to) => self.adjust_total(&trans_type, from, to)?,
                Effect::Voided(trans_type, credits) => self.count_void(&trans_type, credits)?,
                Effect::Granted(grant) => {
                    self.insert_pack(Pack { grant: grant.clone(), remaining: grant.credits });
                }
                Effect::Taken(grant, credits) => self.take_credits(grant, credits, at)?,
                Effect::Returned(grant, credits) => self.return_credits(grant, credits, at)?,
                Effect::Owed(charge, credits, parts) => {
                    self.add_debt(Debt::of(charge, credits, parts, at))?
                }
                Effect::OrderOwed(grant, credits, parts) => {
                    self.add_debt(Debt::of_order(grant, credits, parts, at))?
                }
                Effect::Repaid(trans_no, credits, parts) => self.reduce_debt(trans_no, credits, parts)?,
                Effect::Revoked(credits) => self.revoked = self.revoked.checked_add(credits)?,
                Effect::Restored(credits) => self.restore_revoked(credits)?,
                Effect::ShortfallAdded(grant, credits) => self.add_shortfall(grant, credits)?,
                Effect::ShortfallReduced(grant, credits) => self.reduce_shortfall(grant, credits)?,
                Effect::Filled(grant, credits) => {
                    self.take_credits(grant, credits, at)?;
                    self.reduce_shortfall(grant, credits)?;
                    self.revoked = self.revoked.checked_add(credits)?;
                }
                Effect::Fenced => self.fences += 1,
            }
        }
        Ok(())
    }

    /// The next version of a wallet that was computed elsewhere: with sorted packs, and
    /// checked against all limits.
    ///
    /// # Errors
    /// `LimitExceeded` for too many packs, types or credits.
    pub(super) fn normalized(&self, now: Timestamp) -> Result<Wallet, LedgerError> {
        let (mut wallet, _) = self.next_version(now)?;
        wallet.packs.sort_by_key(|pack| pack.grant.spending_order());
        wallet.total_granted()?;
        wallet.charge_totals().try_fold(CreditSum::default(), CreditSum::checked_add)?;
        if wallet.packs.len() > Self::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::ImportedPacks));
        }
        if wallet.charge_totals().count() > Self::CHARGE_TYPES_MAX {
            return Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes));
        }
        Ok(wallet)
    }

    /// The sum of all grants.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn total_granted(&self) -> Result<CreditSum, LedgerError> {
        let grants = self.totals.iter().filter(|(trans_type, _)| !matches!(trans_type, TransType::Charge(_)));
        grants.map(|(_, totals)| totals.created).try_fold(CreditSum::default(), CreditSum::checked_add)
    }

    /// The sums of all charges, by type.
    pub(super) fn charge_totals(&self) -> impl Iterator<Item = CreditSum> {
        let charges = self.totals.iter().filter(|(trans_type, _)| matches!(trans_type, TransType::Charge(_)));
        charges.map(|(_, totals)| totals.created)
    }

    /// Begins a change by a caller.
    ///
    /// # Errors
    /// `LimitExceeded` if the user is blocked, and those of the next version.
    pub fn begin_change(&self, now: Timestamp) -> Result<(Wallet, Timestamp), LedgerError> {
        if self.is_blocked {
            Err(LedgerError::LimitExceeded(LedgerLimit::Blocked))
        } else {
            self.next_version(now)
        }
    }

    /// A copy of the wallet without the packs that expired long ago, and its version, which is
    /// later than the one before whatever the clock says. Rules use this version as the time,
    /// so that a charge never takes from a pack that had expired at the charge's own
    /// `created_at`.
    ///
    /// # Errors
    /// `Internal` if the wallet's version is more than an hour ahead of the clock: records
    /// would get times in the future.
    pub(super) fn next_version(&self, now: Timestamp) -> Result<(Wallet, Timestamp), LedgerError> {
        let at = self.version.map_or(now, |version| now.max(version.plus_millis(1)));
        if is_ahead(at, now) {
            return Err(LedgerError::Internal(format!("the wallet's version {at} is far ahead of {now}")));
        }
        let mut wallet = Wallet { version: Some(at), ..self.clone() };
        wallet.packs.retain(|pack| !is_prunable(&pack.grant, at));
        Ok((wallet, at))
    }

    fn adjust_total(
        &mut self,
        trans_type: &TransType,
        from: Credits,
        to: Credits,
    ) -> Result<(), LedgerError> {
        let contradiction =
            || LedgerError::Internal(format!("an adjustment of {trans_type} contradicts the totals"));
        let totals = self.totals.get_mut(trans_type).ok_or_else(contradiction)?;
        let rest = totals.created.credits.checked_sub(from).ok_or_else(contradiction)?;
        totals.created.credits = rest.checked_add(to)?;
        totals.created.checked_sub(totals.voided).map(drop).ok_or_else(contradiction)
    }

    fn count_void(&mut self, trans_type: &TransType, credits: Credits) -> Result<(), LedgerError> {
        let contradiction =
            || LedgerError::Internal(format!("a void of {trans_type} contradicts the totals"));
        let totals = self.totals.get_mut(trans_type).ok_or_else(contradiction)?;
        totals.voided.add(credits)?;
        totals.created.checked_sub(totals.voided).map(drop).ok_or_else(contradiction)
    }

    /// Takes credits from a pack. The rest of a pack that expired long ago is in no wallet.
    pub(super) fn take_credits(
        &mut self,
        grant: &Grant,
        credits: Credits,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        if is_prunable(grant, at) {
            return Ok(());
        }
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

/// Whether a pack expired so long ago that it has expired for every clock.
fn is_prunable(grant: &Grant, now: Timestamp) -> bool {
    grant.expired_at.is_some_and(|at| at.plus_millis(Wallet::EXPIRED_RETENTION_MILLIS) <= now)
}

fn contradiction(trans_no: TransNo) -> LedgerError {
    LedgerError::Internal(format!("the wallet contradicts record {trans_no}"))
}

impl CreditSum {
    /// Adds one record.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn add(&mut self, credits: Credits) -> Result<(), LedgerError> {
        *self = self.checked_add(CreditSum { credits, count: 1 })?;
        Ok(())
    }

    /// The sum.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn checked_add(self, other: CreditSum) -> Result<CreditSum, LedgerError> {
        let count =
            self.count.checked_add(other.count).ok_or(LedgerError::LimitExceeded(LedgerLimit::Total))?;
        Ok(CreditSum { credits: self.credits.checked_add(other.credits)?, count })
    }

    /// The difference, or `None` if it is negative.
    pub fn checked_sub(self, part: CreditSum) -> Option<CreditSum> {
        Some(CreditSum {
            credits: self.credits.checked_sub(part.credits)?,
            count: self.count.checked_sub(part.count)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
