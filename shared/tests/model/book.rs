//! The second model: every credit is an entry of its own.

use std::collections::BTreeMap;

use proptest::sample::Index;
use scrip::domain::{
    Charge, ChargeType, Grant, GrantType, OrderNo, Pack, RestoredCredits, ShortfallPolicy, Summary,
    Timestamp, TransNo, TransType,
};

use crate::{MINUTE, credits, expiry, sum_of};

/// The second model.
#[derive(Default)]
pub struct Book {
    pub grants: Vec<Grant>,
    pub charges: Vec<Booked>,
    /// What is revoked of each grant.
    pub revocations: Vec<Revocation>,
}

/// What is revoked of a grant, credit by credit.
#[derive(Clone, Default)]
pub struct Revocation {
    /// What each source states.
    stated: BTreeMap<&'static str, u64>,
    /// The credits taken from the grant itself.
    own: u64,
    /// For each credit that another grant paid the number of that grant, in the order taken.
    pub paid: Vec<usize>,
    pub owed: u64,
    owed_since: Option<Timestamp>,
    pub shortfall: u64,
}

impl Revocation {
    pub fn total(&self) -> u64 {
        self.own + self.paid.len() as u64 + self.owed + self.shortfall
    }
}

/// A record in debt, by its number.
#[derive(Clone, Copy)]
enum Debtor {
    Charge(usize),
    Order(usize),
}

#[derive(Clone, Default)]
pub struct Booked {
    /// As it was created.
    pub charge: Option<Charge>,
    pub cost: u64,
    /// For each credit that it owns the number of the grant, in the order taken.
    pub owned: Vec<usize>,
    pub settled_at: Option<Timestamp>,
    pub returned: Vec<u8>,
    pub is_voided: bool,
}

impl Book {
    /// A live charge, if there is any.
    pub fn pick(&self, index: &Index) -> Option<usize> {
        let live = self.charges.iter().enumerate().filter(|(_, booked)| !booked.is_voided);
        let live: Vec<_> = live.map(|(nth, _)| nth).collect();
        (!live.is_empty()).then(|| live[index.index(live.len())])
    }

    pub fn add_grant(&mut self, grant: Grant) {
        self.grants.push(grant);
        self.revocations.push(Revocation::default());
    }

    /// The number of the grant of an order.
    pub fn order(&self, order_no: &OrderNo) -> usize {
        let nth = self.grants.iter().position(|grant| grant.order_no.as_ref() == Some(order_no));
        nth.expect("a granted order")
    }

    /// The credits of a grant that no charge owns and no revocation took.
    fn remaining(&self, nth: usize) -> u64 {
        let owned = self.charges.iter().flat_map(|booked| &booked.owned);
        let paid = self.revocations.iter().flat_map(|revocation| &revocation.paid);
        let taken = owned.chain(paid).filter(|of| **of == nth).count() as u64 + self.revocations[nth].own;
        self.grants[nth].credits.as_u64() - taken
    }

    pub fn balance(&self, now: Timestamp) -> u64 {
        let usable = (0..self.grants.len()).filter(|nth| now < expiry(&self.grants[*nth]));
        usable.map(|nth| self.remaining(nth)).sum()
    }

    /// The grant with the earliest expiry that has a credit; among equals `min_by_key` returns
    /// the oldest.
    fn next(&self, now: Timestamp) -> Option<usize> {
        let usable =
            (0..self.grants.len()).filter(|nth| now < expiry(&self.grants[*nth]) && self.remaining(*nth) > 0);
        usable.min_by_key(|nth| expiry(&self.grants[*nth]))
    }

    /// The grants of so many credits, which no charge owns yet.
    pub fn take(&mut self, credits: u64, now: Timestamp) -> Vec<usize> {
        self.charges.push(Booked::default());
        for _ in 0..credits {
            let nth = self.next(now).expect("the balance suffices");
            self.charges.last_mut().expect("a charge").owned.push(nth);
        }
        self.charges.pop().expect("a charge").owned
    }

    pub fn settle(&mut self, nth: usize, cost: u64, now: Timestamp) -> RestoredCredits {
        let booked = &mut self.charges[nth];
        let surplus = booked.cost.saturating_sub(cost);
        let excess = cost.saturating_sub(booked.cost);
        (booked.cost, booked.settled_at) = (cost, Some(now));
        let taken = self.take(excess.min(self.balance(now)), now);
        self.charges[nth].owned.extend(taken);
        self.give_back(nth, surplus, now)
    }

    /// Returns the credits that a charge took last, one by one.
    pub fn give_back(&mut self, nth: usize, count: u64, now: Timestamp) -> RestoredCredits {
        let owned = &mut self.charges[nth].owned;
        let kept = owned.len() - usize::try_from(count).expect("few credits");
        let returned = owned.split_off(kept);
        self.return_all(&returned, now)
    }

    /// Returns credits to their grants. The shortfall of a grant is filled first.
    fn return_all(&mut self, returned: &[usize], now: Timestamp) -> RestoredCredits {
        let (mut restored, mut expired, mut revoked) = (0, 0, 0);
        for grant in returned {
            let revocation = &mut self.revocations[*grant];
            if revocation.shortfall > 0 {
                revocation.shortfall -= 1;
                revocation.own += 1;
                revoked += 1;
            } else if now < expiry(&self.grants[*grant]) {
                restored += 1;
            } else {
                expired += 1;
            }
        }
        let [restored, expired, revoked] = [restored, expired, revoked].map(credits);
        RestoredCredits { restored, expired, revoked }
    }

    /// Sets what a source revokes of a grant. Returns how much more the sources revoke.
    pub fn state(&mut self, nth: usize, source: &'static str, amount: u64) -> i64 {
        let revocation = &mut self.revocations[nth];
        revocation.stated.insert(source, amount);
        let sum: u64 = revocation.stated.values().sum();
        sum.min(self.grants[nth].credits.as_u64()).cast_signed() - revocation.total().cast_signed()
    }

    /// Revokes one credit after the other. Returns how many packs paid. A wallet that was last
    /// changed a minute after an expiry does not have the pack.
    pub fn revoke(
        &mut self,
        nth: usize,
        more: i64,
        policy: ShortfallPolicy,
        (before, now): (Option<Timestamp>, Timestamp),
    ) -> u64 {
        let gone_at = expiry(&self.grants[nth]).plus_millis(MINUTE);
        let has_pack = before.is_none_or(|before| before < gone_at);
        let mut taken = 0;
        for _ in 0..more {
            let (is_unspent, other) = (has_pack && self.remaining(nth) > 0, self.next(now));
            let revocation = &mut self.revocations[nth];
            match (is_unspent, policy, other) {
                (true, ..) => revocation.own += 1,
                (false, ShortfallPolicy::Keep, _) => revocation.shortfall += 1,
                (false, ShortfallPolicy::Debt, Some(other)) => revocation.paid.push(other),
                (false, ShortfallPolicy::Debt, None) => {
                    revocation.owed += 1;
                    revocation.owed_since.get_or_insert(now);
                }
            }
            taken += u64::from(is_unspent || (policy == ShortfallPolicy::Debt && other.is_some()));
        }
        taken
    }

    /// Restores one credit after the other.
    pub fn restore(&mut self, nth: usize, less: i64, now: Timestamp) -> RestoredCredits {
        let mut returned = Vec::new();
        for _ in 0..less {
            let revocation = &mut self.revocations[nth];
            if revocation.owed > 0 {
                revocation.owed -= 1;
            } else if revocation.shortfall > 0 {
                revocation.shortfall -= 1;
            } else if let Some(other) = revocation.paid.pop() {
                returned.push(other);
            } else {
                revocation.own -= 1;
                returned.push(nth);
            }
        }
        self.forget_debt(nth);
        self.return_all(&returned, now)
    }

    /// The next debt of an order has a later begin than one that was repaid.
    fn forget_debt(&mut self, nth: usize) {
        let revocation = &mut self.revocations[nth];
        revocation.owed_since = revocation.owed_since.filter(|_| revocation.owed > 0);
    }

    /// Repays one credit after the other, of the debt that began first.
    pub fn repay(&mut self, now: Timestamp) -> u64 {
        let mut repaid = 0;
        while let (Some(debtor), Some(grant)) = (self.debtors().first().copied(), self.next(now)) {
            match debtor {
                Debtor::Charge(nth) => self.charges[nth].owned.push(grant),
                Debtor::Order(nth) => {
                    self.revocations[nth].paid.push(grant);
                    self.revocations[nth].owed -= 1;
                    self.forget_debt(nth);
                }
            }
            repaid += 1;
        }
        repaid
    }

    /// The live charges that own less than they cost, and the orders in debt, by the times at
    /// which their debts began.
    fn debtors(&self) -> Vec<Debtor> {
        let owes = |booked: &Booked| !booked.is_voided && (booked.owned.len() as u64) < booked.cost;
        let charges = self.charges.iter().enumerate().filter(|(_, booked)| owes(booked));
        let charges = charges.map(|(nth, booked)| (booked.settled_at, Debtor::Charge(nth)));
        let orders = self.revocations.iter().enumerate().filter(|(_, revocation)| revocation.owed > 0);
        let orders = orders.map(|(nth, revocation)| (revocation.owed_since, Debtor::Order(nth)));
        let mut debtors: Vec<_> = charges.chain(orders).collect();
        debtors.sort_by_key(|(since, _)| *since);
        debtors.into_iter().map(|(_, debtor)| debtor).collect()
    }

    pub fn debts(&self) -> Vec<(TransNo, u64)> {
        let debt = |debtor: Debtor| match debtor {
            Debtor::Charge(nth) => {
                let Booked { charge, cost, owned, .. } = &self.charges[nth];
                (charge.as_ref().expect("a charge").trans_no, cost - owned.len() as u64)
            }
            Debtor::Order(nth) => (self.grants[nth].trans_no, self.revocations[nth].owed),
        };
        self.debtors().into_iter().map(debt).collect()
    }

    /// The shortfalls of revoked grants, in the order of the grants.
    pub fn shortfalls(&self) -> Vec<(TransNo, u64)> {
        let shortfalls = self.grants.iter().zip(&self.revocations);
        let shortfalls = shortfalls.filter(|(_, revocation)| revocation.shortfall > 0);
        shortfalls.map(|(grant, revocation)| (grant.trans_no, revocation.shortfall)).collect()
    }

    pub fn debt(&self) -> u64 {
        self.debts().iter().map(|(_, credits)| credits).sum()
    }

    pub fn owned_by(&self, booked: &Booked) -> Vec<TransNo> {
        booked.owned.iter().map(|nth| self.grants[*nth].trans_no).collect()
    }

    pub fn is_recharged(&self) -> bool {
        self.grants.iter().any(|grant| grant.trans_type == TransType::Grant(GrantType::OrderPay))
    }

    /// A change removes packs that expired a minute before.
    pub fn packs(&self, version: Option<Timestamp>) -> Vec<Pack> {
        let is_kept =
            |grant: &Grant| version.is_none_or(|version| version < expiry(grant).plus_millis(MINUTE));
        let pack = |nth: usize| {
            let (grant, remaining) = (self.grants[nth].clone(), credits(self.remaining(nth)));
            (is_kept(&grant) && !remaining.is_zero()).then_some(Pack { grant, remaining })
        };
        let mut packs: Vec<Pack> = (0..self.grants.len()).filter_map(pack).collect();
        packs.sort_by_key(|pack| expiry(&pack.grant));
        packs
    }

    pub fn summary(&self, now: Timestamp) -> Summary {
        let costs = |is_counted: &dyn Fn(&Booked, &Charge) -> bool| {
            let counted = self.charges.iter().filter_map(|booked| {
                let charge = booked.charge.as_ref().expect("a charge");
                is_counted(booked, charge).then_some(booked.cost)
            });
            sum_of(counted)
        };
        let by_type = |trans_type: &ChargeType| {
            let is_type =
                |booked: &Booked, charge: &Charge| !booked.is_voided && charge.trans_type == *trans_type;
            (TransType::Charge(trans_type.clone()), costs(&is_type))
        };
        let live = self.charges.iter().filter(|booked| !booked.is_voided);
        let types = live.filter_map(|booked| booked.charge.as_ref()).map(|charge| &charge.trans_type);
        let expired = (0..self.grants.len()).filter(|nth| expiry(&self.grants[*nth]) <= now);
        Summary {
            granted: sum_of(self.grants.iter().map(|grant| grant.credits.as_u64())),
            spent: costs(&|booked, _| !booked.is_voided),
            voided: costs(&|booked, _| booked.is_voided),
            revoked: Some(credits(self.revocations.iter().map(|of| of.total() - of.shortfall).sum())),
            expired: Some(credits(expired.map(|nth| self.remaining(nth)).sum())),
            by_trans_type: types.map(by_type).collect(),
        }
    }
}
