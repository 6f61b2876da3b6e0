//! A second, naive ledger that shares no code with the real one: a user's items, as the table
//! has them at the end, and the changes of the wallet that the records store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    order::order_of,
    plan::USERS,
    state::{Debt, Pack, RecordState, State},
};

/// Credits of packs, by the `trans_no` of their grants.
pub type Parts = Vec<(String, i64)>;

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

/// A grant or a charge.
#[derive(Clone, Debug)]
pub struct Record {
    pub item: Value,
    pub trans_no: String,
    /// In milliseconds since 1970.
    pub created_at: i64,
    /// Positive for a grant, negative for a charge; at its creation.
    pub credits: i64,
    /// The changes after the creation but the void, oldest first. The first one of a grant is of
    /// the creation if its order was revoked before.
    pub adjustments: Vec<Adjustment>,
    pub void: Option<Void>,
}

/// A void or a fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// In milliseconds since 1970.
    pub at: i64,
    pub reason: String,
    /// The id of the execution that wrote it.
    pub by: String,
    /// The credits that repaid debts at once.
    pub repaid: i64,
    /// The returned credits that filled the shortfalls of packs.
    pub fills: Parts,
}

/// A change of a charge or a grant after its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// In milliseconds since 1970.
    pub at: i64,
    /// The id of the execution that wrote it.
    pub by: String,
    pub kind: AdjustmentKind,
    /// The credits that repaid debts at once; a revocation does not say it.
    pub repaid: Option<i64>,
    /// The returned credits that filled the shortfalls of packs.
    pub fills: Parts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    Settled {
        requested: i64,
        uncovered: i64,
        taken: Parts,
    },
    OutputsReturned(BTreeSet<u64>),
    Repaid(Parts),
    Delivered,
    /// More of an order was revoked: taken from its pack, paid by other packs, left to the user
    /// as shortfall, and owed.
    Revoked {
        taken: i64,
        paid: Parts,
        shortfall: i64,
        owed: i64,
    },
    /// Less was revoked: the reductions of debt and shortfall, and what returned to the other
    /// packs and to its own.
    Restored {
        owed: i64,
        shortfall: i64,
        paid: i64,
        returned: i64,
    },
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

impl Record {
    fn new(item: Value) -> Record {
        let trans_no = text(&item, "trans_no");
        let digits: String = trans_no.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        Record {
            created_at: i64::from_str_radix(&digits, 16).expect("the 48 bits of a UUIDv7"),
            credits: item["credits"].as_i64().expect("credits"),
            adjustments: list(&item, "adjustments")
                .chain(list(&item, "revocations"))
                .map(Adjustment::new)
                .collect(),
            void: Void::new(&item),
            trans_no,
            item,
        }
    }

    /// The pack and the credits of each allocation, in the order of the charge.
    pub fn allocations(&self) -> Parts {
        parts(&self.item, "allocations")
    }

    /// Expiry of a grant's pack, in milliseconds since 1970.
    pub fn expired_at(&self) -> Option<i64> {
        self.item["expired_at"].as_i64()
    }

    /// The number of outputs of a charge.
    pub fn outputs(&self) -> Option<u64> {
        self.item["outputs"].as_u64()
    }

    /// The end of its hold, in milliseconds since 1970.
    pub fn hold_until(&self) -> Option<i64> {
        self.item["hold_until"].as_i64()
    }

    /// What was revoked of a grant at its creation, because its order was revoked before.
    pub fn first_revocation(&self) -> Option<&Adjustment> {
        self.adjustments.first().filter(|first| self.credits > 0 && first.at == self.created_at)
    }

    /// The revoked credits after each change of them, with its time.
    fn revoked(&self) -> Vec<(i64, i64)> {
        let (mut total, mut revoked) = (0, Vec::new());
        for Adjustment { at, kind, .. } in &self.adjustments {
            if let Some(more) = kind.revoked() {
                total += more;
                revoked.push((*at, total));
            }
        }
        revoked
    }

    /// The time of its last change.
    fn changed_at(&self) -> i64 {
        let adjusted_at = self.adjustments.last().map(|adjustment| adjustment.at);
        self.void.as_ref().map(|void| void.at).or(adjusted_at).unwrap_or(self.created_at)
    }

    /// Compares the attributes that repeat what the changes say with the last state.
    fn check_item(&self, last: &RecordState) -> Result<(), String> {
        let is_second =
            self.outputs().is_some() || self.hold_until().is_some() || !self.adjustments.is_empty();
        let is_held = self.hold_until().is_some() && !last.is_voided && !last.is_final();
        let settled = last.settlement.as_ref();
        let returned = self.adjustments.iter().flat_map(|adjustment| match &adjustment.kind {
            AdjustmentKind::OutputsReturned(outputs) => {
                outputs.iter().map(|output| (*output, adjustment.at)).collect()
            }
            _ => Vec::new(),
        });
        let stored = list(&self.item, "returned_outputs")
            .map(|returned| (returned["o"].as_u64().unwrap_or(0), returned["a"].as_i64().unwrap_or(0)));
        let revoked = list(&self.item, "revoked")
            .map(|revoked| (revoked["a"].as_i64().unwrap_or(0), revoked["n"].as_i64().unwrap_or(0)));
        for (name, is_equal) in [
            ("revoked", revoked.eq(self.revoked())),
            ("item_format", self.item["item_format"].as_i64() == is_second.then_some(2)),
            ("changed_at", self.item["changed_at"].as_i64() == is_second.then(|| self.changed_at())),
            ("live", self.item["live"].as_i64() == settled.map(|_| -last.credits)),
            ("settled_at", self.item["settled_at"].as_i64() == settled.map(|settled| settled.at)),
            ("hold_shard", self.item["hold_shard"].is_null() != is_held),
            ("returned_outputs", stored.eq(returned)),
        ] {
            if !is_equal {
                return Err(format!("{name} of {} differs from its changes: {last:?}", self.item));
            }
        }
        Ok(())
    }
}

impl Void {
    fn new(item: &Value) -> Option<Void> {
        let (reason, by) = (text(item, "voided_reason"), text(item, "voided_by"));
        let repaid = item["repaid"].as_i64().unwrap_or(0);
        let fills = parts(item, "fills");
        item["voided_at"].as_i64().map(|at| Void { at, reason, by, repaid, fills })
    }
}

impl Adjustment {
    fn new(item: &Value) -> Adjustment {
        let credits = |name: &str| item[name].as_i64().unwrap_or(0);
        let kind = match item["k"].as_str() {
            Some("settled") => AdjustmentKind::Settled {
                requested: credits("c"),
                uncovered: credits("u"),
                taken: parts(item, "t"),
            },
            Some("returned") => {
                AdjustmentKind::OutputsReturned(list(item, "o").filter_map(Value::as_u64).collect())
            }
            Some("repaid") => AdjustmentKind::Repaid(parts(item, "t")),
            Some("delivered") => AdjustmentKind::Delivered,
            Some("revoked") => AdjustmentKind::Revoked {
                taken: credits("n"),
                paid: parts(item, "t"),
                shortfall: credits("s"),
                owed: credits("d"),
            },
            Some("restored") => AdjustmentKind::Restored {
                owed: credits("d"),
                shortfall: credits("s"),
                paid: credits("t"),
                returned: credits("n"),
            },
            _ => panic!("no kind of an adjustment: {item}"),
        };
        let repaid = kind.revoked().is_none().then(|| credits("p"));
        Adjustment { at: credits("a"), by: text(item, "b"), kind, repaid, fills: parts(item, "f") }
    }
}

impl AdjustmentKind {
    /// What a revocation took from packs.
    pub fn taken(&self) -> i64 {
        match self {
            AdjustmentKind::Revoked { taken, paid, .. } => taken + sum(paid),
            _ => 0,
        }
    }

    /// How much more is revoked of an order, if it changes that.
    pub fn revoked(&self) -> Option<i64> {
        match self {
            AdjustmentKind::Revoked { taken, paid, shortfall, owed } => {
                Some(taken + sum(paid) + shortfall + owed)
            }
            AdjustmentKind::Restored { owed, shortfall, paid, returned } => {
                Some(-(owed + shortfall + paid + returned))
            }
            _ => None,
        }
    }
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

/// A text field of an item or a response; empty if it has none.
pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

/// The elements of a list in an item or a response.
pub fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[name].as_array().into_iter().flatten()
}

/// The sum of the credits.
pub fn sum(parts: &Parts) -> i64 {
    parts.iter().map(|(_, credits)| credits).sum()
}

/// The packs and credits of allocations.
fn parts(object: &Value, name: &str) -> Parts {
    list(object, name).map(|part| (text(part, "i"), part["n"].as_i64().expect("credits"))).collect()
}

/// A map of attributes as plain JSON.
pub fn plain_map(attributes: &Value) -> Value {
    let attributes = attributes.as_object().expect("a map of attributes");
    attributes.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn plain(attribute: &Value) -> Value {
    let (kind, value) = attribute.as_object().and_then(|typed| typed.iter().next()).expect("a typed value");
    match kind.as_str() {
        "N" => Value::from(value.as_str().and_then(|digits| digits.parse::<i64>().ok()).expect("a number")),
        "L" => value.as_array().expect("a list").iter().map(plain).collect(),
        "M" => plain_map(value),
        _ => value.clone(),
    }
}
