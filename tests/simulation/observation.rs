//! What a response states about the account at one moment between call and response.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    caller::{Attempt, AttemptOutcome},
    linearizability::Observation,
    model::{Account, Record, State, text},
    plan::{Call, Grant},
    simulator::VisibilityGaps,
};

type Records = BTreeMap<String, Record>;

/// The balance in the response to a write. It belongs to a moment between call and
/// response, and never to one before the records that the response names.
pub fn of_balance<'a>(attempt: &'a Attempt, records: &'a Records) -> Option<Observation<'a>> {
    let response = attempt.response()?;
    let named = match &attempt.call {
        Call::Grant { .. } | Call::Charge { .. } => vec![text(response, "trans_no")],
        Call::Refund { is_callback: false, .. } => refunded_trans_nos(response).collect(),
        _ => return None,
    };
    let (from, to) = attempt.clock_range();
    let (balance, is_refund) = (response["balance"].as_i64(), matches!(attempt.call, Call::Refund { .. }));
    Some(Box::new(move |state| {
        let present = state.records.iter().filter(|(_, is_voided)| **is_voided || !is_refund);
        let present: Vec<_> = present.map(|(sort, _)| &records[sort].trans_no).collect();
        named.iter().all(|trans_no| present.contains(&trans_no))
            && state.holds_between(from, to, |at| Some(state.balance(at)) == balance)
    }))
}

/// The state in which a refund may write a fence: no charge that the fence covers is live.
/// A fence without a key covers the whole generation.
pub fn of_fence<'a>(
    fence: &'a str,
    attempt: &'a Attempt,
    records: &'a Records,
    gaps: &'a VisibilityGaps,
) -> Observation<'a> {
    Box::new(move |state| {
        let covers = |sort: &str| if fence.ends_with('#') { sort.starts_with(fence) } else { sort == fence };
        let view = View { attempt, records, state, gaps };
        let mut live = state.records.iter().filter(|(sort, is_voided)| covers(sort) && !**is_voided);
        live.all(|(sort, _)| view.may_miss(sort))
    })
}

/// What the rejection of a grant for an order of another user states about the account of
/// that user: the order is granted.
pub fn of_foreign_order<'a>(
    attempt: &'a Attempt,
    user: &str,
    account: &'a Account,
) -> Option<Observation<'a>> {
    let (AttemptOutcome::Error { code, .. }, Call::Grant { user: other, grant: Grant::Order(_), .. }) =
        (&attempt.outcome, &attempt.call)
    else {
        return None;
    };
    let sort = attempt.sort_key().filter(|sort| account.records.contains_key(sort))?;
    (*other != user && code == "IdempotencyConflict")
        .then(|| -> Observation<'a> { Box::new(move |state| state.records.contains_key(&sort)) })
}

/// What a response states besides the balance; absent if it states only its own write, or
/// comes from an index.
pub fn of_response<'a>(
    attempt: &'a Attempt,
    records: &'a Records,
    gaps: &'a VisibilityGaps,
) -> Option<Observation<'a>> {
    let agrees = match (&attempt.outcome, &attempt.call) {
        (AttemptOutcome::CutOff, _) | (_, Call::Timeline(_) | Call::Generation(_)) => return None,
        (AttemptOutcome::Error { code, .. }, _) if code == "Busy" => return None,
        (AttemptOutcome::Error { .. }, _) => rejection_agrees,
        (AttemptOutcome::Success(_), Call::Refund { .. }) => refund_agrees,
        (AttemptOutcome::Success(_), Call::Balance(_)) => balance_agrees,
        (AttemptOutcome::Success(_), Call::Summary(_)) => summary_agrees,
        (AttemptOutcome::Success(response), _) if response["replayed"] == false => return None,
        (AttemptOutcome::Success(_), _) => replay_agrees,
    };
    Some(Box::new(move |state| agrees(&View { attempt, records, state, gaps })))
}

/// An attempt, and the state that its response is compared with.
struct View<'a> {
    attempt: &'a Attempt,
    records: &'a Records,
    state: &'a State,
    gaps: &'a VisibilityGaps,
}

impl View<'_> {
    fn response(&self) -> &Value {
        self.attempt.response().unwrap_or(&Value::Null)
    }

    /// The record at the key that the call names, and whether it is voided.
    fn requested_record(&self) -> Option<(&Record, bool)> {
        let (sort, is_voided) = self.state.records.get_key_value(&self.attempt.sort_key()?)?;
        Some((&self.records[sort], *is_voided))
    }

    /// Whether a refund without a key may miss this charge, because it was committed and not
    /// yet visible while the refund ran: the wallet may be visible before the charge. While
    /// the user has no charges with both a generation and a key, the refund reads a single
    /// key, and can miss nothing.
    fn may_miss(&self, sort: &str) -> bool {
        let is_keyed = |sort: &String| sort.starts_with("charge#g") && !sort.ends_with('#');
        let (started, ended) = (self.attempt.started.millis, self.attempt.ended.millis);
        let item = &self.records[sort].item;
        let gaps = self.gaps.get(&(text(item, "user_uuid"), sort.to_owned()));
        matches!(self.attempt.call, Call::Refund { key: None, .. })
            && self.state.records.keys().any(is_keyed)
            && gaps.is_some_and(|gaps| gaps.iter().any(|(from, to)| *from <= ended && started <= *to))
    }

    /// Whether this holds at a time that a machine's clock can have shown during the attempt.
    fn holds_meanwhile(&self, holds: impl Fn(i64) -> bool) -> bool {
        let (from, to) = self.attempt.clock_range();
        self.state.holds_between(from, to, holds)
    }
}

/// The records that the response to a refund names.
fn refunded_trans_nos(response: &Value) -> impl Iterator<Item = String> {
    response["records"].as_array().into_iter().flatten().map(|record| text(record, "trans_no"))
}

fn replay_agrees(view: &View) -> bool {
    view.requested_record().is_some_and(|(_, is_voided)| !is_voided)
}

/// No charge that the refund addresses is live, and the response names them all. The
/// response to a call-back names none.
fn refund_agrees(view: &View) -> bool {
    let Call::Refund { generation, key, is_callback, .. } = &view.attempt.call else { return false };
    let addressed = view.state.records.iter().filter(|(sort, _)| view.attempt.addresses(sort));
    let none_is_live = addressed.clone().all(|(sort, is_voided)| *is_voided || view.may_miss(sort));
    let voided = addressed.filter(|(_, is_voided)| **is_voided);
    let mut voided: Vec<_> = voided.map(|(sort, _)| view.records[sort].trans_no.clone()).collect();
    voided.sort_unstable();
    let fence = format!("charge#{generation}#{}", key.unwrap_or_default());
    let is_fenced = view.response()["outcome"] != "fenced" || view.state.fences.contains(&fence);
    none_is_live && is_fenced && (*is_callback || refunded_trans_nos(view.response()).eq(voided))
}

fn balance_agrees(view: &View) -> bool {
    let packs = view.response()["packs"].as_array().into_iter().flatten();
    let packs: Vec<_> =
        packs.map(|pack| (text(pack, "trans_no"), pack["remaining"].as_i64().unwrap_or_default())).collect();
    let sum: i64 = packs.iter().map(|(_, remaining)| remaining).sum();
    view.response()["balance"].as_i64() == Some(sum)
        && view.holds_meanwhile(|at| view.state.usable(at) == packs)
}

fn summary_agrees(view: &View) -> bool {
    let field = |sum: &str, name: &str| view.response()[sum][name].as_i64();
    let matching_sum = |name: &str, is_counted: &dyn Fn(i64, bool) -> bool| {
        let all = view.state.records.iter().map(|(sort, is_voided)| (view.records[sort].credits, *is_voided));
        let counted: Vec<_> = all.filter(|(credits, is_voided)| is_counted(*credits, *is_voided)).collect();
        let credits: i64 = counted.iter().map(|(credits, _)| credits.abs()).sum();
        let is_equal = field(name, "credits") == Some(credits)
            && field(name, "count") == i64::try_from(counted.len()).ok();
        is_equal.then_some(credits)
    };
    let granted = matching_sum("granted", &|credits, _| credits > 0);
    let spent = matching_sum("spent", &|credits, is_voided| credits < 0 && !is_voided);
    let voided = matching_sum("voided", &|_, is_voided| is_voided);
    let (Some(granted), Some(spent), Some(_)) = (granted, spent, voided) else { return false };
    view.holds_meanwhile(|at| {
        let balance = view.state.balance(at);
        view.response()["balance"].as_i64() == Some(balance)
            && field("expired", "credits") == Some(granted - spent - balance)
    })
}

fn rejection_agrees(view: &View) -> bool {
    let AttemptOutcome::Error { code, balance, .. } = &view.attempt.outcome else { return false };
    match (code.as_str(), &view.attempt.call) {
        ("InsufficientCredits", Call::Charge { credits, .. }) => {
            let is_short = |at| {
                let available = view.state.balance(at).unsigned_abs();
                available < *credits && balance.is_none_or(|balance| balance == available)
            };
            view.requested_record().is_none() && view.holds_meanwhile(is_short)
        }
        ("GenerationVoided", Call::Charge { .. }) => {
            let is_fenced = view.attempt.sort_key().is_some_and(|sort| view.state.fences.contains(&sort));
            is_fenced || view.requested_record().is_some_and(|(_, is_voided)| is_voided)
        }
        ("IdempotencyConflict", Call::Charge { .. } | Call::Grant { .. }) => {
            match view.requested_record() {
                Some((record, _)) => !view.attempt.matches(record),
                // The order is another user's, and is checked there.
                None => matches!(view.attempt.call, Call::Grant { grant: Grant::Order(_), .. }),
            }
        }
        ("InvalidRequest", Call::Grant { .. }) => {
            let has_expired = |at| view.attempt.expired_at.is_some_and(|expiry| expiry <= at);
            view.requested_record().is_none() && view.holds_meanwhile(has_expired)
        }
        // These come from an index, which may lag.
        ("ChargeNotFound" | "IdempotencyConflict", Call::Refund { user: None, .. }) => true,
        _ => false,
    }
}
