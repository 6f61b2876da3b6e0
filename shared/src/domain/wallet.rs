use std::collections::BTreeMap;

use super::{
    Allocation, Charge, ChargeRequest, Credits, Grant, GrantRequest, GrantType, LedgerError, Limit, Nonce,
    Timestamp, TransNo, TransType,
};

/// One user's money: what is left of each grant, and what ever happened in sums.
///
/// Every change goes from one wallet to the next: [`Wallet::grant`],
/// [`Wallet::charge`] and [`Wallet::void`] plan it, and the store commits it
/// only if the wallet is still the one that the plan began with.
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
pub struct Tally {
    /// The sum of their credits, as a positive number.
    pub credits: Credits,
    /// How many there are.
    pub count: u64,
}

/// The lifetime sums of one trans_type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Totals {
    /// All records, voided ones too.
    pub made: Tally,
    /// The voided ones among them.
    pub voided: Tally,
}

/// What a void gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// To packs that can be spent.
    pub restored: Credits,
    /// To packs that have run out since.
    pub expired: Credits,
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
    const EXPIRED_STAYS_MILLIS: i64 = 60_000;

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
    pub fn fault(&self) -> Option<&'static str> {
        let in_order = self.packs.is_sorted_by(|a, b| a.grant.spending_order() < b.grant.spending_order());
        let filled = |pack: &Pack| !pack.remaining.is_zero() && pack.remaining <= pack.grant.credits;
        let sum = self.packs.iter().try_fold(Credits::ZERO, |sum, pack| sum.plus(pack.remaining));
        if !in_order {
            Some("packs out of order")
        } else if !self.packs.iter().all(filled) {
            Some("a pack with nothing or too much left")
        } else if sum.is_err() {
            Some("more than 2^53-1 credits")
        } else {
            None
        }
    }

    /// Adds a pack.
    ///
    /// # Errors
    /// `InvalidRequest` when it would have run out already, `LimitExceeded` for
    /// too many packs or credits.
    pub fn grant(
        &self,
        request: &GrantRequest,
        nonce: Nonce,
        now: Timestamp,
    ) -> Result<(Wallet, Grant), LedgerError> {
        let (mut wallet, stamp) = self.next(now);
        let grant = Grant {
            trans_no: TransNo::new(stamp, nonce),
            trans_type: request.trans_type.into(),
            credits: request.credits,
            order_no: request.order_no.clone(),
            expired_at: request.expired_at,
        };
        if !grant.is_usable(stamp) {
            return Err(LedgerError::InvalidRequest("expired_at: must be in the future".to_owned()));
        }
        if wallet.usable(stamp).count() >= Self::GRANTED_PACKS_MAX || wallet.packs.len() >= Self::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(Limit::Packs));
        }
        wallet.totals.entry(grant.trans_type.clone()).or_default().made.add(grant.credits)?;
        wallet.granted()?;
        wallet.insert(Pack { grant: grant.clone(), remaining: grant.credits });
        Ok((wallet, grant))
    }

    /// Takes credits, all or nothing, from the usable packs in spending order.
    ///
    /// # Errors
    /// `InsufficientCredits`, or `LimitExceeded` for one trans_type too many or
    /// for sums.
    pub fn charge(
        &self,
        request: &ChargeRequest,
        nonce: Nonce,
        now: Timestamp,
    ) -> Result<(Wallet, Charge), LedgerError> {
        let (mut wallet, stamp) = self.next(now);
        let (balance, required) = (wallet.balance(stamp), request.credits);
        if balance < required {
            return Err(LedgerError::InsufficientCredits { balance, required });
        }
        let charge = Charge {
            trans_no: TransNo::new(stamp, nonce),
            trans_type: request.trans_type.clone(),
            credits: required,
            generation: request.generation.clone(),
            order_no: request.order_no.clone(),
            allocations: wallet.take(required, stamp),
            void: None,
        };
        let trans_type = TransType::Charge(charge.trans_type.clone());
        if !wallet.totals.contains_key(&trans_type) && wallet.charges().count() >= Self::CHARGE_TYPES_MAX {
            return Err(LedgerError::LimitExceeded(Limit::TransTypes));
        }
        wallet.totals.entry(trans_type).or_default().made.add(required)?;
        // Voided charges count too, so that no void can ever pass the limit.
        wallet.charges().try_fold(Tally::default(), Tally::plus)?;
        wallet.has_keyed_charges |= request.generation.is_some() && request.key.is_some();
        Ok((wallet, charge))
    }

    /// Gives every pack back what these live charges took from it; also says the
    /// moment of it.
    ///
    /// What belongs to a pack that has run out stays gone, and is counted apart.
    ///
    /// # Errors
    /// `LimitExceeded` when more packs would come back than one item holds;
    /// `Internal` when wallet and charges contradict each other.
    pub fn void<'a>(
        &self,
        charges: impl IntoIterator<Item = &'a Charge>,
        now: Timestamp,
    ) -> Result<(Wallet, Timestamp, Returned), LedgerError> {
        let (mut wallet, stamp) = self.next(now);
        let mut returned = Returned::default();
        for charge in charges {
            let totals = wallet.totals.get_mut(&TransType::Charge(charge.trans_type.clone()));
            let totals = totals.ok_or_else(|| contradiction(charge.trans_no))?;
            totals.voided.add(charge.credits)?;
            totals.made.without(totals.voided).ok_or_else(|| contradiction(charge.trans_no))?;
            for Allocation { grant, credits } in &charge.allocations {
                wallet.put_back(grant, *credits, stamp)?;
                let part =
                    if grant.is_usable(stamp) { &mut returned.restored } else { &mut returned.expired };
                *part = part.plus(*credits)?;
            }
        }
        if wallet.packs.len() > Self::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(Limit::RestoredPacks));
        }
        Ok((wallet, stamp, returned))
    }

    /// Counts a fence in; also says the moment of it.
    pub fn fence(&self, now: Timestamp) -> (Wallet, Timestamp) {
        let (wallet, stamp) = self.next(now);
        (Wallet { fences: wallet.fences + 1, ..wallet }, stamp)
    }

    /// The wallet that follows on this one, of which nothing but its contents is known: in
    /// order, and no more than may be stored.
    ///
    /// # Errors
    /// `LimitExceeded` for too many packs, trans_types or credits.
    pub(super) fn renewed(&self, now: Timestamp) -> Result<Wallet, LedgerError> {
        let (mut wallet, _) = self.next(now);
        wallet.packs.sort_by_key(|pack| pack.grant.spending_order());
        wallet.granted()?;
        wallet.charges().try_fold(Tally::default(), Tally::plus)?;
        if wallet.packs.len() > Self::PACKS_MAX {
            return Err(LedgerError::LimitExceeded(Limit::Packs));
        }
        if wallet.charges().count() > Self::CHARGE_TYPES_MAX {
            return Err(LedgerError::LimitExceeded(Limit::TransTypes));
        }
        Ok(wallet)
    }

    /// All that was ever granted.
    pub fn granted(&self) -> Result<Tally, LedgerError> {
        let grants = self.totals.iter().filter(|(of, _)| !matches!(of, TransType::Charge(_)));
        grants.map(|(_, totals)| totals.made).try_fold(Tally::default(), Tally::plus)
    }

    /// What was ever charged, type by type.
    fn charges(&self) -> impl Iterator<Item = Tally> {
        let charges = self.totals.iter().filter(|(of, _)| matches!(of, TransType::Charge(_)));
        charges.map(|(_, totals)| totals.made)
    }

    /// This wallet, to be changed: without the packs that ended, and with the
    /// moment of the change, later than the one before whatever the clock says.
    /// The change is judged by that moment, so that a charge never takes from a
    /// pack that had run out by its own `created_at`.
    fn next(&self, now: Timestamp) -> (Wallet, Timestamp) {
        let stamp = self.version.map_or(now, |version| now.max(version.plus_millis(1)));
        let mut wallet = Wallet { version: Some(stamp), ..self.clone() };
        wallet.packs.retain(|pack| !ended(&pack.grant, stamp));
        (wallet, stamp)
    }

    fn take(&mut self, credits: Credits, now: Timestamp) -> Vec<Allocation> {
        let mut owed = credits;
        let mut allocations = Vec::new();
        for pack in self.packs.iter_mut().filter(|pack| pack.grant.is_usable(now)) {
            let taken = owed.min(pack.remaining);
            let (Some(left), Some(still_owed)) = (pack.remaining.minus(taken), owed.minus(taken)) else {
                break;
            };
            (pack.remaining, owed) = (left, still_owed);
            allocations.push(Allocation { grant: pack.grant.clone(), credits: taken });
            if owed.is_zero() {
                break;
            }
        }
        self.packs.retain(|pack| !pack.remaining.is_zero());
        allocations
    }

    fn put_back(&mut self, grant: &Grant, credits: Credits, now: Timestamp) -> Result<(), LedgerError> {
        if ended(grant, now) {
            return Ok(());
        }
        let Some(pack) = self.packs.iter_mut().find(|pack| pack.grant.trans_no == grant.trans_no) else {
            self.insert(Pack { grant: grant.clone(), remaining: credits });
            return Ok(());
        };
        pack.remaining = pack.remaining.plus(credits)?;
        if pack.remaining > pack.grant.credits { Err(contradiction(grant.trans_no)) } else { Ok(()) }
    }

    fn insert(&mut self, pack: Pack) {
        let at =
            self.packs.partition_point(|other| other.grant.spending_order() < pack.grant.spending_order());
        self.packs.insert(at, pack);
    }
}

/// Whether a pack ran out so long ago that every clock agrees.
fn ended(grant: &Grant, now: Timestamp) -> bool {
    grant.expired_at.is_some_and(|at| at.plus_millis(Wallet::EXPIRED_STAYS_MILLIS) <= now)
}

fn contradiction(trans_no: TransNo) -> LedgerError {
    LedgerError::Internal(format!("the wallet contradicts record {trans_no}"))
}

impl Returned {
    /// Both together.
    pub fn plus(self, other: Returned) -> Result<Returned, LedgerError> {
        Ok(Returned {
            restored: self.restored.plus(other.restored)?,
            expired: self.expired.plus(other.expired)?,
        })
    }
}

impl Tally {
    /// Counts one more record in.
    pub fn add(&mut self, credits: Credits) -> Result<(), LedgerError> {
        *self = self.plus(Tally { credits, count: 1 })?;
        Ok(())
    }

    /// Both together.
    pub fn plus(self, other: Tally) -> Result<Tally, LedgerError> {
        let count = self.count.checked_add(other.count).ok_or(LedgerError::LimitExceeded(Limit::Total))?;
        Ok(Tally { credits: self.credits.plus(other.credits)?, count })
    }

    /// What remains without these, which must be among them.
    pub fn without(self, part: Tally) -> Option<Tally> {
        Some(Tally { credits: self.credits.minus(part.credits)?, count: self.count.checked_sub(part.count)? })
    }
}

#[cfg(test)]
pub(super) mod tests;
