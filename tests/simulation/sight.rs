//! What an answer says about the state of one moment between call and answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    caller::{Attempt, End},
    history::Sight,
    model::{Record, State, text},
    plan::Call,
    world::Gaps,
};

type Records = BTreeMap<String, Record>;

/// The balance that the answer to a write tells. It is of a moment between call
/// and answer, and never of one before the records that the answer names.
pub fn of_balance<'a>(attempt: &'a Attempt, records: &'a Records) -> Option<Sight<'a>> {
    let answer = attempt.answer()?;
    let named = match &attempt.call {
        Call::Grant { .. } | Call::Charge { .. } => vec![text(answer, "trans_no")],
        Call::Refund { is_callback: false, .. } => named_in(answer).collect(),
        _ => return None,
    };
    let (from, to) = attempt.clocks();
    let (told, is_refund) = (answer["balance"].as_i64(), matches!(attempt.call, Call::Refund { .. }));
    Some(Box::new(move |state| {
        let known = state.records.iter().filter(|(_, is_voided)| **is_voided || !is_refund);
        let known: Vec<_> = known.map(|(sort, _)| &records[sort].trans_no).collect();
        named.iter().all(|trans_no| known.contains(&trans_no))
            && state.ever(from, to, |at| Some(state.balance(at)) == told)
    }))
}

/// What holds when a fence is left: nothing is live in its place, and nothing of
/// the whole generation if it is left without a key.
pub fn under_a_fence<'a>(
    fence: &'a str,
    attempt: &'a Attempt,
    records: &'a Records,
    gaps: &'a Gaps,
) -> Sight<'a> {
    Box::new(move |state| {
        let stops = |sort: &str| if fence.ends_with('#') { sort.starts_with(fence) } else { sort == fence };
        let seen = Seen { attempt, records, state, gaps };
        let mut live = state.records.iter().filter(|(sort, is_voided)| stops(sort) && !**is_voided);
        live.all(|(sort, _)| seen.may_miss(sort))
    })
}

/// What an attempt was told besides the balance; nothing where it was told only
/// of its own write, or by an index.
pub fn of<'a>(attempt: &'a Attempt, records: &'a Records, gaps: &'a Gaps) -> Option<Sight<'a>> {
    let holds = match (&attempt.end, &attempt.call) {
        (End::CutOff, _) | (_, Call::Timeline(_) | Call::Generation(_)) => return None,
        (End::Refused { code, .. }, _) if code == "Busy" => return None,
        (End::Refused { .. }, _) => is_refusal,
        (End::Answered(_), Call::Refund { .. }) => is_refunded,
        (End::Answered(_), Call::Balance(_)) => is_shown,
        (End::Answered(_), Call::Summary(_)) => is_summed,
        (End::Answered(answer), _) if answer["replayed"] == false => return None,
        (End::Answered(_), _) => is_replayed,
    };
    Some(Box::new(move |state| holds(&Seen { attempt, records, state, gaps })))
}

struct Seen<'a> {
    attempt: &'a Attempt,
    records: &'a Records,
    state: &'a State,
    gaps: &'a Gaps,
}

impl Seen<'_> {
    fn answer(&self) -> &Value {
        self.attempt.answer().unwrap_or(&Value::Null)
    }

    /// The record at the place that the call names, and whether it is voided.
    fn there(&self) -> Option<(&Record, bool)> {
        let (sort, is_voided) = self.state.records.get_key_value(&self.attempt.identity()?)?;
        Some((&self.records[sort], *is_voided))
    }

    /// Whether a refund without a key may miss this charge, because it was committed and not
    /// yet visible while the refund ran: the wallet may show it, and the charge not yet. While
    /// the user has no charges with both a generation and a key, there is one place to look
    /// at, and nothing can be missed.
    fn may_miss(&self, sort: &str) -> bool {
        let is_keyed = |sort: &String| sort.starts_with("charge#g") && !sort.ends_with('#');
        let (began, ended) = (self.attempt.began.millis, self.attempt.ended.millis);
        let item = &self.records[sort].item;
        let gaps = self.gaps.get(&(text(item, "user_uuid"), sort.to_owned()));
        matches!(self.attempt.call, Call::Refund { key: None, .. })
            && self.state.records.keys().any(is_keyed)
            && gaps.is_some_and(|gaps| gaps.iter().any(|(from, to)| *from <= ended && began <= *to))
    }

    /// Whether this holds by some time that a clock can have shown meanwhile.
    fn ever(&self, holds: impl Fn(i64) -> bool) -> bool {
        let (from, to) = self.attempt.clocks();
        self.state.ever(from, to, holds)
    }
}

/// The records that the answer to a refund names.
fn named_in(answer: &Value) -> impl Iterator<Item = String> {
    answer["records"].as_array().into_iter().flatten().map(|record| text(record, "trans_no"))
}

fn is_replayed(seen: &Seen) -> bool {
    seen.there().is_some_and(|(_, is_voided)| !is_voided)
}

/// None of the charges that it addresses is live, and it names them all; a
/// call-back is told none.
fn is_refunded(seen: &Seen) -> bool {
    let Call::Refund { generation, key, is_callback, .. } = &seen.attempt.call else { return false };
    let of_generation = seen.state.records.iter().filter(|(sort, _)| seen.attempt.addresses(sort));
    let is_over = of_generation.clone().all(|(sort, is_voided)| *is_voided || seen.may_miss(sort));
    let voided = of_generation.filter(|(_, is_voided)| **is_voided);
    let mut voided: Vec<_> = voided.map(|(sort, _)| seen.records[sort].trans_no.clone()).collect();
    voided.sort_unstable();
    let fence = format!("charge#{generation}#{}", key.unwrap_or_default());
    let is_fenced = seen.answer()["outcome"] != "fenced" || seen.state.fences.contains(&fence);
    is_over && is_fenced && (*is_callback || named_in(seen.answer()).eq(voided))
}

fn is_shown(seen: &Seen) -> bool {
    let packs = seen.answer()["packs"].as_array().into_iter().flatten();
    let packs = packs.map(|pack| (text(pack, "trans_no"), pack["remaining"].as_i64().unwrap_or_default()));
    let told: Vec<_> = packs.collect();
    let sum: i64 = told.iter().map(|(_, remaining)| remaining).sum();
    seen.answer()["balance"].as_i64() == Some(sum) && seen.ever(|at| seen.state.usable(at) == told)
}

fn is_summed(seen: &Seen) -> bool {
    let told = |name: &str, field: &str| seen.answer()[name][field].as_i64();
    let sum = |name: &str, counts: &dyn Fn(i64, bool) -> bool| {
        let all = seen.state.records.iter().map(|(sort, is_voided)| (seen.records[sort].credits, *is_voided));
        let counted: Vec<_> = all.filter(|(credits, is_voided)| counts(*credits, *is_voided)).collect();
        let credits: i64 = counted.iter().map(|(credits, _)| credits.abs()).sum();
        let is_told = told(name, "credits") == Some(credits)
            && told(name, "count") == i64::try_from(counted.len()).ok();
        is_told.then_some(credits)
    };
    let granted = sum("granted", &|credits, _| credits > 0);
    let spent = sum("spent", &|credits, is_voided| credits < 0 && !is_voided);
    let voided = sum("voided", &|_, is_voided| is_voided);
    let (Some(granted), Some(spent), Some(_)) = (granted, spent, voided) else { return false };
    seen.ever(|at| {
        let balance = seen.state.balance(at);
        seen.answer()["balance"].as_i64() == Some(balance)
            && told("expired", "credits") == Some(granted - spent - balance)
    })
}

fn is_refusal(seen: &Seen) -> bool {
    let End::Refused { code, balance: told, .. } = &seen.attempt.end else { return false };
    match (code.as_str(), &seen.attempt.call) {
        ("InsufficientCredits", Call::Charge { credits, .. }) => {
            let lacks = |at| {
                let left = seen.state.balance(at).unsigned_abs();
                left < *credits && told.is_none_or(|told| told == left)
            };
            seen.there().is_none() && seen.ever(lacks)
        }
        ("GenerationVoided", Call::Charge { .. }) => {
            let is_fenced = seen.attempt.identity().is_some_and(|place| seen.state.fences.contains(&place));
            is_fenced || seen.there().is_some_and(|(_, is_voided)| is_voided)
        }
        ("IdempotencyConflict", Call::Charge { .. } | Call::Grant { .. }) => {
            seen.there().is_some_and(|(record, _)| !seen.attempt.asks_the_same(record))
        }
        ("InvalidRequest", Call::Grant { .. }) => {
            let has_run_out = |at| seen.attempt.expired_at.is_some_and(|end| end <= at);
            seen.there().is_none() && seen.ever(has_run_out)
        }
        // Found by an index, or refused by one.
        ("ChargeNotFound" | "IdempotencyConflict", Call::Refund { user: None, .. }) => true,
        _ => false,
    }
}
