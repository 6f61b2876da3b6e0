//! A second, naive ledger. It knows nothing of the real one's code: a user's
//! records, as the table holds them at the end, are played again one by one,
//! and every pack's rest is what that gives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::USERS;

/// A pack that ran out stays in a wallet for so long, in milliseconds.
const EXPIRED_STAYS_MILLIS: i64 = 60_000;

/// What the table holds of one user.
#[derive(Debug, Default)]
pub struct Account {
    /// The wallet, as it stands in the table.
    pub wallet: Option<Value>,
    /// Grants and charges, by sort key.
    pub records: BTreeMap<String, Record>,
    /// When and why a fence was left, by sort key.
    pub fences: BTreeMap<String, (i64, String)>,
}

/// A grant or a charge.
#[derive(Clone, Debug)]
pub struct Record {
    /// All of it.
    pub item: Value,
    /// Its identity.
    pub trans_no: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at: i64,
    /// Above zero for a grant, below for a charge.
    pub credits: i64,
    /// When and why it was voided.
    pub void: Option<(i64, String)>,
}

/// Something that changed a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A grant or a charge was made, at this sort key.
    Made(String),
    /// A refund voided these at once.
    Voided(Vec<String>),
    /// A refund left a fence, at this sort key.
    Fenced(String),
}

/// A user's money at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The moment, in milliseconds since 1970; absent before the first event.
    pub at: Option<i64>,
    /// All packs that ever were, in spending order.
    pub packs: Vec<Pack>,
    /// Every record until now, by sort key, and whether it is voided.
    pub records: BTreeMap<String, bool>,
    /// Every fence until now, by sort key.
    pub fences: BTreeSet<String>,
}

/// What is left of a grant.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The grant.
    pub trans_no: String,
    /// How many are left.
    pub remaining: i64,
    /// When they run out, in milliseconds since 1970.
    pub expired_at: Option<i64>,
}

/// The accounts in a table.
pub fn accounts(items: &[Value]) -> BTreeMap<String, Account> {
    let mut accounts: BTreeMap<_, _> = USERS.map(|user| (user.to_owned(), Account::default())).into();
    for item in items {
        let item = plain_map(item);
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
            made_at: i64::from_str_radix(&digits, 16).expect("the 48 bits of a UUIDv7"),
            credits: item["credits"].as_i64().expect("credits"),
            void: item["voided_at"].as_i64().map(|at| (at, text(&item, "voided_reason"))),
            trans_no,
            item,
        }
    }

    /// What a charge took from which packs, in that order.
    pub fn allocations(&self) -> Vec<(String, i64)> {
        let parts = self.item["allocations"].as_array().into_iter().flatten();
        parts.map(|part| (text(part, "i"), part["n"].as_i64().expect("credits"))).collect()
    }

    /// Whether a refund with this reason voided it.
    pub fn is_voided_by(&self, tag: &str) -> bool {
        self.void.as_ref().is_some_and(|(_, reason)| reason == tag)
    }

    /// When a grant's pack runs out.
    pub fn expired_at(&self) -> Option<i64> {
        self.item["expired_at"].as_i64()
    }
}

impl Account {
    /// Whether a refund with this reason voided any of its records.
    pub fn is_voided_by(&self, tag: &str) -> bool {
        self.records.values().any(|record| record.is_voided_by(tag))
    }

    /// What changed the wallet, in order, and the state before, between and
    /// after: an error where the records contradict each other.
    pub fn story(&self) -> Result<(Vec<Event>, Vec<State>), String> {
        let mut events = Vec::new();
        for (sort, record) in &self.records {
            events.push((record.made_at, Event::Made(sort.clone())));
        }
        let mut voids = BTreeMap::<i64, Vec<String>>::new();
        for (sort, record) in &self.records {
            if let Some((at, _)) = record.void {
                voids.entry(at).or_default().push(sort.clone());
            }
        }
        events.extend(voids.into_iter().map(|(at, sorts)| (at, Event::Voided(sorts))));
        events.extend(self.fences.iter().map(|(sort, (at, _))| (*at, Event::Fenced(sort.clone()))));
        events.sort_by_key(|(at, _)| *at);
        let mut states = vec![State::default()];
        for (at, event) in &events {
            let state = &states[states.len() - 1];
            if state.at == Some(*at) {
                return Err(format!("two changes of one wallet at {at}"));
            }
            let next = state.after(*at, event, self).map_err(|why| format!("{event:?}: {why}"))?;
            states.push(next);
        }
        Ok((events.into_iter().map(|(_, event)| event).collect(), states))
    }

    /// Whether the wallet is what the records give.
    pub fn check_wallet(&self, last: &State) -> Result<(), String> {
        let Some(wallet) = &self.wallet else {
            return if last.at.is_none() { Ok(()) } else { Err("records without a wallet".to_owned()) };
        };
        let found: Vec<_> = wallet["packs"].as_array().into_iter().flatten().collect();
        let found: Vec<_> =
            found.iter().map(|pack| (text(pack, "i"), pack["n"].as_i64().unwrap_or(0))).collect();
        let at = wallet["version"].as_i64();
        let has_ended =
            |pack: &Pack| pack.expired_at.is_some_and(|end| Some(end + EXPIRED_STAYS_MILLIS) <= at);
        let stays = |pack: &&Pack| pack.remaining > 0 && !has_ended(pack);
        let expected: Vec<_> =
            last.packs.iter().filter(stays).map(|pack| (pack.trans_no.clone(), pack.remaining)).collect();
        if at != last.at {
            return Err(format!("the wallet is of {at:?}, its last change of {:?}", last.at));
        }
        if found != expected {
            return Err(format!("the wallet holds {found:?}, its records give {expected:?}"));
        }
        let fences = wallet["fences"].as_u64().unwrap_or(0);
        if fences != self.fences.len() as u64 {
            return Err(format!("the wallet counts {fences} fences of {}", self.fences.len()));
        }
        let totals = self.totals();
        let found: BTreeMap<_, _> = wallet["totals"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(of, sums)| (of.clone(), sums.clone()))
            .collect();
        if found != totals {
            return Err(format!("the wallet sums {found:?}, its records {totals:?}"));
        }
        Ok(())
    }

    /// Sums by trans_type, as a wallet has them.
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
        let named = |[credits, count, voided, voids]: [i64; 4]| {
            let all = [("c", credits), ("n", count), ("vc", voided), ("vn", voids)];
            let shown = all.into_iter().filter(|(name, sum)| *sum != 0 || name.len() == 1);
            shown.map(|(name, sum)| (name.to_owned(), Value::from(sum))).collect::<Map<_, _>>()
        };
        sums.into_iter().map(|(of, sums)| (of, Value::Object(named(sums)))).collect()
    }
}

impl State {
    fn after(&self, at: i64, event: &Event, account: &Account) -> Result<State, String> {
        let mut next = State { at: Some(at), ..self.clone() };
        match event {
            Event::Made(sort) => {
                let record = &account.records[sort];
                if next.fences.contains(sort) {
                    return Err("there was a fence".to_owned());
                }
                next.records.insert(sort.clone(), false);
                if record.credits > 0 { next.grant(at, record)? } else { next.charge(at, record)? }
            }
            Event::Voided(sorts) => {
                for sort in sorts {
                    if next.records.insert(sort.clone(), true) != Some(false) {
                        return Err(format!("{sort} was not live"));
                    }
                    for (pack, credits) in account.records[sort].allocations() {
                        next.pack(&pack)?.remaining += credits;
                    }
                }
            }
            Event::Fenced(sort) => drop(next.fences.insert(sort.clone())),
        }
        Ok(next)
    }

    fn grant(&mut self, at: i64, record: &Record) -> Result<(), String> {
        let expired_at = record.expired_at();
        if expired_at.is_some_and(|end| end <= at) {
            return Err(format!("the pack had run out at {expired_at:?}"));
        }
        self.packs.push(Pack { trans_no: record.trans_no.clone(), remaining: record.credits, expired_at });
        self.packs.sort_by_key(|pack| (pack.expired_at.is_none(), pack.expired_at, pack.trans_no.clone()));
        Ok(())
    }

    /// Earliest expiry first, never-expiring last, ties by age; never more than
    /// there is.
    fn charge(&mut self, at: i64, record: &Record) -> Result<(), String> {
        let mut owed = -record.credits;
        let mut allocations = Vec::new();
        for pack in self.packs.iter_mut().filter(|pack| pack.is_usable(at) && pack.remaining > 0) {
            let taken = owed.min(pack.remaining);
            if taken > 0 {
                pack.remaining -= taken;
                owed -= taken;
                allocations.push((pack.trans_no.clone(), taken));
            }
        }
        if owed > 0 {
            return Err(format!("{owed} credits more than there were"));
        }
        if allocations != record.allocations() {
            return Err(format!("took {:?} where it should take {allocations:?}", record.allocations()));
        }
        Ok(())
    }

    fn pack(&mut self, trans_no: &str) -> Result<&mut Pack, String> {
        let pack = self.packs.iter_mut().find(|pack| pack.trans_no == trans_no);
        pack.ok_or_else(|| format!("there is no pack {trans_no}"))
    }

    /// What is left and can be spent at a moment, pack by pack.
    pub fn usable(&self, at: i64) -> Vec<(String, i64)> {
        let usable = self.packs.iter().filter(|pack| pack.is_usable(at) && pack.remaining > 0);
        usable.map(|pack| (pack.trans_no.clone(), pack.remaining)).collect()
    }

    /// The balance at a moment.
    pub fn balance(&self, at: i64) -> i64 {
        self.usable(at).iter().map(|(_, remaining)| remaining).sum()
    }

    /// Whether this holds at some moment of a span, in milliseconds since 1970.
    /// No moment is before the last change.
    pub fn ever(&self, from: i64, to: i64, holds: impl Fn(i64) -> bool) -> bool {
        let ends = self.packs.iter().filter_map(|pack| pack.expired_at);
        let moments = ends.filter(|end| (from..=to).contains(end)).chain([from, to]);
        let last = self.at.unwrap_or(i64::MIN);
        moments.flat_map(|moment| [moment.max(last), moment.max(last.saturating_add(1))]).any(holds)
    }
}

impl Pack {
    fn is_usable(&self, at: i64) -> bool {
        self.expired_at.is_none_or(|end| at < end)
    }
}

/// A field of an item or an answer, as text.
pub fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

/// An item as plain JSON.
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
