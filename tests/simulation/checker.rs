//! Checks a run: compares every response with the table at the end. Besides these it uses
//! only the times in which a committed item was not visible.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::Timestamp;
use serde_json::Value;

use crate::{
    caller::{Attempt, AttemptOutcome},
    linearizability::{self, Operation, StateChange},
    model::{Account, Event, Record, State, accounts, orders, text},
    observation,
    plan::{Call, Grant},
    simulator::{RunResult, VisibilityGaps},
};

/// Records in a full page.
const PAGE: usize = 100;

/// An error describes what is wrong.
pub type CheckResult = Result<(), String>;

pub fn check(run: &RunResult) -> CheckResult {
    let accounts = accounts(&run.items);
    let checker = Checker { attempts: &run.attempts, accounts: &accounts, gaps: &run.gaps };
    for attempt in &run.attempts {
        let internal_error = match &attempt.outcome {
            AttemptOutcome::Error { code, detail, .. } if code == "Internal" => Err(detail.clone()),
            _ => Ok(()),
        };
        let checked = internal_error.and_then(|()| checker.check_attempt(attempt));
        checked.map_err(|problem| format!("{problem}: {attempt:?}"))?;
    }
    check_orders(&accounts, &orders(&run.items))?;
    for (user, account) in &accounts {
        checker.check_account(user, account).map_err(|problem| format!("{user}: {problem}"))?;
    }
    Ok(())
}

fn ensure(condition: bool, problem: &str) -> CheckResult {
    if condition { Ok(()) } else { Err(problem.to_owned()) }
}

/// The orders of the grants are exactly the items of orders, so no two users have one order.
fn check_orders(accounts: &BTreeMap<String, Account>, orders: &BTreeMap<String, String>) -> CheckResult {
    let grants = accounts.iter().flat_map(|(user, account)| {
        let order_no = |sort: &String| sort.strip_prefix("grant#order#").map(str::to_owned);
        account.records.keys().filter_map(order_no).map(move |order_no| (order_no, user.clone()))
    });
    let grants: Vec<_> = grants.collect();
    let is_complete = grants.len() == orders.len();
    ensure(
        is_complete && grants.iter().all(|(order_no, user)| orders.get(order_no) == Some(user)),
        &format!("the grants of orders are {grants:?}, and the items {orders:?}"),
    )
}

struct Checker<'a> {
    attempts: &'a [Attempt],
    accounts: &'a BTreeMap<String, Account>,
    gaps: &'a VisibilityGaps,
}

impl<'a> Checker<'a> {
    /// Compares the records in a response with those in the table.
    fn check_attempt(&self, attempt: &Attempt) -> CheckResult {
        let Some(response) = attempt.response() else { return self.check_failure(attempt) };
        match &attempt.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                let (sort, record) = self.record(user, &text(response, "trans_no"))?;
                let has_tag = !matches!(attempt.call, Call::Grant { grant: Grant::Order(_), .. });
                let is_first = response["replayed"] == false;
                ensure(
                    attempt.may_write(user, sort) && attempt.matches(record),
                    "the response has another record",
                )?;
                ensure(
                    !has_tag || attempt.has_tagged(record) == is_first,
                    "`replayed` is true for its own write, or false for a replay",
                )?;
                check_record(record, response)
            }
            Call::Refund { is_callback: true, .. } => {
                let has_voided = self.accounts.values().any(|account| account.is_voided_by(&attempt.tag));
                ensure(has_voided == (response["outcome"] == "voided"), "the outcome is not its own")
            }
            Call::Refund { .. } => self.check_refund(attempt, response),
            Call::Timeline(user) => {
                let count = self.accounts.get(*user).map_or(0, |account| account.records.len());
                self.check_list(attempt, user, &response["records"], count)
            }
            Call::Generation(generation) => {
                let user = text(response, "user_uuid");
                let count = self.owners_of(generation).iter().filter(|owner| ***owner == user).count();
                self.check_list(attempt, &user, &response["charges"], count)
            }
            Call::Balance(_) | Call::Summary(_) => Ok(()),
        }
    }

    /// After quiescence only requests that depend on an index may fail, and only for a
    /// reason that the table confirms. Before, an index may lag.
    fn check_failure(&self, attempt: &Attempt) -> CheckResult {
        let (
            AttemptOutcome::Error { code, .. },
            Call::Generation(generation) | Call::Refund { user: None, generation, .. },
        ) = (&attempt.outcome, &attempt.call)
        else {
            return ensure(!attempt.is_quiescent, "it failed after quiescence")
                .and_then(|()| self.check_conflict(attempt));
        };
        let owners = self.owners_of(generation).into_iter().collect::<BTreeSet<_>>();
        match code.as_str() {
            "IdempotencyConflict" => ensure(owners.len() > 1, "the generation has one user"),
            "ChargeNotFound" => {
                ensure(!attempt.is_quiescent || owners.is_empty(), "the generation has charges")
            }
            _ => ensure(!attempt.is_quiescent, "it failed after quiescence"),
        }
    }

    /// A grant conflicts with a record of its identity, which may be another user's for an order.
    fn check_conflict(&self, attempt: &Attempt) -> CheckResult {
        let is_conflict =
            matches!(&attempt.outcome, AttemptOutcome::Error { code, .. } if code == "IdempotencyConflict");
        let Some(sort) = attempt.sort_key().filter(|_| is_conflict) else { return Ok(()) };
        ensure(
            self.accounts.values().any(|account| account.records.contains_key(&sort)),
            "it conflicts with no record",
        )
    }

    /// The records in the response to a refund are voided as it states, and its sums count
    /// what the refund itself voided.
    fn check_refund(&self, attempt: &Attempt, response: &Value) -> CheckResult {
        let user = text(response, "user_uuid");
        let (mut restored, mut expired) = (0, 0);
        let records = self.accounts.get(&user).into_iter().flat_map(|account| account.records.values());
        let own = records.filter(|record| record.is_voided_by(&attempt.tag));
        for record in own.clone() {
            for (pack, credits) in record.allocations() {
                let (_, grant) = self.record(&user, &pack)?;
                let voided_at = record.void.as_ref().map(|(at, _)| *at);
                let has_expired = grant.expired_at().is_some_and(|expiry| Some(expiry) <= voided_at);
                *(if has_expired { &mut expired } else { &mut restored }) += credits;
            }
        }
        let sums = [("credits", restored + expired), ("restored", restored), ("expired", expired)];
        ensure(
            sums.iter().all(|(name, sum)| response[name].as_i64() == Some(*sum)),
            "its sums differ from the charges that it voided",
        )?;
        ensure((own.count() > 0) == (response["outcome"] == "voided"), "the outcome is not its own")?;
        for returned in response["records"].as_array().into_iter().flatten() {
            let (sort, record) = self.record(&user, &text(returned, "trans_no"))?;
            ensure(attempt.addresses(sort), "the response has a charge that the refund does not address")?;
            check_record(record, returned)?;
        }
        Ok(())
    }

    /// A list shows records as the table has them, or as they were before they were voided.
    /// After quiescence it is complete.
    fn check_list(&self, attempt: &Attempt, user: &str, list: &Value, count: usize) -> CheckResult {
        let list: Vec<_> = list.as_array().into_iter().flatten().collect();
        ensure(list.is_sorted_by(|a, b| text(a, "trans_no") > text(b, "trans_no")), "not in order")?;
        ensure(!attempt.is_quiescent || list.len() == count.min(PAGE), "the list is not complete")?;
        list.into_iter().try_for_each(|returned| {
            let (_, record) = self.record(user, &text(returned, "trans_no"))?;
            let was_live = !attempt.is_quiescent && returned["is_voided"] == false;
            let record = Record { void: record.void.clone().filter(|_| !was_live), ..record.clone() };
            check_record(&record, returned)
        })
    }

    /// A user's records follow from one another, an attempt requested each of them, and one
    /// order explains all responses.
    fn check_account(&self, user: &str, account: &'a Account) -> CheckResult {
        let (events, states) = account.replay()?;
        account.check_wallet(&states[states.len() - 1])?;
        let mut operations = Vec::new();
        for (nth, (states, event)) in states.windows(2).zip(&events).enumerate() {
            operations.push(self.change(user, account, nth, event)?);
            let writer = self.attempt(operations[operations.len() - 1].tag)?;
            check_stamp(writer, &states[0], &states[1]).map_err(|problem| format!("{problem}: {event:?}"))?;
        }
        for attempt in self.attempts {
            let observation = observation::of_foreign_order(attempt, user, account);
            operations.extend(observation.map(|seen| attempt.operation(StateChange::None, seen)));
        }
        let relevant = |attempt: &&Attempt| attempt.has_certain_outcome() && attempt.concerns(user);
        for attempt in self.attempts.iter().filter(relevant) {
            let records = &account.records;
            let observations = [
                observation::of_response(attempt, records, self.gaps),
                observation::of_balance(attempt, records),
            ];
            let reads = observations.into_iter().flatten();
            operations.extend(reads.map(|observation| attempt.operation(StateChange::None, observation)));
        }
        linearizability::check(&operations, &states)
    }

    /// A change of the wallet, as an operation of the attempt that made it.
    fn change(
        &self,
        user: &str,
        account: &'a Account,
        nth: usize,
        event: &'a Event,
    ) -> Result<Operation<'a>, String> {
        match event {
            Event::RecordWritten(sort) => {
                let writer = self.writer(user, sort, &account.records[sort])?;
                Ok(writer.operation(StateChange::Nth(nth), Box::new(|_| true)))
            }
            Event::ChargesVoided(sorts) => {
                let reasons = sorts.iter().filter_map(|sort| account.records[sort].void.as_ref());
                let tags: BTreeSet<_> = reasons.map(|(_, reason)| reason).collect();
                let refund = self.attempt(tags.first().ok_or("voided without a reason")?)?;
                let is_confirmed = refund
                    .response()
                    .map_or(!refund.has_certain_outcome(), |response| response["outcome"] == "voided");
                ensure(tags.len() == 1 && is_confirmed, "the refund's response does not confirm the void")?;
                ensure(
                    sorts.iter().all(|sort| refund.may_write(user, sort)),
                    "the refund did not request this void",
                )?;
                Ok(refund.operation(StateChange::Nth(nth), Box::new(|_| true)))
            }
            Event::FenceWritten(sort) => {
                let refund = self.attempt(&account.fences[sort].1)?;
                // If the response to its fence was lost, the refund may go on and void a later charge.
                let may_have_written = refund.response().is_some() || !refund.has_certain_outcome();
                ensure(
                    refund.may_write(user, sort) && may_have_written,
                    "a fence of a refund that was rejected, or did not request it",
                )?;
                let observation = observation::of_fence(sort, refund, &account.records, self.gaps);
                Ok(refund.operation(StateChange::Nth(nth), observation))
            }
        }
    }

    /// The attempt that wrote a record: the one whose response confirms it, else one
    /// without a certain outcome.
    fn writer(&self, user: &str, sort: &str, record: &Record) -> Result<&'a Attempt, String> {
        let has_requested = |attempt: &&Attempt| {
            attempt.may_write(user, sort)
                && attempt.matches(record)
                && (attempt.has_tagged(record) || sort.starts_with("grant#order#"))
        };
        let is_confirmed = |attempt: &&Attempt| {
            attempt.response().is_some_and(|response| {
                response["replayed"] == false && text(response, "trans_no") == record.trans_no
            })
        };
        let mut requested = self.attempts.iter().filter(has_requested);
        let mut confirmed = requested.clone().filter(is_confirmed);
        let first = confirmed.next();
        ensure(confirmed.next().is_none(), "two responses confirm one write")?;
        let writer = first.or_else(|| requested.find(|attempt| !attempt.has_certain_outcome()));
        writer.ok_or_else(|| format!("no attempt wrote {sort}, or its attempt was rejected"))
    }

    fn attempt(&self, tag: &str) -> Result<&'a Attempt, String> {
        let attempt = self.attempts.iter().find(|attempt| attempt.tag == tag);
        attempt.ok_or_else(|| format!("there is no attempt {tag}"))
    }

    fn record(&self, user: &str, trans_no: &str) -> Result<(&'a String, &'a Record), String> {
        let mut records = self.accounts.get(user).into_iter().flat_map(|account| &account.records);
        let record = records.find(|(_, record)| record.trans_no == trans_no);
        record.ok_or_else(|| format!("{user} has no record {trans_no}"))
    }

    /// The user of each charge of a generation.
    fn owners_of(&self, generation: &str) -> Vec<&'a String> {
        let records = |account: &'a Account| account.records.values();
        let all = self
            .accounts
            .iter()
            .flat_map(|(user, account)| records(account).map(move |record| (user, record)));
        all.filter(|(_, record)| record.item["generation_uuid"] == generation).map(|(user, _)| user).collect()
    }
}

/// A change has the time of its writer's clock, or follows the last change by a millisecond.
fn check_stamp(writer: &Attempt, before: &State, after: &State) -> CheckResult {
    let (from, to) = writer.clock_range();
    let is_clock = after.at.is_some_and(|at| from <= at && (at <= to || !writer.has_certain_outcome()));
    ensure(is_clock || before.at.map(|at| at + 1) == after.at, "its time is not of the clock of its writer")
}

/// Compares a record in a response with the table's.
fn check_record(record: &Record, returned: &Value) -> CheckResult {
    let millis = |name: &str| returned[name].as_str().and_then(Timestamp::parse).map(Timestamp::millis);
    let is_equal = |name: &str| returned[name].is_null() || returned[name] == record.item[name];
    ensure(returned["credits"].as_i64() == Some(record.credits), "`credits` differ")?;
    ensure(["trans_type", "order_no", "generation_uuid"].into_iter().all(is_equal), "a field differs")?;
    ensure(millis("created_at").is_none_or(|at| at == record.created_at), "`created_at` differs")?;
    ensure(millis("expired_at") == record.expired_at(), "`expired_at` differs")?;
    if let Some(allocations) = returned["allocations"].as_array() {
        let allocations = allocations
            .iter()
            .map(|allocation| (text(allocation, "pack"), allocation["credits"].as_i64().unwrap_or_default()));
        ensure(allocations.eq(record.allocations()), "`allocations` differ")?;
    }
    let void = millis("voided_at").map(|at| (at, text(returned, "voided_reason")));
    let shows_void = !returned["is_voided"].is_null() || void.is_some();
    ensure(!shows_void || void == record.void, "the void differs")
}
