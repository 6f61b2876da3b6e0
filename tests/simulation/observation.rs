//! What a response states about the account at one moment between call and response.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    caller::{Attempt, AttemptOutcome},
    item::{list, text},
    linearizability::Observation,
    model::Account,
    order::{item_key, statement},
    plan::{Call, Grant, Overage},
    record::Record,
    response::allocations,
    simulator::VisibilityGaps,
    state::{RecordState, State},
};

/// The wallet in the response to a revocation. If the order did not change, it is read at
/// another moment than the order.
pub fn of_revoked_wallet<'a>(
    attempt: &'a Attempt,
    user: &'a str,
    account: &'a Account,
    gaps: &'a VisibilityGaps,
) -> Option<Observation<'a>> {
    let is_shown = matches!(attempt.call, Call::Revoke { .. }) && attempt.response().is_some();
    is_shown.then(|| -> Observation<'a> {
        Box::new(move |state| revoked_wallet_agrees(&View { attempt, user, account, state, gaps }))
    })
}

/// The balance in the response to a write. It belongs to a moment between call and
/// response, and never to one before the changes that the response names.
pub fn of_balance<'a>(attempt: &'a Attempt, account: &'a Account) -> Option<Observation<'a>> {
    let response = attempt.response()?;
    let is_write = matches!(
        attempt.call,
        Call::Grant { .. }
            | Call::Charge { .. }
            | Call::Settle { .. }
            | Call::Refund { is_callback: false, .. }
    );
    if !is_write {
        return None;
    }
    let (from, to) = attempt.clock_range();
    let (balance, debt) = (response["balance"].as_i64(), response["debt"].as_i64());
    Some(Box::new(move |state| {
        includes(response, account, state)
            && debt.is_none_or(|debt| debt == state.debt())
            && state.holds_between(from, to, |at| Some(state.balance(at)) == balance)
    }))
}

/// Whether a state includes the changes that a response names.
fn includes(response: &Value, account: &Account, state: &State) -> bool {
    let outputs: BTreeSet<_> = list(response, "outputs").filter_map(Value::as_u64).collect();
    let named = list(response, "records").chain([response]).filter(|named| named["trans_no"].is_string());
    named.into_iter().all(|named| {
        let trans_no = text(named, "trans_no");
        let mut present = state.records.iter();
        present.any(|(sort, record)| {
            account.records[sort].trans_no == trans_no
                && (named["voided_at"].is_null() || record.is_voided)
                && (named["settled_at"].is_null() || record.settlement.is_some())
                && (record.is_voided || outputs.is_subset(&record.returned_outputs))
        })
    })
}

/// The state in which a refund may write a fence: no charge that the fence covers is live.
/// A fence without a key covers the whole generation.
pub fn of_fence<'a>(
    fence: &'a str,
    attempt: &'a Attempt,
    user: &'a str,
    account: &'a Account,
    gaps: &'a VisibilityGaps,
) -> Observation<'a> {
    Box::new(move |state| {
        let covers = |sort: &str| if fence.ends_with('#') { sort.starts_with(fence) } else { sort == fence };
        let view = View { attempt, user, account, state, gaps };
        let mut live = state.records.iter().filter(|(sort, record)| covers(sort) && !record.is_voided);
        live.all(|(sort, _)| view.may_miss(sort))
    })
}

/// What a grant or a revocation for an order of another user states about the account of that
/// user: the order is granted if it is rejected for that, and is not if it is kept for later.
pub fn of_foreign_order<'a>(
    attempt: &'a Attempt,
    user: &str,
    account: &'a Account,
    gaps: &VisibilityGaps,
) -> Option<Observation<'a>> {
    let sort = attempt.sort_key().filter(|sort| account.records.contains_key(sort))?;
    let is_other = match &attempt.call {
        Call::Grant { user: other, grant: Grant::Order(_), .. } => *other != user,
        Call::Revoke { user: other, .. } => other.is_none_or(|other| other != user),
        _ => false,
    };
    match &attempt.outcome {
        AttemptOutcome::Error { code, .. } if is_other && code == "IdempotencyConflict" => {
            Some(Box::new(move |state| state.records.contains_key(&sort)))
        }
        AttemptOutcome::Success(response) if response["outcome"] == "kept" => {
            let is_invisible = is_order_invisible(attempt, gaps);
            Some(Box::new(move |state| is_invisible || !state.records.contains_key(&sort)))
        }
        _ => None,
    }
}

/// Whether the item of the order was committed and not yet visible at some time of an attempt.
fn is_order_invisible(attempt: &Attempt, gaps: &VisibilityGaps) -> bool {
    statement(attempt).is_some_and(|(order_no, _)| is_in_gap(attempt, gaps.get(&item_key(order_no))))
}

fn is_in_gap(attempt: &Attempt, gaps: Option<&Vec<(i64, i64)>>) -> bool {
    let (started, ended) = (attempt.started.millis, attempt.ended.millis);
    gaps.is_some_and(|gaps| gaps.iter().any(|(from, to)| *from <= ended && started <= *to))
}

/// What a response states besides the balance; absent if it states only its own write, or
/// comes from an index.
pub fn of_response<'a>(
    attempt: &'a Attempt,
    user: &'a str,
    account: &'a Account,
    gaps: &'a VisibilityGaps,
) -> Option<Observation<'a>> {
    let agrees = match (&attempt.outcome, &attempt.call) {
        (AttemptOutcome::CutOff, _) | (_, Call::Timeline(_) | Call::Generation(_) | Call::Sweep) => {
            return None;
        }
        (AttemptOutcome::Error { code, .. }, _) if code == "Busy" => return None,
        (AttemptOutcome::Error { .. }, _) => rejection_agrees,
        (AttemptOutcome::Success(_), Call::Refund { outputs: [], .. }) => refund_agrees,
        (AttemptOutcome::Success(_), Call::Refund { .. }) => refund_of_outputs_agrees,
        (AttemptOutcome::Success(_), Call::Success(_)) => success_agrees,
        (AttemptOutcome::Success(_), Call::Settle { .. }) => settlement_agrees,
        (AttemptOutcome::Success(_), Call::Revoke { .. }) => revocation_agrees,
        (AttemptOutcome::Success(_), Call::Balance(_)) => balance_agrees,
        (AttemptOutcome::Success(_), Call::Summary(_)) => summary_agrees,
        (AttemptOutcome::Success(response), _) if response["replayed"] == false => return None,
        (AttemptOutcome::Success(_), _) => replay_agrees,
    };
    Some(Box::new(move |state| agrees(&View { attempt, user, account, state, gaps })))
}

/// An attempt, and the state that its response is compared with.
struct View<'a> {
    attempt: &'a Attempt,
    user: &'a str,
    account: &'a Account,
    state: &'a State,
    gaps: &'a VisibilityGaps,
}

impl View<'_> {
    fn response(&self) -> &Value {
        self.attempt.response().unwrap_or(&Value::Null)
    }

    /// The record at the key that the call names, and its state.
    fn requested_record(&self) -> Option<(&Record, &RecordState)> {
        let (sort, record) = self.state.records.get_key_value(&self.attempt.sort_key()?)?;
        Some((&self.account.records[sort], record))
    }

    /// The charges that a refund or a success addresses: their sort keys, and their states.
    fn addressed(&self) -> impl Iterator<Item = (&String, &RecordState)> {
        let is_addressed =
            |sort: &String| self.attempt.addresses(self.user, sort, &self.account.records[sort]);
        self.state.records.iter().filter(move |(sort, _)| is_addressed(sort))
    }

    /// Whether a request about a whole generation may miss this charge, because it was
    /// committed and not yet visible while the request ran: the wallet may be visible before
    /// the charge. While the user has no charges with both a generation and a key, the request
    /// reads a single key, and can miss nothing.
    fn may_miss(&self, sort: &str) -> bool {
        let is_keyed = |sort: &String| sort.starts_with("charge#g") && !sort.ends_with('#');
        self.attempt.is_about_session()
            && self.state.records.keys().any(is_keyed)
            && self.may_be_invisible(sort)
    }

    /// Whether a charge was committed and not yet visible at some time of the attempt. Its own
    /// caller had no response then.
    fn may_be_invisible(&self, sort: &str) -> bool {
        is_in_gap(self.attempt, self.gaps.get(&(self.user.to_owned(), sort.to_owned())))
    }

    /// Whether there is a fence where a call that addresses charges looks for one.
    fn is_fenced(&self) -> bool {
        let key = self.attempt.fence_key().or_else(|| self.attempt.sort_key());
        key.is_some_and(|key| self.state.fences.contains(&key))
    }

    /// Whether this holds at a time that a machine's clock can have shown during the attempt.
    fn holds_meanwhile(&self, holds: impl Fn(i64) -> bool) -> bool {
        let (from, to) = self.attempt.clock_range();
        self.state.holds_between(from, to, holds)
    }
}

fn replay_agrees(view: &View) -> bool {
    view.requested_record().is_some_and(|(_, record)| !record.is_voided)
}

/// The charge is settled, and owns what the response says.
fn settlement_agrees(view: &View) -> bool {
    view.requested_record().is_some_and(|(_, record)| {
        record.settlement.is_some() && record.owned == allocations(view.response())
    })
}

/// The order is in the state that the response shows. If the revocation changed it, the wallet is
/// of the same moment.
fn revocation_agrees(view: &View) -> bool {
    let Some((_, grant)) = view.requested_record() else { return false };
    let shown = |name: &str| view.response()[name].as_i64();
    let is_unchanged = view.response()["outcome"] == "unchanged";
    shown("granted") == Some(grant.credits)
        && shown("revoked") == Some(grant.revoked)
        && shown("debt") == Some(view.state.owed(&view.attempt.sort_key().unwrap_or_default()))
        && (is_unchanged || revoked_wallet_agrees(view))
}

/// The wallet has the shortfall and the balance that the response shows.
fn revoked_wallet_agrees(view: &View) -> bool {
    let Some((record, _)) = view.requested_record() else { return false };
    let pack = view.state.packs.iter().find(|pack| pack.trans_no == record.trans_no);
    let shown = |name: &str| view.response()[name].as_i64();
    shown("shortfall") == pack.map(|pack| pack.shortfall)
        && view.holds_meanwhile(|at| shown("balance") == Some(view.state.balance(at)))
}

/// No charge that the refund addresses is live, and the response names them all. A call-back
/// leaves final charges, and its response names none.
fn refund_agrees(view: &View) -> bool {
    let Call::Refund { is_callback, .. } = &view.attempt.call else { return false };
    let is_left = |record: &RecordState| *is_callback && !record.is_voided && record.is_final();
    let none_is_live =
        view.addressed().all(|(sort, record)| record.is_voided || is_left(record) || view.may_miss(sort));
    let is_outcome = match view.response()["outcome"].as_str() {
        Some("fenced") => view.is_fenced(),
        Some("settled") => view.addressed().any(|(_, record)| is_left(record)),
        Some("already_voided") => view.addressed().any(|(_, record)| record.is_voided),
        _ => true,
    };
    let voided = view.addressed().filter(|(_, record)| record.is_voided);
    let mut voided: Vec<_> = voided.map(|(sort, _)| view.account.records[sort].trans_no.clone()).collect();
    voided.sort_unstable();
    let named = list(view.response(), "records").map(|record| text(record, "trans_no"));
    none_is_live && is_outcome && (*is_callback || named.eq(voided))
}

/// The outputs are returned. A call-back leaves those of a final charge, and its response
/// names none.
fn refund_of_outputs_agrees(view: &View) -> bool {
    let Call::Refund { is_callback, outputs, .. } = &view.attempt.call else { return false };
    let Some((sort, charge)) = view.addressed().next() else { return false };
    let is_returned =
        charge.is_voided || outputs.iter().all(|output| charge.returned_outputs.contains(output));
    if *is_callback {
        let is_left = !charge.is_voided && charge.is_final();
        return if view.response()["outcome"] == "settled" { is_left } else { is_returned };
    }
    let count = view.account.records[sort].outputs().unwrap_or(0);
    let all = if charge.is_voided { (1..=count).collect() } else { charge.returned_outputs.clone() };
    let named: Vec<_> = list(view.response(), "records").collect();
    is_returned
        && list(view.response(), "outputs").filter_map(Value::as_u64).eq(all)
        && named.len() == 1
        && named[0]["credits"].as_i64() == Some(charge.credits)
        && named[0]["voided_at"].is_string() == charge.is_voided
}

/// No charge that the success addresses is open.
fn success_agrees(view: &View) -> bool {
    let is_open = |record: &RecordState| !record.is_voided && !record.is_final();
    let none_is_open = view.addressed().all(|(sort, record)| !is_open(record) || view.may_miss(sort));
    let is_outcome = match view.response()["outcome"].as_str() {
        Some("already_settled") => view.addressed().any(|(_, record)| !record.is_voided),
        Some("late_success") => {
            view.addressed().next().is_some()
                && view.addressed().all(|(sort, record)| record.is_voided || view.may_miss(sort))
        }
        Some("fenced") => view.is_fenced() && view.addressed().all(|(sort, _)| view.may_miss(sort)),
        outcome => outcome == Some("settled"),
    };
    none_is_open && is_outcome
}

fn balance_agrees(view: &View) -> bool {
    let packs = list(view.response(), "packs");
    let packs: Vec<_> =
        packs.map(|pack| (text(pack, "trans_no"), pack["remaining"].as_i64().unwrap_or_default())).collect();
    let sum: i64 = packs.iter().map(|(_, remaining)| remaining).sum();
    view.response()["balance"].as_i64() == Some(sum)
        && view.response()["debt"].as_i64() == Some(view.state.debt())
        && view.holds_meanwhile(|at| view.state.usable(at) == packs)
}

fn summary_agrees(view: &View) -> bool {
    let field = |sum: &str, name: &str| view.response()[sum][name].as_i64();
    let is_sum = |name: &str, is_counted: &dyn Fn(&Record, &RecordState) -> bool| {
        let all = view
            .state
            .records
            .iter()
            .filter(|(sort, record)| is_counted(&view.account.records[*sort], record));
        let counted: Vec<_> = all.map(|(_, record)| record.credits.abs()).collect();
        field(name, "credits") == Some(counted.iter().sum())
            && field(name, "count") == i64::try_from(counted.len()).ok()
    };
    is_sum("granted", &|record, _| record.credits > 0)
        && is_sum("spent", &|record, state| record.credits < 0 && !state.is_voided)
        && is_sum("voided", &|_, state| state.is_voided)
        && view.response()["debt"].as_i64() == Some(view.state.debt())
        && field("revoked", "credits") == Some(view.state.revoked())
        && view.holds_meanwhile(|at| {
            view.response()["balance"].as_i64() == Some(view.state.balance(at))
                && field("expired", "credits") == Some(view.state.expired(at))
        })
}

fn rejection_agrees(view: &View) -> bool {
    let AttemptOutcome::Error { code, .. } = &view.attempt.outcome else { return false };
    match (code.as_str(), &view.attempt.call) {
        ("InsufficientCredits", Call::Charge { credits, .. }) => {
            view.requested_record().is_none()
                && is_short(view, |balance| view.state.debt() > 0 || balance.unsigned_abs() < *credits)
        }
        ("InsufficientCredits", Call::Settle { credits, overage, .. }) => {
            view.requested_record().is_some_and(|(_, charge)| {
                let excess = credits.cast_signed() + charge.credits;
                !charge.is_voided
                    && !charge.is_final()
                    && is_short(view, |balance| is_refused(*overage, excess - balance, view.state.debt()))
            })
        }
        ("GenerationVoided", Call::Charge { .. } | Call::Settle { .. }) => {
            view.is_fenced() || view.requested_record().is_some_and(|(_, record)| record.is_voided)
        }
        ("IdempotencyConflict", Call::Settle { credits, .. }) => {
            let settlement = view.requested_record().and_then(|(_, record)| record.settlement.as_ref());
            settlement.is_some_and(|settlement| settlement.requested.unsigned_abs() != *credits)
        }
        ("IdempotencyConflict", Call::Charge { .. } | Call::Grant { .. }) => {
            match view.requested_record() {
                Some((record, _)) => !view.attempt.matches(record),
                // The order is another user's, and is checked there.
                None => matches!(view.attempt.call, Call::Grant { grant: Grant::Order(_), .. }),
            }
        }
        ("InvalidRequest", Call::Grant { .. }) => {
            let has_expired = |at| view.attempt.values.expired_at.is_some_and(|expiry| expiry <= at);
            view.requested_record().is_none() && view.holds_meanwhile(has_expired)
        }
        ("InvalidRequest", Call::Settle { .. }) => {
            view.requested_record().is_some_and(|(charge, _)| charge.outputs().is_some())
        }
        ("InvalidRequest", Call::Refund { outputs, .. }) => {
            let count = |sort: &String| view.account.records[sort].outputs().unwrap_or(0);
            view.addressed().any(|(sort, _)| outputs.iter().any(|output| *output > count(sort)))
        }
        // A repeat finds a charge or fence that is not visible yet, so these read no snapshot.
        ("ChargeNotFound", Call::Settle { .. }) => {
            let sort = view.attempt.sort_key().unwrap_or_default();
            let exists = view.is_fenced() || view.requested_record().is_some();
            !exists || view.may_be_invisible(&sort)
        }
        ("ChargeNotFound" | "GenerationUnknown", Call::Refund { .. } | Call::Success(_)) => {
            view.addressed().all(|(sort, _)| view.may_be_invisible(sort))
        }
        _ => false,
    }
}

/// Whether the balance falls short at a time of the attempt, and the response has it.
fn is_short(view: &View, is_short: impl Fn(i64) -> bool) -> bool {
    let AttemptOutcome::Error { funds, .. } = &view.attempt.outcome else { return false };
    view.holds_meanwhile(|at| {
        let balance = view.state.balance(at);
        is_short(balance) && funds.is_none_or(|funds| funds == (balance, view.state.debt()))
    })
}

/// Whether a policy refuses a settlement that exceeds charge and balance by this.
fn is_refused(overage: Overage, rest: i64, debt: i64) -> bool {
    let limit = match overage {
        Overage::Refuse => 0,
        Overage::Available | Overage::Debt(None) => return false,
        Overage::Debt(Some(limit)) => limit.cast_signed() - debt,
    };
    rest > 0 && rest > limit
}
