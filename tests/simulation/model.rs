//! A second, naive ledger that shares no code with the real one. It replays a user's
//! records, as the table has them at the end, and computes what remains of every pack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::USERS;

/// How long an expired pack stays in a wallet, in milliseconds.
const EXPIRED_PACK_MILLIS: i64 = 60_000;

/// A user's items in the table.
#[derive(Debug, Default)]
pub struct Account {
    /// The wallet's item.
    pub wallet: Option<Value>,
    /// Grants and charges, by sort key.
    pub records: BTreeMap<String, Record>,
    /// Time and reason of each fence, by sort key.
    pub fences: BTreeMap<String, (i64, String)>,
}

/// A grant or a charge.
#[derive(Clone, Debug)]
pub struct Record {
    pub item: Value,
    pub trans_no: String,
    /// In milliseconds since 1970.
    pub created_at: i64,
    /// Positive for a grant, negative for a charge.
    pub credits: i64,
    /// Time and reason of its void.
    pub void: Option<(i64, String)>,
}

/// A change of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A grant or a charge was written, with this sort key.
    RecordWritten(String),
    /// One transaction of a refund voided these charges.
    ChargesVoided(Vec<String>),
    /// A refund wrote a fence, with this sort key.
    FenceWritten(String),
}

/// A user's account at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The moment, in milliseconds since 1970; absent before the first event.
    pub at: Option<i64>,
    /// All packs so far, empty and expired ones too, in spending order.
    pub packs: Vec<Pack>,
    /// Sort key of every record so far, and whether it is voided.
    pub records: BTreeMap<String, bool>,
    /// Sort key of every fence so far.
    pub fences: BTreeSet<String>,
}

/// What is left of a grant.
#[derive(Clone, Debug)]
pub struct Pack {
    /// `trans_no` of the grant.
    pub trans_no: String,
    pub remaining: i64,
    /// In milliseconds since 1970.
    pub expired_at: Option<i64>,
}

/// The prefix of the partition keys of orders.
const ORDER: &str = "order#";

/// The users of the orders in a table, by order number.
pub fn orders(items: &[Value]) -> BTreeMap<String, String> {
    let item = |item| {
        let item = plain_map(item);
        let order_no = text(&item, "user_uuid").strip_prefix(ORDER)?.to_owned();
        Some((order_no, text(&item, "owner")))
    };
    items.iter().filter_map(item).collect()
}

/// The accounts in a table.
pub fn accounts(items: &[Value]) -> BTreeMap<String, Account> {
    let mut accounts: BTreeMap<_, _> = USERS.map(|user| (user.to_owned(), Account::default())).into();
    for item in items.iter().map(plain_map).filter(|item| !text(item, "user_uuid").starts_with(ORDER)) {
        let account = accounts.entry(text(&item, "user_uuid")).or_default();
        let sort = text(&item, "sk");
        if sort == "wallet" {
            account.wallet = Some(item);
        } else if item["trans_no"].is_null() {
            let at = item["voided_at"].as_i64().expect("a moment");
            account.fences.insert(sort, (at, text(&item, "voided_reason")));
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
            void: item["voided_at"].as_i64().map(|at| (at, text(&item, "voided_reason"))),
            trans_no,
            item,
        }
    }

    /// The pack and the credits of each allocation, in the order of the charge.
    pub fn allocations(&self) -> Vec<(String, i64)> {
        let allocations = self.item["allocations"].as_array().into_iter().flatten();
        allocations
            .map(|allocation| (text(allocation, "i"), allocation["n"].as_i64().expect("credits")))
            .collect()
    }

    /// Whether the refund with this tag voided it.
    pub fn is_voided_by(&self, tag: &str) -> bool {
        self.void.as_ref().is_some_and(|(_, reason)| reason == tag)
    }

    /// Expiry of a grant's pack, in milliseconds since 1970.
    pub fn expired_at(&self) -> Option<i64> {
        self.item["expired_at"].as_i64()
    }
}

impl Account {
    /// Whether the refund with this tag voided any of its records.
    pub fn is_voided_by(&self, tag: &str) -> bool {
        self.records.values().any(|record| record.is_voided_by(tag))
    }

    /// The changes of the wallet in order, and the states before, between and after them.
    ///
    /// # Errors
    /// If the records contradict each other.
    pub fn replay(&self) -> Result<(Vec<Event>, Vec<State>), String> {
        let mut events = Vec::new();
        for (sort, record) in &self.records {
            events.push((record.created_at, Event::RecordWritten(sort.clone())));
        }
        let mut voids = BTreeMap::<i64, Vec<String>>::new();
        for (sort, record) in &self.records {
            if let Some((at, _)) = record.void {
                voids.entry(at).or_default().push(sort.clone());
            }
        }
        events.extend(voids.into_iter().map(|(at, sorts)| (at, Event::ChargesVoided(sorts))));
        events.extend(self.fences.iter().map(|(sort, (at, _))| (*at, Event::FenceWritten(sort.clone()))));
        events.sort_by_key(|(at, _)| *at);
        let mut states = vec![State::default()];
        for (at, event) in &events {
            let state = &states[states.len() - 1];
            if state.at == Some(*at) {
                return Err(format!("two changes of one wallet at {at}"));
            }
            let next = state.after(*at, event, self).map_err(|problem| format!("{event:?}: {problem}"))?;
            states.push(next);
        }
        Ok((events.into_iter().map(|(_, event)| event).collect(), states))
    }

    /// Compares the wallet with the state that the records give.
    pub fn check_wallet(&self, last: &State) -> Result<(), String> {
        let Some(wallet) = &self.wallet else {
            return if last.at.is_none() { Ok(()) } else { Err("records without a wallet".to_owned()) };
        };
        let packs = wallet["packs"].as_array().into_iter().flatten();
        let packs: Vec<_> = packs.map(|pack| (text(pack, "i"), pack["n"].as_i64().unwrap_or(0))).collect();
        let at = wallet["version"].as_i64();
        let is_pruned =
            |pack: &Pack| pack.expired_at.is_some_and(|expiry| Some(expiry + EXPIRED_PACK_MILLIS) <= at);
        let is_kept = |pack: &&Pack| pack.remaining > 0 && !is_pruned(pack);
        let expected: Vec<_> =
            last.packs.iter().filter(is_kept).map(|pack| (pack.trans_no.clone(), pack.remaining)).collect();
        if at != last.at {
            return Err(format!("the wallet has version {at:?}, its last change {:?}", last.at));
        }
        if packs != expected {
            return Err(format!("the wallet has packs {packs:?}, its records give {expected:?}"));
        }
        let fences = wallet["fences"].as_u64().unwrap_or(0);
        if fences != self.fences.len() as u64 {
            return Err(format!("the wallet counts {fences} fences instead of {}", self.fences.len()));
        }
        let expected = self.totals();
        let totals: BTreeMap<_, _> = wallet["totals"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(trans_type, sums)| (trans_type.clone(), sums.clone()))
            .collect();
        if totals != expected {
            return Err(format!("the wallet has totals {totals:?}, its records give {expected:?}"));
        }
        Ok(())
    }

    /// Sums by `trans_type`, as in a wallet.
    fn totals(&self) -> BTreeMap<String, Value> {
        let mut sums = BTreeMap::<String, [i64; 4]>::new();
        for record in self.records.values() {
            let [credits, count, voided, voids] = sums.entry(text(&record.item, "trans_type")).or_default();
            *credits += record.credits.abs();
            *count += 1;
            if record.void.is_some() {
                *voided += record.credits.abs();
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

impl State {
    fn after(&self, at: i64, event: &Event, account: &Account) -> Result<State, String> {
        let mut next = State { at: Some(at), ..self.clone() };
        match event {
            Event::RecordWritten(sort) => {
                let record = &account.records[sort];
                if next.fences.contains(sort) {
                    return Err("a fence was there before".to_owned());
                }
                next.records.insert(sort.clone(), false);
                if record.credits > 0 { next.grant(at, record)? } else { next.charge(at, record)? }
            }
            Event::ChargesVoided(sorts) => {
                for sort in sorts {
                    if next.records.insert(sort.clone(), true) != Some(false) {
                        return Err(format!("{sort} was not live"));
                    }
                    for (pack, credits) in account.records[sort].allocations() {
                        next.pack(&pack)?.remaining += credits;
                    }
                }
            }
            Event::FenceWritten(sort) => drop(next.fences.insert(sort.clone())),
        }
        Ok(next)
    }

    fn grant(&mut self, at: i64, record: &Record) -> Result<(), String> {
        let expired_at = record.expired_at();
        if expired_at.is_some_and(|expiry| expiry <= at) {
            return Err(format!("the pack had expired at {expired_at:?}"));
        }
        self.packs.push(Pack { trans_no: record.trans_no.clone(), remaining: record.credits, expired_at });
        self.packs.sort_by_key(|pack| (pack.expired_at.is_none(), pack.expired_at, pack.trans_no.clone()));
        Ok(())
    }

    /// Takes credits in spending order, and never more than the usable packs have.
    fn charge(&mut self, at: i64, record: &Record) -> Result<(), String> {
        let mut due = -record.credits;
        let mut allocations = Vec::new();
        for pack in self.packs.iter_mut().filter(|pack| pack.is_usable(at) && pack.remaining > 0) {
            let taken = due.min(pack.remaining);
            if taken > 0 {
                pack.remaining -= taken;
                due -= taken;
                allocations.push((pack.trans_no.clone(), taken));
            }
        }
        if due > 0 {
            return Err(format!("{due} credits more than the packs have"));
        }
        if allocations != record.allocations() {
            return Err(format!("allocated {:?} instead of {allocations:?}", record.allocations()));
        }
        Ok(())
    }

    fn pack(&mut self, trans_no: &str) -> Result<&mut Pack, String> {
        let pack = self.packs.iter_mut().find(|pack| pack.trans_no == trans_no);
        pack.ok_or_else(|| format!("there is no pack {trans_no}"))
    }

    /// The usable packs at a moment, with their remaining credits.
    pub fn usable(&self, at: i64) -> Vec<(String, i64)> {
        let usable = self.packs.iter().filter(|pack| pack.is_usable(at) && pack.remaining > 0);
        usable.map(|pack| (pack.trans_no.clone(), pack.remaining)).collect()
    }

    /// The balance at a moment.
    pub fn balance(&self, at: i64) -> i64 {
        self.usable(at).iter().map(|(_, remaining)| remaining).sum()
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

impl Pack {
    fn is_usable(&self, at: i64) -> bool {
        self.expired_at.is_none_or(|expiry| at < expiry)
    }
}

/// A text field of an item or a response; empty if it has none.
pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

/// A map of attributes as plain JSON.
fn plain_map(attributes: &Value) -> Value {
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
