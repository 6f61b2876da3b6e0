//! Orders: the statements that calls make about them, and their items in the table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    caller::{Attempt, AttemptOutcome},
    item::{list, plain_map, text},
    model::History,
    plan::{Amount, Call, Statement},
};

/// The prefix of the partition keys of orders.
const ORDER: &str = "order#";

/// The prefix of the sort keys of their grants.
const GRANT: &str = "grant#order#";

/// The number of the order that an item belongs to, if it is one.
pub fn order_of(item: &Value) -> Option<String> {
    text(item, "user_uuid").strip_prefix(ORDER).map(str::to_owned)
}

/// The number of the order that was granted at a sort key.
pub fn granted_order(sort: &str) -> Option<&str> {
    sort.strip_prefix(GRANT)
}

/// The key of the item of an order: partition and sort key.
pub fn item_key(order_no: &str) -> (String, String) {
    (format!("{ORDER}{order_no}"), "order".to_owned())
}

/// The items of orders in a table, by order number.
pub fn orders(items: &[Value]) -> BTreeMap<String, Value> {
    items.iter().map(plain_map).filter_map(|item| Some((order_of(&item)?, item))).collect()
}

impl Statement {
    /// Whether it counts, and not another one of its source: it is later, or of the same time
    /// and larger. A share counts as larger than credits.
    fn replaces(&self, other: &Statement) -> bool {
        let is_larger = match (self.amount, other.amount) {
            (Amount::Credits(one), Amount::Credits(other)) => one > other,
            (Amount::Share(part, of), Amount::Share(other_part, other_of)) => {
                part * other_of > other_part * of
            }
            (Amount::Share(..), Amount::Credits(_)) => true,
            (Amount::Credits(_), Amount::Share(..)) => false,
        };
        self.as_of > other.as_of || (self.as_of == other.as_of && is_larger)
    }

    /// What it revokes of a grant.
    fn credits(&self, granted: i64) -> i64 {
        match self.amount {
            Amount::Credits(credits) => credits.cast_signed(),
            Amount::Share(part, of) => granted * part.cast_signed() / of.cast_signed(),
        }
    }

    fn is_stored(&self, stored: &Value) -> bool {
        let number = |name: &str| stored[name].as_u64();
        let amount = match self.amount {
            Amount::Credits(credits) => (Some(credits), None, None),
            Amount::Share(part, of) => (None, Some(part), Some(of)),
        };
        stored["s"] == self.source
            && stored["a"] == self.as_of
            && (number("c"), number("p"), number("o")) == amount
    }
}

/// The statement of an attempt about an order.
pub fn statement(attempt: &Attempt) -> Option<(&'static str, &Statement)> {
    match &attempt.call {
        Call::Revoke { order_no, statement, .. } => Some((order_no, statement)),
        _ => None,
    }
}

/// The statements about an order at some moment of an attempt, from what the callers observed.
pub struct Statements<'a> {
    /// Those that were certainly made before.
    certain: Vec<&'a Statement>,
    /// Those that may have been made before, which include the certain ones.
    possible: Vec<&'a Statement>,
}

impl<'a> Statements<'a> {
    /// Of the attempts that had succeeded before this one began, and of those that began before
    /// it ended.
    pub fn during(attempt: &Attempt, order_no: &str, attempts: &'a [Attempt]) -> Statements<'a> {
        let ended = if attempt.has_certain_outcome() { attempt.ended.sequence } else { u64::MAX };
        Statements::of(
            order_no,
            attempts,
            |other| other.ended.sequence < attempt.started.sequence,
            |other| other.started.sequence < ended,
        )
    }

    /// After all attempts.
    pub fn last(order_no: &str, attempts: &'a [Attempt]) -> Statements<'a> {
        Statements::of(order_no, attempts, |_| true, |_| true)
    }

    fn of(
        order_no: &str,
        attempts: &'a [Attempt],
        is_before: impl Fn(&Attempt) -> bool,
        is_possible: impl Fn(&Attempt) -> bool,
    ) -> Statements<'a> {
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        for attempt in attempts {
            let Some((_, statement)) = statement(attempt).filter(|(of, _)| *of == order_no) else { continue };
            let is_success = matches!(attempt.outcome, AttemptOutcome::Success(_));
            if is_success && is_before(attempt) {
                certain.push(statement);
            }
            if (is_success || !attempt.has_certain_outcome()) && is_possible(attempt) {
                possible.push(statement);
            }
        }
        Statements { certain, possible }
    }

    /// Adds one that was made before.
    pub fn with(mut self, statement: &'a Statement) -> Statements<'a> {
        self.certain.push(statement);
        self.possible.push(statement);
        self
    }

    /// Without those that replace this one.
    pub fn until(mut self, statement: &Statement) -> Statements<'a> {
        self.possible.retain(|other| other.source != statement.source || !other.replaces(statement));
        self
    }

    /// Whether so many credits of a grant can be revoked.
    pub fn explain(&self, revoked: i64, granted: i64) -> bool {
        let mut sums = BTreeSet::from([0]);
        for source in self.possible.iter().map(|statement| statement.source).collect::<BTreeSet<_>>() {
            let counted = self.counted(source, granted);
            sums = sums.iter().flat_map(|sum| counted.iter().map(move |credits| sum + credits)).collect();
        }
        sums.into_iter().any(|sum| sum.min(granted) == revoked)
    }

    /// The credits that a source may revoke.
    fn counted(&self, source: &str, granted: i64) -> Vec<i64> {
        let of_source = |statement: &&&Statement| statement.source == source;
        let certain: Vec<_> = self.certain.iter().filter(of_source).collect();
        let is_latest = |statement: &&&Statement| !certain.iter().any(|other| other.replaces(statement));
        let latest = self.possible.iter().filter(of_source).filter(is_latest);
        let none = certain.is_empty().then_some(0);
        latest.map(|statement| statement.credits(granted)).chain(none).collect()
    }
}

/// The orders of the grants are exactly the items of orders with an owner, so no two users have
/// one order. Of each source the latest statement is stored, and the sources decide what is
/// revoked.
pub fn check_orders(
    histories: &BTreeMap<String, History>,
    orders: &BTreeMap<String, Value>,
    attempts: &[Attempt],
) -> Result<(), String> {
    let mut grants = BTreeMap::new();
    for (user, history) in histories {
        for (sort, grant) in history.last().grants() {
            let Some(order_no) = granted_order(sort) else { continue };
            let statements = Statements::last(order_no, attempts);
            if grants.insert(order_no, user).is_some() || !statements.explain(grant.revoked, grant.credits) {
                return Err(format!("{order_no} was granted twice, or has another sum: {grant:?}"));
            }
            let stored = list(&orders[order_no], "statements");
            let sum = stored.map(|stored| stored_credits(stored, grant.credits)).sum::<i64>();
            if sum.min(grant.credits) != grant.revoked {
                return Err(format!("{} contradicts {grant:?}", orders[order_no]));
            }
        }
    }
    for (order_no, item) in orders {
        let owner = grants.get(order_no.as_str()).map(|user| user.as_str());
        if item["owner"].as_str() != owner {
            return Err(format!("the owner of {order_no} is {owner:?}, not of {item}"));
        }
        check_statements(order_no, item, attempts).map_err(|problem| format!("{problem}: {item}"))?;
    }
    Ok(())
}

fn stored_credits(stored: &Value, granted: i64) -> i64 {
    let number = |name: &str| stored[name].as_i64();
    let share = || Some(granted * number("p")? / number("o")?);
    number("c").or_else(share).expect("credits or a share")
}

/// Each stored statement was made by the attempt that it names, and none replaces it.
fn check_statements(order_no: &str, item: &Value, attempts: &[Attempt]) -> Result<(), String> {
    let stored: Vec<_> = list(item, "statements").collect();
    let is_changed = !stored.is_empty();
    if item["item_format"].as_i64() != is_changed.then_some(2) || item["revision"].is_null() == is_changed {
        return Err("not the format of its attributes".to_owned());
    }
    if item["owner"].is_null() && !is_changed {
        return Err("neither a grant nor a statement".to_owned());
    }
    let Statements { certain, possible } = Statements::last(order_no, attempts);
    for stored in &stored {
        let author = attempts.iter().find(|attempt| stored["r"] == attempt.tag.as_str());
        let made = author.and_then(statement).filter(|(of, _)| *of == order_no);
        let is_made = made.is_some_and(|(_, made)| possible.contains(&made) && made.is_stored(stored));
        if !is_made {
            return Err(format!("no attempt stated {stored}"));
        }
    }
    let is_counted = |statement: &&Statement| {
        let mut of_source = stored.iter().filter(|stored| stored["s"] == statement.source);
        let kept = of_source
            .next()
            .and_then(|stored| possible.iter().find(|possible| possible.is_stored(stored)).copied());
        kept.is_some_and(|kept| !statement.replaces(kept)) && of_source.next().is_none()
    };
    if certain.iter().all(is_counted) { Ok(()) } else { Err("a later statement is not stored".to_owned()) }
}
