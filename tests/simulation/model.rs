//! A second, naive ledger that shares no code with the real one: a user's items, as the table
//! has them at the end, and the changes of the wallet that the records store.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    item::{Parts, list, parts, plain_map, text},
    order::order_of,
    plan::USERS,
    record::{Adjustment, AdjustmentKind, Record, Void},
    state::{Debt, Pack, State},
};

/// A user's items in the table.
#[derive(Debug, Default)]
pub struct Account {
    /// The wallet's item.
    pub wallet: Option<Value>,
    /// Grants and charges, by sort key.
    pub records: BTreeMap<String, Record>,
    /// The fences, by sort key.
    pub fences: BTreeMap<String, Void>,
}

/// An account, the changes of its wallet in order, and the states before, between and after
/// them.
#[derive(Debug)]
pub struct History {
    pub account: Account,
    pub events: Vec<Event>,
    pub states: Vec<State>,
}

/// A change of a wallet: one transaction.
#[derive(Clone, Debug)]
pub struct Event {
    /// In milliseconds since 1970.
    pub at: i64,
    pub change: Change,
    /// The id of the execution that wrote it; absent for a new record.
    pub by: Option<String>,
    /// What each record in debt got, by sort key, and the id of the execution.
    pub repayments: BTreeMap<String, (Parts, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A grant or a charge was written, with this sort key.
    RecordWritten(String),
    /// The nth adjustment of the record with this sort key.
    RecordAdjusted(String, usize),
    /// A refund or a sweep voided these charges.
    ChargesVoided(Vec<String>),
    /// A refund wrote a fence, with this sort key.
    FenceWritten(String),
}

/// The accounts in a table.
pub fn accounts(items: &[Value]) -> BTreeMap<String, Account> {
    let mut accounts: BTreeMap<_, _> = USERS.map(|user| (user.to_owned(), Account::default())).into();
    for item in items.iter().map(plain_map).filter(|item| order_of(item).is_none()) {
        let account = accounts.entry(text(&item, "user_uuid")).or_default();
        let sort = text(&item, "sk");
        if sort == "wallet" {
            account.wallet = Some(item);
        } else if item["trans_no"].is_null() {
            account.fences.insert(sort, Void::new(&item).expect("a void"));
        } else {
            account.records.insert(sort, Record::new(item));
        }
    }
    accounts
}

impl History {
    /// Replays the changes of an account.
    ///
    /// # Errors
    /// If the records contradict each other, or the items contradict the records.
    pub fn new(account: Account) -> Result<History, String> {
        let events = account.events()?;
        let mut states = vec![State::default()];
        for event in &events {
            let next = states[states.len() - 1].after(event, &account);
            states.push(next.map_err(|problem| format!("{event:?}: {problem}"))?);
        }
        account.check_items(&states[states.len() - 1])?;
        Ok(History { account, events, states })
    }

    /// The state after all changes.
    pub fn last(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// The changes that this predicate selects by their authors, and the states after them.
    pub fn changes_by(&self, is_author: impl Fn(&str) -> bool) -> impl Iterator<Item = (&Event, &State)> {
        let changes = self.events.iter().zip(&self.states[1..]);
        changes.filter(move |(event, _)| event.by.as_ref().is_some_and(|by| is_author(by)))
    }
}

impl Account {
    /// The changes by their times. Every transaction gives the wallet a time of its own; what
    /// it repays has the same time.
    fn events(&self) -> Result<Vec<Event>, String> {
        let mut changes = BTreeMap::<i64, Vec<Change>>::new();
        let mut repayments = BTreeMap::<i64, BTreeMap<String, (Parts, String)>>::new();
        let mut voids = BTreeMap::<i64, Vec<String>>::new();
        for (sort, record) in &self.records {
            changes.entry(record.created_at).or_default().push(Change::RecordWritten(sort.clone()));
            let first = usize::from(record.first_revocation().is_some());
            for (nth, Adjustment { at, by, kind, .. }) in record.adjustments.iter().enumerate().skip(first) {
                if let AdjustmentKind::Repaid(taken) = kind {
                    let repaid = (taken.clone(), by.clone());
                    repayments.entry(*at).or_default().insert(sort.clone(), repaid);
                } else {
                    changes.entry(*at).or_default().push(Change::RecordAdjusted(sort.clone(), nth));
                }
            }
            if let Some(void) = &record.void {
                voids.entry(void.at).or_default().push(sort.clone());
            }
        }
        for (at, sorts) in voids {
            changes.entry(at).or_default().push(Change::ChargesVoided(sorts));
        }
        for (sort, fence) in &self.fences {
            changes.entry(fence.at).or_default().push(Change::FenceWritten(sort.clone()));
        }
        if let Some(at) = repayments.keys().find(|at| !changes.contains_key(*at)) {
            return Err(format!("a repayment without another change at {at}"));
        }
        let event = |(at, mut changes): (i64, Vec<Change>)| {
            let change = changes.pop().filter(|_| changes.is_empty());
            let change = change.ok_or_else(|| format!("two changes of one wallet at {at}"))?;
            let (by, repayments) = (self.author(&change), repayments.get(&at).cloned().unwrap_or_default());
            Ok(Event { at, change, by, repayments })
        };
        changes.into_iter().map(event).collect()
    }

    fn author(&self, change: &Change) -> Option<String> {
        match change {
            Change::RecordWritten(_) => None,
            Change::RecordAdjusted(sort, nth) => Some(self.records[sort].adjustments[*nth].by.clone()),
            Change::ChargesVoided(sorts) => self.records[&sorts[0]].void.as_ref().map(|void| void.by.clone()),
            Change::FenceWritten(sort) => Some(self.fences[sort].by.clone()),
        }
    }

    /// What a change itself says that it repaid at once, if it says it.
    pub fn stated_repayment(&self, change: &Change) -> Option<i64> {
        match change {
            // The attribute of a charge is that of its void.
            Change::RecordWritten(sort) if self.records[sort].credits < 0 => Some(0),
            Change::RecordWritten(sort) => Some(self.records[sort].item["repaid"].as_i64().unwrap_or(0)),
            Change::RecordAdjusted(sort, nth) => self.records[sort].adjustments[*nth].repaid,
            Change::ChargesVoided(sorts) => {
                let voids = sorts.iter().filter_map(|sort| self.records[sort].void.as_ref());
                Some(voids.map(|void| void.repaid).sum())
            }
            Change::FenceWritten(sort) => Some(self.fences[sort].repaid),
        }
    }

    /// Compares the wallet and the charges with the state that the records give.
    fn check_items(&self, last: &State) -> Result<(), String> {
        for (sort, record) in &self.records {
            record.check_item(&last.records[sort])?;
        }
        let Some(wallet) = &self.wallet else {
            return if last.at.is_none() { Ok(()) } else { Err("records without a wallet".to_owned()) };
        };
        let at = wallet["version"].as_i64();
        let is_kept = |pack: &&Pack| pack.remaining > 0 && pack.is_in_wallet(at);
        let packs: Parts =
            last.packs.iter().filter(is_kept).map(|pack| (pack.trans_no.clone(), pack.remaining)).collect();
        compare("version", &at, &last.at)?;
        compare("packs", &parts(wallet, "packs"), &packs)?;
        compare("fences", &wallet["fences"].as_u64().unwrap_or(0), &(self.fences.len() as u64))?;
        compare("totals", &wallet["totals"], &self.totals(last))?;
        let format = if self.is_revoked(last) { Some(3) } else { (!last.debts.is_empty()).then_some(2) };
        compare("item_format", &wallet["item_format"].as_i64(), &format)?;
        compare("revoked", &wallet["revoked"].as_i64().unwrap_or(0), &last.revoked())?;
        let shortfalls = last.packs.iter().filter(|pack| pack.shortfall > 0);
        let shortfalls: Map<_, _> =
            shortfalls.map(|pack| (pack.trans_no.clone(), Value::from(pack.shortfall))).collect();
        let stored = wallet["shortfalls"].as_object().cloned().unwrap_or_default();
        compare("shortfalls", &stored, &shortfalls)?;
        let debt =
            |debt: &Value| [&debt["s"], &debt["n"], &debt["p"]].map(|number| number.as_i64().unwrap_or(0));
        let debts: Vec<_> = list(wallet, "debts").map(|stored| (text(stored, "i"), debt(stored))).collect();
        let expected = last.debts.iter().map(|Debt { sort, since, credits }| {
            let parts = i64::try_from(last.records[sort].owned.len()).expect("few");
            (self.records[sort].trans_no.clone(), [*since, *credits, parts])
        });
        compare("debts", &debts, &expected.collect())
    }

    /// Whether the wallet has attributes of revoked orders.
    fn is_revoked(&self, last: &State) -> bool {
        let is_order = |debt: &Debt| self.records[&debt.sort].credits > 0;
        last.revoked() > 0
            || last.packs.iter().any(|pack| pack.shortfall > 0)
            || last.debts.iter().any(is_order)
    }

    /// Sums by `trans_type`, as in a wallet.
    fn totals(&self, last: &State) -> Value {
        let mut sums = BTreeMap::<String, [i64; 4]>::new();
        for (sort, record) in &self.records {
            let [credits, count, voided, voids] = sums.entry(text(&record.item, "trans_type")).or_default();
            let state = &last.records[sort];
            *credits += state.credits.abs();
            *count += 1;
            if state.is_voided {
                *voided += state.credits.abs();
                *voids += 1;
            }
        }
        let object = |[credits, count, voided, voids]: [i64; 4]| {
            let all = [("c", credits), ("n", count), ("vc", voided), ("vn", voids)];
            let stored = all.into_iter().filter(|(name, sum)| *sum != 0 || name.len() == 1);
            stored.map(|(name, sum)| (name.to_owned(), Value::from(sum))).collect::<Map<_, _>>()
        };
        sums.into_iter().map(|(trans_type, sums)| (trans_type, Value::Object(object(sums)))).collect()
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(name: &str, stored: &T, expected: &T) -> Result<(), String> {
    if stored == expected {
        Ok(())
    } else {
        Err(format!("the wallet has {name} {stored:?}, its records give {expected:?}"))
    }
}
