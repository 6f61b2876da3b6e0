//! Checks a run: compares every response with the table at the end. Besides these it uses
//! only the times in which a committed item was not visible.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    caller::{Attempt, AttemptOutcome},
    item::{list, sum, text},
    linearizability::{self, StateChange},
    model::{Change, Event, History, accounts},
    observation,
    order::{Statements, check_orders, granted_order, orders, statement},
    plan::Call,
    record::Record,
    request::{is_adjustment_requested, is_void_requested},
    response::{check_created, check_shown, check_sums, millis},
    simulator::{RunResult, VisibilityGaps},
    state::{RecordState, State},
};

/// Records in a full page.
const PAGE: usize = 100;

/// An error describes what is wrong.
pub type CheckResult = Result<(), String>;

pub fn check(run: &RunResult) -> CheckResult {
    for attempt in &run.attempts {
        if let AttemptOutcome::Error { code, detail, .. } = &attempt.outcome {
            ensure(code != "Internal", detail).map_err(|problem| format!("{problem}: {attempt:?}"))?;
        }
    }
    let history = |(user, account)| match History::new(account) {
        Ok(history) => Ok((user, history)),
        Err(problem) => Err(format!("{user}: {problem}")),
    };
    let histories = accounts(&run.items).into_iter().map(history).collect::<Result<_, _>>()?;
    let checker = Checker { attempts: &run.attempts, histories: &histories, gaps: &run.gaps };
    for attempt in &run.attempts {
        checker.check_attempt(attempt).map_err(|problem| format!("{problem}: {attempt:?}"))?;
    }
    check_orders(&histories, &orders(&run.items), &run.attempts)?;
    for (user, history) in &histories {
        checker.check_history(user, history).map_err(|problem| format!("{user}: {problem}"))?;
    }
    ensure(run.discrepancies.is_empty(), &format!("an audit finds {:?}", run.discrepancies))
}

pub fn ensure(condition: bool, problem: &str) -> CheckResult {
    if condition { Ok(()) } else { Err(problem.to_owned()) }
}

struct Checker<'a> {
    attempts: &'a [Attempt],
    histories: &'a BTreeMap<String, History>,
    gaps: &'a VisibilityGaps,
}

impl<'a> Checker<'a> {
    /// Compares the records in a response with those in the table.
    fn check_attempt(&self, attempt: &Attempt) -> CheckResult {
        let Some(response) = attempt.response() else { return self.check_failure(attempt) };
        match &attempt.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                let (sort, record) = self.record(user, &text(response, "trans_no"))?;
                ensure(
                    attempt.creates(user, sort) && attempt.matches(record),
                    "the response has another record",
                )?;
                ensure(
                    attempt.has_tagged(record) == (response["replayed"] == false),
                    "`replayed` is true for its own write, or false for a replay",
                )?;
                check_created(record, response)
            }
            Call::Settle { user, .. } => self.check_settlement(attempt, user, response),
            Call::Revoke { .. } => self.check_revocation(attempt, response),
            Call::Refund { is_callback: true, .. } => {
                let is_own = self.has_changed(attempt, |change| !matches!(change, Change::FenceWritten(_)));
                ensure(is_own == (response["outcome"] == "voided"), "the outcome is not its own")
            }
            Call::Refund { .. } => self.check_refund(attempt, response),
            Call::Success(_) => self.check_success(attempt, response),
            Call::Sweep => self.check_sweep(attempt, response),
            Call::Timeline(user) => {
                let count = self.histories.get(*user).map_or(0, |history| history.account.records.len());
                self.check_list(attempt, user, &response["records"], count)
            }
            Call::Generation(generation) => {
                let user = text(response, "user_uuid");
                let count = self.owners_of(generation).iter().filter(|owner| ***owner == user).count();
                self.check_list(attempt, &user, &response["charges"], count)
            }
            Call::Summary(_) => check_sums(response),
            Call::Balance(_) => Ok(()),
        }
    }

    /// After quiescence only requests that depend on an index may fail, and only for a
    /// reason that the table confirms. Before, an index may lag.
    fn check_failure(&self, attempt: &Attempt) -> CheckResult {
        let by_generation = match &attempt.call {
            Call::Generation(generation) => Some(*generation),
            _ => attempt.address().filter(|address| address.user.is_none()).map(|address| address.generation),
        };
        let (AttemptOutcome::Error { code, .. }, Some(generation)) = (&attempt.outcome, by_generation) else {
            return ensure(!attempt.is_quiescent, "it failed after quiescence")
                .and_then(|()| self.check_conflict(attempt));
        };
        let owners = self.owners_of(generation).into_iter().collect::<BTreeSet<_>>();
        match code.as_str() {
            "IdempotencyConflict" => ensure(owners.len() > 1, "the generation has one user"),
            "ChargeNotFound" | "GenerationUnknown" => {
                ensure(!attempt.is_quiescent || owners.is_empty(), "the generation has charges")
            }
            _ => ensure(!attempt.is_quiescent, "it failed after quiescence"),
        }
    }

    /// A request conflicts with a record of its identity, which may be another user's for an
    /// order. A revocation meets no other rejection.
    fn check_conflict(&self, attempt: &Attempt) -> CheckResult {
        if let (AttemptOutcome::Error { code, .. }, Call::Revoke { .. }) = (&attempt.outcome, &attempt.call) {
            let is_known = ["Busy", "StoreUnavailable", "IdempotencyConflict"].contains(&code.as_str());
            ensure(is_known, "it was rejected")?;
        }
        let is_conflict =
            matches!(&attempt.outcome, AttemptOutcome::Error { code, .. } if code == "IdempotencyConflict");
        let Some(sort) = attempt.sort_key().filter(|_| is_conflict) else { return Ok(()) };
        ensure(
            self.histories.values().any(|history| history.account.records.contains_key(&sort)),
            "it conflicts with no record",
        )
    }

    /// The response to a settlement has the figures of the one settlement of the charge.
    fn check_settlement(&self, attempt: &Attempt, user: &str, response: &Value) -> CheckResult {
        let (sort, record) = self.record(user, &text(response, "trans_no"))?;
        ensure(attempt.sort_key().as_ref() == Some(sort), "the response has another charge")?;
        let settlement = self.histories[user].last().records[sort].settlement.as_ref();
        let settlement = settlement.ok_or("the charge is not settled")?;
        let cost = settlement.requested - settlement.uncovered;
        for (name, expected) in [
            ("estimated", -record.credits),
            ("credits", -cost),
            ("returned", settlement.returned.restored),
            ("expired", settlement.returned.expired),
            ("revoked", sum(&settlement.returned.fills)),
            ("repaid", settlement.returned.repaid),
            ("taken", settlement.taken),
            ("uncovered", settlement.uncovered),
            ("debt_added", settlement.debt_added),
        ] {
            let is_equal = response[name].as_i64().unwrap_or(0) == expected;
            ensure(is_equal, &format!("`{name}` differs from {settlement:?}"))?;
        }
        ensure(millis(response, "settled_at") == Some(settlement.at), "`settled_at` differs")?;
        let is_own = self.has_changed(attempt, |_| true);
        ensure(is_own == (response["outcome"] == "settled"), "the outcome is not its own")?;
        ensure(is_own == (response["replayed"] == false), "`replayed` differs from the outcome")
    }

    /// The response to a revocation has what it moved itself, and what the statements revoke.
    fn check_revocation(&self, attempt: &Attempt, response: &Value) -> CheckResult {
        let Some((order_no, statement)) = statement(attempt) else { return Ok(()) };
        let is_own = |by: &str| attempt.drawn.contains(by);
        let own = self.histories.values().flat_map(|history| history.changes_by(is_own));
        let (mut outcome, mut moved) = ("unchanged", [0; 3]);
        for (event, state) in own {
            let Change::RecordAdjusted(sort, nth) = &event.change else { continue };
            let kind = &self.history_with(sort)?.account.records[sort].adjustments[*nth].kind;
            outcome = if kind.revoked() > Some(0) { "revoked" } else { "restored" };
            moved = [kind.taken(), state.returned.restored, state.returned.expired];
        }
        let shown = ["taken", "restored", "expired"].map(|name| response[name].as_i64().unwrap_or(0));
        ensure(shown == moved, &format!("it moved {moved:?}"))?;
        if response["outcome"] == "kept" {
            return ensure(outcome == "unchanged", "it changed an order");
        }
        ensure(response["outcome"] == outcome, "the outcome is not its own")?;
        let statements = Statements::during(attempt, order_no, self.attempts).with(statement);
        let [revoked, granted] = ["revoked", "granted"].map(|name| response[name].as_i64().unwrap_or(0));
        ensure(statements.explain(revoked, granted), "the statements revoke another sum")
    }

    fn history_with(&self, sort: &str) -> Result<&'a History, String> {
        let mut histories = self.histories.values();
        histories.find(|history| history.account.records.contains_key(sort)).ok_or("no grant".to_owned())
    }

    /// The charges in the response to a refund are voided as it states, and its sums count
    /// what the refund itself returned.
    fn check_refund(&self, attempt: &Attempt, response: &Value) -> CheckResult {
        let user = text(response, "user_uuid");
        let history = self.histories.get(&user).ok_or("there is no such user")?;
        let is_own = |by: &str| attempt.drawn.contains(by);
        let own = || history.changes_by(is_own).map(|(_, state)| &state.returned);
        let (restored, expired) =
            (own().map(|own| own.restored).sum::<i64>(), own().map(|own| own.expired).sum::<i64>());
        let repaid = own().map(|own| own.repaid).sum();
        let revoked = own().map(|own| sum(&own.fills)).sum::<i64>();
        let sums = [
            ("credits", restored + expired + revoked),
            ("revoked", revoked),
            ("restored", restored),
            ("expired", expired),
            ("repaid", repaid),
        ];
        ensure(
            sums.iter().all(|(name, sum)| response[name].as_i64().unwrap_or(0) == *sum),
            &format!("its sums differ from what it returned, {sums:?}"),
        )?;
        let has_returned = self.has_changed(attempt, |change| !matches!(change, Change::FenceWritten(_)));
        ensure(has_returned == (response["outcome"] == "voided"), "the outcome is not its own")?;
        for returned in list(response, "records") {
            let (sort, record) = self.record(&user, &text(returned, "trans_no"))?;
            ensure(
                attempt.addresses(&user, sort, record),
                "the response has a charge that the refund does not address",
            )?;
            let shown = millis(returned, "voided_at").map(|at| (at, text(returned, "voided_reason")));
            let stored = record.void.as_ref().map(|void| (void.at, void.reason.clone()));
            ensure(shown.is_none() || shown == stored, "the void differs")?;
            let cost = history.last().records[sort].credits;
            ensure(shown.is_none() || returned["credits"].as_i64() == Some(cost), "`credits` differ")?;
        }
        Ok(())
    }

    /// A success settles charges itself, or finds them settled, or notes it on voided ones.
    fn check_success(&self, attempt: &Attempt, response: &Value) -> CheckResult {
        let is_own = self.has_changed(attempt, |_| true);
        ensure(is_own == (response["outcome"] == "settled"), "the outcome is not its own")?;
        let is_noted = self.histories.iter().any(|(user, History { account, .. })| {
            let mut records = account.records.iter();
            records.any(|(sort, record)| {
                attempt.addresses(user, sort, record) && !record.item["late_success_at"].is_null()
            })
        });
        ensure(response["outcome"] != "late_success" || is_noted, "the late success is not noted")
    }

    /// A sweep counts what it voided itself. The one after quiescence leaves no hold.
    fn check_sweep(&self, attempt: &Attempt, response: &Value) -> CheckResult {
        let is_own = |by: &str| attempt.drawn.contains(by);
        let voided: usize = self.histories.values().map(|history| history.changes_by(is_own).count()).sum();
        let expired = response["expired"].as_u64().and_then(|expired| usize::try_from(expired).ok());
        let is_counted =
            if attempt.has_certain_outcome() { expired == Some(voided) } else { expired <= Some(voided) };
        ensure(is_counted, &format!("it voided {voided}"))?;
        if !attempt.is_quiescent {
            return Ok(());
        }
        ensure(
            *response == json!({ "expired": voided, "failed": 0, "unfinished": false }),
            "it is incomplete",
        )?;
        let is_held = |(sort, record): (&String, &RecordState), history: &History| {
            history.account.records[sort].hold_until().is_some() && !record.is_voided && !record.is_final()
        };
        let mut histories = self.histories.values();
        let is_any_held =
            histories.any(|history| history.last().records.iter().any(|record| is_held(record, history)));
        ensure(!is_any_held, "a hold is left")
    }

    /// Whether it made such a change of any wallet besides new records.
    fn has_changed(&self, attempt: &Attempt, is_change: impl Fn(&Change) -> bool) -> bool {
        let is_own = |by: &str| attempt.drawn.contains(by);
        let mut changes = self.histories.values().flat_map(|history| history.changes_by(is_own));
        changes.any(|(event, _)| is_change(&event.change))
    }

    /// A list shows each record as it was at some moment. After quiescence it is complete and
    /// shows the last one.
    fn check_list(&self, attempt: &Attempt, user: &str, shown: &Value, count: usize) -> CheckResult {
        let shown: Vec<_> = shown.as_array().into_iter().flatten().collect();
        ensure(shown.is_sorted_by(|a, b| text(a, "trans_no") > text(b, "trans_no")), "not in order")?;
        ensure(!attempt.is_quiescent || shown.len() == count.min(PAGE), "the list is not complete")?;
        shown.into_iter().try_for_each(|shown| {
            let (sort, record) = self.record(user, &text(shown, "trans_no"))?;
            let history = &self.histories[user];
            let states =
                if attempt.is_quiescent { std::slice::from_ref(history.last()) } else { &history.states };
            let last = check_shown(record, &history.last().records[sort], shown);
            let mut records = states.iter().filter_map(|state| state.records.get(sort));
            if records.any(|state| check_shown(record, state, shown).is_ok()) { Ok(()) } else { last }
        })
    }

    /// An attempt requested each change of a user's wallet, and one order explains all
    /// responses.
    fn check_history(&self, user: &str, history: &'a History) -> CheckResult {
        let History { account, events, states } = history;
        let mut operations = Vec::new();
        let mut authors = Vec::new();
        for (nth, event) in events.iter().enumerate() {
            let described = |problem| format!("{problem}: {event:?}");
            let author = self.author(user, event, &states[nth]).map_err(described)?;
            let is_own = |(_, by): &(_, String)| author.drawn.contains(by);
            ensure(event.repayments.values().all(is_own), "another execution repaid").map_err(described)?;
            check_stamp(author, &states[nth], &states[nth + 1]).map_err(described)?;
            self.check_revoked(event, author, &authors, &states[nth + 1]).map_err(described)?;
            authors.push(author);
            let observation = match &event.change {
                Change::FenceWritten(sort) => observation::of_fence(sort, author, user, account, self.gaps),
                _ => Box::new(|_: &State| true),
            };
            operations.push(author.operation(StateChange::Nth(nth), observation));
        }
        for attempt in self.attempts {
            let observation = observation::of_foreign_order(attempt, user, account, self.gaps);
            operations.extend(observation.map(|seen| attempt.operation(StateChange::None, seen)));
        }
        let relevant = |attempt: &&Attempt| attempt.has_certain_outcome() && attempt.concerns(user);
        for attempt in self.attempts.iter().filter(relevant) {
            let observations = [
                observation::of_response(attempt, user, account, self.gaps),
                observation::of_balance(attempt, account),
                observation::of_revoked_wallet(attempt, user, account, self.gaps),
            ];
            let reads = observations.into_iter().flatten();
            operations.extend(reads.map(|observation| attempt.operation(StateChange::None, observation)));
        }
        self.check_late_successes(user, history)?;
        linearizability::check(&operations, states)
    }

    /// After a grant or a revocation, the statements about its order revoke so much. They include
    /// those of its own and of all revocations before.
    fn check_revoked(
        &self,
        event: &Event,
        author: &Attempt,
        earlier: &[&'a Attempt],
        state: &State,
    ) -> CheckResult {
        let (Change::RecordWritten(sort) | Change::RecordAdjusted(sort, _)) = &event.change else {
            return Ok(());
        };
        let Some(order_no) = granted_order(sort) else { return Ok(()) };
        let mut statements = Statements::during(author, order_no, self.attempts);
        for (of, earlier) in earlier.iter().filter_map(|earlier| statement(earlier)) {
            if of == order_no {
                statements = statements.with(earlier);
            }
        }
        if let Some((_, own)) = statement(author) {
            statements = statements.with(own).until(own);
        }
        let grant = &state.records[sort];
        ensure(
            statements.explain(grant.revoked, grant.credits),
            &format!("another sum is revoked: {grant:?}"),
        )
    }

    /// The attempt that made a change: it requested the change, and its response confirms it
    /// or is uncertain.
    fn author(&self, user: &str, event: &Event, before: &State) -> Result<&'a Attempt, String> {
        let account = &self.histories[user].account;
        if let Change::RecordWritten(sort) = &event.change {
            return self.writer(user, sort, &account.records[sort]);
        }
        let by = event.by.as_deref().unwrap_or_default();
        let author = self.attempts.iter().find(|attempt| attempt.drawn.contains(by));
        let author = author.ok_or("no attempt made this change")?;
        let is_confirmed = author.response().is_some_and(|response| match author.call {
            Call::Settle { .. } | Call::Success(_) => response["outcome"] == "settled",
            Call::Refund { .. } => {
                response["outcome"] == "voided" || matches!(event.change, Change::FenceWritten(_))
            }
            Call::Revoke { .. } => response["outcome"] == "revoked" || response["outcome"] == "restored",
            _ => true,
        });
        ensure(is_confirmed || !author.has_certain_outcome(), "the response does not confirm the change")?;
        let is_requested = match &event.change {
            Change::RecordWritten(_) => true,
            Change::RecordAdjusted(sort, nth) => {
                let record = &account.records[sort];
                is_adjustment_requested(author, user, (sort, record), &record.adjustments[*nth].kind, before)
            }
            Change::ChargesVoided(sorts) => sorts.iter().all(|sort| {
                is_void_requested(author, user, (sort, &account.records[sort]), before)
                    && (!matches!(author.call, Call::Sweep) || sorts.len() == 1)
            }),
            Change::FenceWritten(sort) => {
                let is_plain = matches!(&author.call, Call::Refund { address, outputs: [], .. }
                    if address.user.is_none_or(|owner| owner == user));
                is_plain
                    && author.values.trans_no.is_none()
                    && author.fence_key().as_ref() == Some(sort)
                    && account.fences[sort].reason == author.tag
            }
        };
        ensure(is_requested, &format!("{author:?} did not request the change"))?;
        Ok(author)
    }

    /// The attempt that wrote a record.
    fn writer(&self, user: &str, sort: &str, record: &Record) -> Result<&'a Attempt, String> {
        let has_requested = |attempt: &&Attempt| {
            attempt.creates(user, sort) && attempt.matches(record) && attempt.has_tagged(record)
        };
        let writer = self.attempts.iter().find(has_requested).ok_or("no attempt requested the record")?;
        let is_confirmed = writer.response().is_some_and(|response| {
            response["replayed"] == false && text(response, "trans_no") == record.trans_no
        });
        ensure(is_confirmed || !writer.has_certain_outcome(), "the response does not confirm the record")?;
        Ok(writer)
    }

    /// A success is noted on voided charges only, and by an attempt that reported one.
    fn check_late_successes(&self, user: &str, history: &History) -> CheckResult {
        for (sort, record) in &history.account.records {
            let Some(at) = record.item["late_success_at"].as_i64() else { continue };
            let is_author = |attempt: &&Attempt| {
                let (from, to) = attempt.clock_range();
                let is_time = from <= at && (at <= to || !attempt.has_certain_outcome());
                matches!(attempt.call, Call::Success(_)) && attempt.addresses(user, sort, record) && is_time
            };
            let is_reported = self.attempts.iter().any(|attempt| is_author(&attempt));
            ensure(record.void.is_some() && is_reported, &format!("a late success of {sort}"))?;
        }
        Ok(())
    }

    fn record(&self, user: &str, trans_no: &str) -> Result<(&'a String, &'a Record), String> {
        let mut records = self.histories.get(user).into_iter().flat_map(|history| &history.account.records);
        let record = records.find(|(_, record)| record.trans_no == trans_no);
        record.ok_or_else(|| format!("{user} has no record {trans_no}"))
    }

    /// The user of each charge of a generation.
    fn owners_of(&self, generation: &str) -> Vec<&'a String> {
        let records = |history: &'a History| history.account.records.values();
        let all = self
            .histories
            .iter()
            .flat_map(|(user, history)| records(history).map(move |record| (user, record)));
        all.filter(|(_, record)| record.item["generation_uuid"] == generation).map(|(user, _)| user).collect()
    }
}

/// A change has the time of its writer's clock, or follows the last change by a millisecond.
fn check_stamp(writer: &Attempt, before: &State, after: &State) -> CheckResult {
    let (from, to) = writer.clock_range();
    let is_clock = after.at.is_some_and(|at| from <= at && (at <= to || !writer.has_certain_outcome()));
    ensure(is_clock || before.at.map(|at| at + 1) == after.at, "its time is not of the clock of its writer")
}
