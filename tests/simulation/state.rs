//! The states of an account between the changes of its wallet, and the rules by which one
//! follows from the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Account, AdjustmentKind, Change, Event, Parts, Record};

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
    /// The charges in debt by sort key, and what they owe, oldest first.
    pub debts: Vec<(String, i64)>,
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
}

/// A grant or a charge at one moment.
#[derive(Clone, Debug, Default)]
pub struct RecordState {
    /// Positive for a grant; what a charge costs, or cost before its void, as a negative number.
    pub credits: i64,
    /// What a charge owns, or owned before its void, in the order taken.
    pub owned: Parts,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// To usable packs.
    pub restored: i64,
    /// To expired packs.
    pub expired: i64,
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
            Change::ChargeAdjusted(sort, nth) => {
                next.adjust(at, sort, &account.records[sort], &account.records[sort].adjustments[*nth].kind)?;
            }
            Change::ChargesVoided(sorts) => sorts.iter().try_for_each(|sort| next.void(at, sort))?,
            Change::FenceWritten(sort) => drop(next.fences.insert(sort.clone())),
        }
        let repaid = next.repay(at)?;
        let recorded = event.repayments.iter().map(|(sort, (taken, _))| (sort, taken));
        if !repaid.iter().eq(recorded) {
            return Err(format!("repaid {:?} instead of {repaid:?}", event.repayments));
        }
        let sum = repaid.values().flatten().map(|(_, credits)| credits).sum();
        let stated = account.stated_repayment(&event.change);
        if stated != sum {
            return Err(format!("it says that it repaid {stated}, not {sum}"));
        }
        if let Change::ChargeAdjusted(sort, _) = &event.change
            && let Some(settlement) = &mut next.charge(sort)?.settlement
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
        Ok(())
    }

    /// Adds a pack, and takes nothing.
    fn grant(&mut self, at: i64, record: &Record) -> Result<Parts, String> {
        let expired_at = record.expired_at();
        if expired_at.is_some_and(|expiry| expiry <= at) {
            return Err(format!("the pack had expired at {expired_at:?}"));
        }
        let (trans_no, granted) = (record.trans_no.clone(), record.credits);
        self.packs.push(Pack { trans_no, granted, remaining: granted, expired_at });
        self.packs.sort_by_key(|pack| (pack.expired_at.is_none(), pack.expired_at, pack.trans_no.clone()));
        Ok(Parts::new())
    }

    /// Takes credits in spending order, and never more than the usable packs have.
    fn take(&mut self, at: i64, credits: i64) -> Result<Parts, String> {
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

    fn adjust(&mut self, at: i64, sort: &str, record: &Record, kind: &AdjustmentKind) -> Result<(), String> {
        let charge = self.charge(sort)?;
        if charge.is_voided {
            return Err("adjusted after its void".to_owned());
        }
        match kind {
            AdjustmentKind::Settled { requested, uncovered, taken } => {
                if charge.is_final() || record.outputs().is_some() {
                    return Err("settled twice, or with outputs".to_owned());
                }
                self.settle(at, sort, (*requested, *uncovered), taken)
            }
            AdjustmentKind::OutputsReturned(outputs) => self.return_outputs(at, sort, record, outputs),
            AdjustmentKind::Delivered => {
                if charge.is_final() || record.outputs().is_none() {
                    return Err("delivered twice, or without outputs".to_owned());
                }
                charge.is_delivered = true;
                Ok(())
            }
            AdjustmentKind::Repaid(_) => Err("a repayment is no change of its own".to_owned()),
        }
    }

    fn settle(
        &mut self,
        at: i64,
        sort: &str,
        (requested, uncovered): (i64, i64),
        taken: &Parts,
    ) -> Result<(), String> {
        let excess = requested + self.charge(sort)?.credits;
        let available = if self.debts.is_empty() { self.balance(at).clamp(0, excess.max(0)) } else { 0 };
        let rest = (excess - available).max(0);
        let more = self.take(at, available)?;
        if more != *taken || (uncovered != 0 && uncovered != rest) {
            return Err(format!("took {taken:?} and wrote off {uncovered} instead of {more:?} of {excess}"));
        }
        let charge = self.charge(sort)?;
        charge.credits = uncovered - requested;
        charge.owned.extend(more);
        if rest > uncovered {
            self.debts.push((sort.to_owned(), rest - uncovered));
        }
        let returned = self.give_back(at, sort, -excess)?;
        let debt_added = rest - uncovered;
        let settlement = Settlement { at, requested, taken: available, uncovered, debt_added, returned };
        self.charge(sort)?.settlement = Some(settlement);
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
        let before = &mut self.charge(sort)?.returned_outputs;
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
        self.charge(sort)?.credits += worth;
        self.give_back(at, sort, worth).map(drop)
    }

    fn void(&mut self, at: i64, sort: &str) -> Result<(), String> {
        let charge = self.charge(sort)?;
        if std::mem::replace(&mut charge.is_voided, true) {
            return Err(format!("{sort} was not live"));
        }
        let owned = charge.owned.clone();
        self.give_back(at, sort, owned.iter().map(|(_, credits)| credits).sum())?;
        self.charge(sort)?.owned = owned;
        self.debts.retain(|(debtor, _)| debtor != sort);
        Ok(())
    }

    /// Returns the credits that a charge took last.
    fn give_back(&mut self, at: i64, sort: &str, credits: i64) -> Result<Returned, String> {
        let (mut due, mut returned) = (credits, Returned::default());
        while due > 0 {
            let (trans_no, owned) = self.charge(sort)?.owned.pop().ok_or("it owns less than it returns")?;
            let part = owned.min(due);
            due -= part;
            if owned > part {
                self.charge(sort)?.owned.push((trans_no.clone(), owned - part));
            }
            let pack = self.packs.iter_mut().find(|pack| pack.trans_no == trans_no);
            let pack = pack.ok_or_else(|| format!("there is no pack {trans_no}"))?;
            pack.remaining += part;
            *(if pack.is_usable(at) { &mut returned.restored } else { &mut returned.expired }) += part;
        }
        self.returned.restored += returned.restored;
        self.returned.expired += returned.expired;
        Ok(returned)
    }

    /// Repays the oldest debt first. Returns what each charge got.
    fn repay(&mut self, at: i64) -> Result<BTreeMap<String, Parts>, String> {
        let mut repaid = BTreeMap::new();
        while let Some((sort, due)) = self.debts.first().cloned() {
            let credits = due.min(self.balance(at));
            if credits == 0 {
                break;
            }
            let taken = self.take(at, credits)?;
            self.charge(&sort)?.owned.extend(taken.clone());
            if credits == due {
                self.debts.remove(0);
            } else {
                self.debts[0].1 -= credits;
            }
            repaid.insert(sort, taken);
        }
        Ok(repaid)
    }

    /// Packs, charges and debts account for every credit that was granted.
    fn check_invariants(&self, at: i64) -> Result<(), String> {
        let owned = |charge: &RecordState| charge.owned.iter().map(|(_, credits)| credits).sum::<i64>();
        let owes =
            |sort: &String| self.debts.iter().filter(|debt| debt.0 == *sort).map(|debt| debt.1).sum::<i64>();
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
                live().all(|(sort, charge)| owned(charge) + owes(sort) == -charge.credits),
                "a charge owns what it costs and does not owe",
            ),
            (self.debts.iter().all(|(_, credits)| *credits > 0), "a debt is positive"),
            (self.debt() == 0 || self.balance(at) == 0, "in debt the balance is 0"),
            (
                granted == unspent + live().map(|(_, charge)| owned(charge)).sum::<i64>(),
                "each credit is in its pack or owned by a charge",
            ),
            (
                granted == sums.iter().sum::<i64>(),
                "granted credits are spent, expired or the balance without the debt",
            ),
        ] {
            if !is_true {
                return Err(format!("{invariant}: {self:?}"));
            }
        }
        Ok(())
    }

    fn charge(&mut self, sort: &str) -> Result<&mut RecordState, String> {
        self.records.get_mut(sort).ok_or_else(|| format!("{sort} does not exist yet"))
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
        self.debts.iter().map(|(_, credits)| credits).sum()
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
}
