//! The states of an account between the changes of its wallet, and the rules by which one
//! follows from the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    item::{Parts, sum},
    model::{Account, Change, Event},
    record::{Adjustment, AdjustmentKind, Record},
};

/// How long an expired pack stays in a wallet, in milliseconds.
const EXPIRED_PACK_MILLIS: i64 = 60_000;

/// A user's account at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The moment, in milliseconds since 1970; absent before the first event.
    pub at: Option<i64>,
    /// All packs so far, empty and expired ones too, in spending order.
    pub packs: Vec<Pack>,
    /// Every record so far, by sort key.
    pub records: BTreeMap<String, RecordState>,
    /// Sort key of every fence so far.
    pub fences: BTreeSet<String>,
    /// What records owe, oldest first.
    pub debts: Vec<Debt>,
    /// What the last change returned.
    pub returned: Returned,
}

/// What is left of a grant.
#[derive(Clone, Debug)]
pub struct Pack {
    /// `trans_no` of the grant.
    pub trans_no: String,
    pub granted: i64,
    pub remaining: i64,
    /// In milliseconds since 1970.
    pub expired_at: Option<i64>,
    /// What was revoked of it after it was spent, and left to the user.
    pub shortfall: i64,
}

/// What a charge or a revoked order owes.
#[derive(Clone, Debug)]
pub struct Debt {
    /// Sort key of the record.
    pub sort: String,
    /// The moment at which the debt began, in milliseconds since 1970.
    pub since: i64,
    pub credits: i64,
}

/// A grant or a charge at one moment.
#[derive(Clone, Debug, Default)]
pub struct RecordState {
    /// Positive for a grant; what a charge costs, or cost before its void, as a negative number.
    pub credits: i64,
    /// What a charge owns, or owned before its void, in the order taken; of a grant what other
    /// packs paid for its revoked order.
    pub owned: Parts,
    /// What is revoked of a grant, with its shortfall and its debt.
    pub revoked: i64,
    pub returned_outputs: BTreeSet<u64>,
    pub settlement: Option<Settlement>,
    /// Whether a provider reported success of a charge with outputs.
    pub is_delivered: bool,
    pub is_voided: bool,
}

/// The figures of a settlement.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// In milliseconds since 1970.
    pub at: i64,
    pub requested: i64,
    pub taken: i64,
    pub uncovered: i64,
    pub debt_added: i64,
    pub returned: Returned,
}

/// The credits that a change returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// To usable packs.
    pub restored: i64,
    /// To expired packs.
    pub expired: i64,
    /// To no pack, because they filled these shortfalls.
    pub fills: Parts,
    /// What repaid debts at once.
    pub repaid: i64,
}

impl State {
    /// The state after a change.
    pub fn after(&self, event: &Event, account: &Account) -> Result<State, String> {
        let at = event.at;
        let mut next = State { at: Some(at), returned: Returned::default(), ..self.clone() };
        match &event.change {
            Change::RecordWritten(sort) => next.write(at, sort, &account.records[sort])?,
            Change::RecordAdjusted(sort, nth) => {
                let record = &account.records[sort];
                // A change removes packs that expired long ago, so a revocation does not find them.
                next.adjust(self.at, sort, record, &record.adjustments[*nth])?;
            }
            Change::ChargesVoided(sorts) => {
                let mut voided: Vec<_> = sorts.iter().map(|sort| (sort, &account.records[sort])).collect();
                // What the oldest charge returns fills a shortfall first.
                voided.sort_by_key(|(_, record)| &record.trans_no);
                voided.into_iter().try_for_each(|(sort, record)| next.void(at, sort, record))?;
            }
            Change::FenceWritten(sort) => drop(next.fences.insert(sort.clone())),
        }
        let repaid = next.repay(at)?;
        let recorded = event.repayments.iter().map(|(sort, (taken, _))| (sort, taken));
        if !repaid.iter().eq(recorded) {
            return Err(format!("repaid {:?} instead of {repaid:?}", event.repayments));
        }
        let sum = repaid.values().flatten().map(|(_, credits)| credits).sum();
        let stated = account.stated_repayment(&event.change);
        if stated.is_some_and(|stated| stated != sum) {
            return Err(format!("it says that it repaid {stated:?}, not {sum}"));
        }
        if let Change::RecordAdjusted(sort, _) = &event.change
            && let Some(settlement) = &mut next.record(sort)?.settlement
            && settlement.at == at
        {
            settlement.returned.repaid = sum;
        }
        next.returned.repaid = sum;
        next.check_invariants(at)?;
        Ok(next)
    }

    fn write(&mut self, at: i64, sort: &str, record: &Record) -> Result<(), String> {
        if self.fences.contains(sort) {
            return Err("a fence was there before".to_owned());
        }
        let owned =
            if record.credits > 0 { self.grant(at, record)? } else { self.take(at, -record.credits)? };
        if owned != record.allocations() {
            return Err(format!("allocated {:?} instead of {owned:?}", record.allocations()));
        }
        if record.credits < 0 && !self.debts.is_empty() {
            return Err("charged in debt".to_owned());
        }
        let state = RecordState { credits: record.credits, owned, ..RecordState::default() };
        self.records.insert(sort.to_owned(), state);
        record.first_revocation().map_or(Ok(()), |first| self.adjust(None, sort, record, first))
    }

    /// Adds a pack, and takes nothing.
    fn grant(&mut self, at: i64, record: &Record) -> Result<Parts, String> {
        let expired_at = record.expired_at();
        if expired_at.is_some_and(|expiry| expiry <= at) {
            return Err(format!("the pack had expired at {expired_at:?}"));
        }
        let (trans_no, granted) = (record.trans_no.clone(), record.credits);
        self.packs.push(Pack { trans_no, granted, remaining: granted, expired_at, shortfall: 0 });
        self.packs.sort_by_key(|pack| (pack.expired_at.is_none(), pack.expired_at, pack.trans_no.clone()));
        Ok(Parts::new())
    }

    /// Takes credits in spending order, and never more than the usable packs have.
    pub fn take(&mut self, at: i64, credits: i64) -> Result<Parts, String> {
        let (mut due, mut parts) = (credits, Parts::new());
        for pack in self.packs.iter_mut().filter(|pack| pack.is_usable(at) && pack.remaining > 0) {
            let taken = due.min(pack.remaining);
            if taken > 0 {
                pack.remaining -= taken;
                due -= taken;
                parts.push((pack.trans_no.clone(), taken));
            }
        }
        if due > 0 { Err(format!("{due} credits more than the packs have")) } else { Ok(parts) }
    }

    /// Adjusts a record of a wallet that was last changed at another moment.
    fn adjust(
        &mut self,
        before: Option<i64>,
        sort: &str,
        record: &Record,
        adjustment: &Adjustment,
    ) -> Result<(), String> {
        let Adjustment { at, kind, fills, .. } = adjustment;
        let charge = self.record(sort)?;
        if charge.is_voided {
            return Err("adjusted after its void".to_owned());
        }
        match kind {
            AdjustmentKind::Settled { requested, uncovered, taken } => {
                if charge.is_final() || record.outputs().is_some() {
                    return Err("settled twice, or with outputs".to_owned());
                }
                self.settle(*at, sort, (*requested, *uncovered), taken)?;
            }
            AdjustmentKind::OutputsReturned(outputs) => self.return_outputs(*at, sort, record, outputs)?,
            AdjustmentKind::Delivered => {
                if charge.is_final() || record.outputs().is_none() {
                    return Err("delivered twice, or without outputs".to_owned());
                }
                charge.is_delivered = true;
            }
            AdjustmentKind::Revoked { .. } => self.revoke(before, sort, record, adjustment)?,
            AdjustmentKind::Restored { .. } => self.restore(sort, record, adjustment)?,
            AdjustmentKind::Repaid(_) => return Err("a repayment is no change of its own".to_owned()),
        }
        self.compare_fills(fills)
    }

    fn compare_fills(&self, stored: &Parts) -> Result<(), String> {
        let Returned { fills, .. } = &self.returned;
        if stored == fills { Ok(()) } else { Err(format!("filled {stored:?} instead of {fills:?}")) }
    }

    fn settle(
        &mut self,
        at: i64,
        sort: &str,
        (requested, uncovered): (i64, i64),
        taken: &Parts,
    ) -> Result<(), String> {
        let excess = requested + self.record(sort)?.credits;
        let available = if self.debts.is_empty() { self.balance(at).clamp(0, excess.max(0)) } else { 0 };
        let rest = (excess - available).max(0);
        let more = self.take(at, available)?;
        if more != *taken || (uncovered != 0 && uncovered != rest) {
            return Err(format!("took {taken:?} and wrote off {uncovered} instead of {more:?} of {excess}"));
        }
        let charge = self.record(sort)?;
        charge.credits = uncovered - requested;
        charge.owned.extend(more);
        if rest > uncovered {
            self.owe(at, sort, rest - uncovered);
        }
        let returned = self.give_back(at, sort, -excess)?;
        let debt_added = rest - uncovered;
        let settlement = Settlement { at, requested, taken: available, uncovered, debt_added, returned };
        self.record(sort)?.settlement = Some(settlement);
        Ok(())
    }

    fn return_outputs(
        &mut self,
        at: i64,
        sort: &str,
        record: &Record,
        outputs: &BTreeSet<u64>,
    ) -> Result<(), String> {
        let count = record.outputs().ok_or("it has no outputs")?;
        let before = &mut self.record(sort)?.returned_outputs;
        let all = before.len() + outputs.len() == usize::try_from(count).unwrap_or(usize::MAX);
        if outputs.is_empty()
            || all
            || outputs.iter().any(|output| *output > count || before.contains(output))
        {
            return Err(format!("returned {outputs:?} of {count} after {before:?}"));
        }
        before.extend(outputs);
        let up_to = |output: u64| -record.credits * output.cast_signed() / count.cast_signed();
        let worth = outputs.iter().map(|output| up_to(*output) - up_to(output - 1)).sum();
        self.record(sort)?.credits += worth;
        self.give_back(at, sort, worth).map(drop)
    }

    fn void(&mut self, at: i64, sort: &str, record: &Record) -> Result<(), String> {
        let charge = self.record(sort)?;
        if std::mem::replace(&mut charge.is_voided, true) {
            return Err(format!("{sort} was not live"));
        }
        let owned = charge.owned.clone();
        let returned = self.give_back(at, sort, sum(&owned))?;
        self.record(sort)?.owned = owned;
        self.debts.retain(|debt| debt.sort != sort);
        let stored = record.void.as_ref().map(|void| &void.fills);
        if stored == Some(&returned.fills) { Ok(()) } else { Err(format!("{sort} filled {stored:?}")) }
    }

    /// Returns the credits that a charge took last.
    fn give_back(&mut self, at: i64, sort: &str, credits: i64) -> Result<Returned, String> {
        let parts = self.cut(sort, credits)?;
        self.return_to_packs(at, &parts)
    }

    /// Cuts the credits that a record took last, and returns their packs.
    pub fn cut(&mut self, sort: &str, credits: i64) -> Result<Parts, String> {
        let (mut due, mut parts) = (credits, Parts::new());
        while due > 0 {
            let (trans_no, owned) = self.record(sort)?.owned.pop().ok_or("it owns less than it returns")?;
            let part = owned.min(due);
            due -= part;
            if owned > part {
                self.record(sort)?.owned.push((trans_no.clone(), owned - part));
            }
            parts.push((trans_no, part));
        }
        Ok(parts)
    }

    /// Returns credits to packs, except those that fill their shortfalls.
    pub fn return_to_packs(&mut self, at: i64, parts: &Parts) -> Result<Returned, String> {
        let (mut returned, mut fills) = (Returned::default(), BTreeMap::new());
        for (trans_no, credits) in parts {
            let pack = self.pack(trans_no)?;
            let fill = pack.shortfall.min(*credits);
            pack.shortfall -= fill;
            pack.remaining += credits - fill;
            *(if pack.is_usable(at) { &mut returned.restored } else { &mut returned.expired }) +=
                credits - fill;
            *fills.entry(trans_no.clone()).or_insert(0) += fill;
        }
        returned.fills = fills.into_iter().filter(|(_, credits)| *credits > 0).collect();
        self.returned.restored += returned.restored;
        self.returned.expired += returned.expired;
        self.returned.fills.extend(returned.fills.clone());
        Ok(returned)
    }

    /// Repays the oldest debt first. Returns what each charge got.
    fn repay(&mut self, at: i64) -> Result<BTreeMap<String, Parts>, String> {
        let mut repaid = BTreeMap::new();
        while let Some(Debt { sort, credits: due, .. }) = self.debts.first().cloned() {
            let credits = due.min(self.balance(at));
            if credits == 0 {
                break;
            }
            let taken = self.take(at, credits)?;
            self.record(&sort)?.owned.extend(taken.clone());
            self.cancel_debt(&sort, credits);
            repaid.insert(sort, taken);
        }
        Ok(repaid)
    }

    /// Adds to the debt of a record, which keeps its place.
    pub fn owe(&mut self, at: i64, sort: &str, credits: i64) {
        match self.debts.iter_mut().find(|debt| debt.sort == sort) {
            Some(debt) => debt.credits += credits,
            None if credits > 0 => self.debts.push(Debt { sort: sort.to_owned(), since: at, credits }),
            None => {}
        }
    }

    /// Reduces the debt of a record.
    pub fn cancel_debt(&mut self, sort: &str, credits: i64) {
        self.debts.iter_mut().filter(|debt| debt.sort == sort).for_each(|debt| debt.credits -= credits);
        self.debts.retain(|debt| debt.credits > 0);
    }

    /// Packs, charges and debts account for every credit that was granted.
    fn check_invariants(&self, at: i64) -> Result<(), String> {
        let live = || self.records.iter().filter(|(_, record)| record.credits <= 0 && !record.is_voided);
        let granted: i64 = self.packs.iter().map(|pack| pack.granted).sum();
        let unspent: i64 = self.packs.iter().map(|pack| pack.remaining).sum();
        let spent: i64 = live().map(|(_, charge)| -charge.credits).sum();
        let sums = [spent, self.expired(at), self.balance(at), -self.debt()];
        for (is_true, invariant) in [
            (
                self.packs.iter().all(|pack| (0..=pack.granted).contains(&pack.remaining)),
                "a pack has no more than its credits",
            ),
            (
                live().all(|(sort, charge)| sum(&charge.owned) + self.owed(sort) == -charge.credits),
                "a charge owns what it costs and does not owe",
            ),
            (self.debts.iter().all(|debt| debt.credits > 0), "a debt is positive"),
            (self.debt() == 0 || self.balance(at) == 0, "in debt the balance is 0"),
            (
                granted
                    == unspent + live().map(|(_, charge)| sum(&charge.owned)).sum::<i64>() + self.withdrawn(),
                "each credit is in its pack, owned by a charge or revoked",
            ),
            (
                granted - self.revoked() == sums.iter().sum::<i64>(),
                "granted credits that are not revoked are spent, expired or the balance without the debt",
            ),
            (
                self.grants().all(|(_, grant)| (0..=grant.credits).contains(&grant.revoked)),
                "no more is revoked than was granted",
            ),
        ] {
            if !is_true {
                return Err(format!("{invariant}: {self:?}"));
            }
        }
        Ok(())
    }

    pub fn record(&mut self, sort: &str) -> Result<&mut RecordState, String> {
        self.records.get_mut(sort).ok_or_else(|| format!("{sort} does not exist yet"))
    }

    pub fn pack(&mut self, trans_no: &str) -> Result<&mut Pack, String> {
        let pack = self.packs.iter_mut().find(|pack| pack.trans_no == trans_no);
        pack.ok_or_else(|| format!("there is no pack {trans_no}"))
    }

    /// The usable packs at a moment, with their remaining credits.
    pub fn usable(&self, at: i64) -> Parts {
        let usable = self.packs.iter().filter(|pack| pack.is_usable(at) && pack.remaining > 0);
        usable.map(|pack| (pack.trans_no.clone(), pack.remaining)).collect()
    }

    /// The balance at a moment.
    pub fn balance(&self, at: i64) -> i64 {
        self.packs.iter().filter(|pack| pack.is_usable(at)).map(|pack| pack.remaining).sum()
    }

    /// The credits that expired before a moment.
    pub fn expired(&self, at: i64) -> i64 {
        self.packs.iter().filter(|pack| !pack.is_usable(at)).map(|pack| pack.remaining).sum()
    }

    /// The sum of all debts.
    pub fn debt(&self) -> i64 {
        self.debts.iter().map(|debt| debt.credits).sum()
    }

    /// What a record owes.
    pub fn owed(&self, sort: &str) -> i64 {
        self.debts.iter().filter(|debt| debt.sort == sort).map(|debt| debt.credits).sum()
    }

    /// Whether a predicate holds at some moment of a span, in milliseconds since 1970, that
    /// is not before the last change.
    pub fn holds_between(&self, from: i64, to: i64, holds: impl Fn(i64) -> bool) -> bool {
        let expiries = self.packs.iter().filter_map(|pack| pack.expired_at);
        let moments = expiries.filter(|expiry| (from..=to).contains(expiry)).chain([from, to]);
        let last = self.at.unwrap_or(i64::MIN);
        moments.flat_map(|moment| [moment.max(last), moment.max(last.saturating_add(1))]).any(holds)
    }
}

impl RecordState {
    /// Whether it was settled, or a provider reported success.
    pub fn is_final(&self) -> bool {
        self.settlement.is_some() || self.is_delivered
    }
}

impl Pack {
    fn is_usable(&self, at: i64) -> bool {
        self.expired_at.is_none_or(|expiry| at < expiry)
    }

    /// Whether a wallet that was last changed at this moment has it, if it has credits.
    pub fn is_in_wallet(&self, at: Option<i64>) -> bool {
        self.expired_at.is_none_or(|expiry| at < Some(expiry + EXPIRED_PACK_MILLIS))
    }
}
