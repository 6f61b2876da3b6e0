//! Whether a run was right, by what its callers asked and were told, and by the
//! table at the end. The judge sees nothing else, but when a committed item was not visible.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::Timestamp;
use serde_json::Value;

use crate::{
    caller::{Attempt, End},
    history::{self, Deed, Op},
    model::{Account, Event, Record, State, accounts, text},
    plan::{Call, Grant},
    sight,
    world::{Gaps, Run},
};

/// How many records a page holds.
const PAGE: usize = 100;

/// What is wrong, if anything, in words.
pub type Verdict = Result<(), String>;

/// Judges a run.
pub fn judge(run: &Run) -> Verdict {
    let accounts = accounts(&run.items);
    let case = Case { attempts: &run.attempts, accounts: &accounts, gaps: &run.gaps };
    for attempt in &run.attempts {
        let inside = match &attempt.end {
            End::Refused { code, detail, .. } if code == "Internal" => Err(detail.clone()),
            _ => Ok(()),
        };
        let judged = inside.and_then(|()| case.check_told(attempt));
        judged.map_err(|why| format!("{why}: {attempt:?}"))?;
    }
    for (user, account) in &accounts {
        case.check_account(user, account).map_err(|why| format!("{user}: {why}"))?;
    }
    Ok(())
}

fn hold(holds: bool, else_say: &str) -> Verdict {
    if holds { Ok(()) } else { Err(else_say.to_owned()) }
}

struct Case<'a> {
    attempts: &'a [Attempt],
    accounts: &'a BTreeMap<String, Account>,
    gaps: &'a Gaps,
}

impl<'a> Case<'a> {
    /// Whether what was told of records is what the table holds.
    fn check_told(&self, attempt: &Attempt) -> Verdict {
        let Some(answer) = attempt.answer() else { return self.check_refusal(attempt) };
        match &attempt.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                let (sort, record) = self.record(user, &text(answer, "trans_no"))?;
                let bears_a_mark = !matches!(attempt.call, Call::Grant { grant: Grant::Order(_), .. });
                let is_first = answer["replayed"] == false;
                hold(
                    attempt.is_for(user, sort) && attempt.asks_the_same(record),
                    "answered with another record",
                )?;
                hold(
                    !bears_a_mark || attempt.is_marked(record) == is_first,
                    "its own write is told as a replay, or a replay as its own",
                )?;
                is_told(record, answer)
            }
            Call::Refund { is_callback: true, .. } => {
                let has_voided = self.accounts.values().any(|account| account.is_voided_by(&attempt.tag));
                hold(has_voided == (answer["outcome"] == "voided"), "the outcome is not its own")
            }
            Call::Refund { .. } => self.check_refund(attempt, answer),
            Call::Timeline(user) => {
                let count = self.accounts.get(*user).map_or(0, |account| account.records.len());
                self.check_list(attempt, user, &answer["records"], count)
            }
            Call::Generation(generation) => {
                let user = text(answer, "user_uuid");
                let count = self.users_of(generation).iter().filter(|of| ***of == user).count();
                self.check_list(attempt, &user, &answer["charges"], count)
            }
            Call::Balance(_) | Call::Summary(_) => Ok(()),
        }
    }

    /// What is refused by an index may be a while behind, but not when all has
    /// been quiet for long. Nothing else is refused then.
    fn check_refusal(&self, attempt: &Attempt) -> Verdict {
        let (
            End::Refused { code, .. },
            Call::Generation(generation) | Call::Refund { user: None, generation, .. },
        ) = (&attempt.end, &attempt.call)
        else {
            return hold(!attempt.is_quiet, "not answered though all was quiet");
        };
        let users = self.users_of(generation).into_iter().collect::<BTreeSet<_>>();
        match code.as_str() {
            "IdempotencyConflict" => hold(users.len() > 1, "there is one user in this generation"),
            "ChargeNotFound" => hold(!attempt.is_quiet || users.is_empty(), "there are such charges"),
            _ => hold(!attempt.is_quiet, "not answered though all was quiet"),
        }
    }

    /// What it names is voided as it says, and its sum is of what itself voided.
    fn check_refund(&self, attempt: &Attempt, answer: &Value) -> Verdict {
        let user = text(answer, "user_uuid");
        let mut given_back = [0, 0];
        let records = self.accounts.get(&user).into_iter().flat_map(|account| account.records.values());
        let own = records.filter(|record| record.is_voided_by(&attempt.tag));
        for record in own.clone() {
            for (pack, credits) in record.allocations() {
                let (_, grant) = self.record(&user, &pack)?;
                let voided_at = record.void.as_ref().map(|(at, _)| *at);
                given_back[usize::from(grant.expired_at().is_some_and(|end| Some(end) <= voided_at))] +=
                    credits;
            }
        }
        let [restored, expired] = given_back;
        let sums = [("credits", restored + expired), ("restored", restored), ("expired", expired)];
        hold(
            sums.iter().all(|(name, sum)| answer[name].as_i64() == Some(*sum)),
            "it gave back something else",
        )?;
        hold((own.count() > 0) == (answer["outcome"] == "voided"), "the outcome is not its own")?;
        for told in answer["records"].as_array().into_iter().flatten() {
            let (sort, record) = self.record(&user, &text(told, "trans_no"))?;
            hold(attempt.addresses(sort), "it names a charge that it does not address")?;
            is_told(record, told)?;
        }
        Ok(())
    }

    /// What a list shows is so, or was before it was voided. When all is quiet
    /// it is all there is.
    fn check_list(&self, attempt: &Attempt, user: &str, told: &Value, count: usize) -> Verdict {
        let told: Vec<_> = told.as_array().into_iter().flatten().collect();
        hold(told.is_sorted_by(|a, b| text(a, "trans_no") > text(b, "trans_no")), "not in order")?;
        hold(!attempt.is_quiet || told.len() == count.min(PAGE), "not all there is")?;
        told.into_iter().try_for_each(|told| {
            let (_, record) = self.record(user, &text(told, "trans_no"))?;
            let was_live = !attempt.is_quiet && told["is_voided"] == false;
            let record = Record { void: record.void.clone().filter(|_| !was_live), ..record.clone() };
            is_told(&record, told)
        })
    }

    /// Whether a user's records follow from one another, somebody asked for each
    /// of them, and all that was told fits in.
    fn check_account(&self, user: &str, account: &'a Account) -> Verdict {
        let (events, states) = account.story()?;
        account.check_wallet(&states[states.len() - 1])?;
        let mut ops = Vec::new();
        for (nth, (states, event)) in states.windows(2).zip(&events).enumerate() {
            ops.push(self.change(user, account, nth, event)?);
            let maker = self.attempt(ops[ops.len() - 1].tag)?;
            check_stamp(maker, &states[0], &states[1]).map_err(|why| format!("{why}: {event:?}"))?;
        }
        let told = self.attempts.iter().filter(|attempt| attempt.is_known() && attempt.is_about(user));
        for attempt in told {
            let records = &account.records;
            let sights = [sight::of(attempt, records, self.gaps), sight::of_balance(attempt, records)];
            ops.extend(sights.into_iter().flatten().map(|sight| attempt.op(Deed::Look, sight)));
        }
        history::check(&ops, &states)
    }

    /// A change of the wallet, as the deed of who asked for it.
    fn change(
        &self,
        user: &str,
        account: &'a Account,
        nth: usize,
        event: &'a Event,
    ) -> Result<Op<'a>, String> {
        match event {
            Event::Made(sort) => {
                let maker = self.maker(user, sort, &account.records[sort])?;
                Ok(maker.op(Deed::Change(nth), Box::new(|_| true)))
            }
            Event::Voided(sorts) => {
                let reasons = sorts.iter().filter_map(|sort| account.records[sort].void.as_ref());
                let tags: BTreeSet<_> = reasons.map(|(_, reason)| reason).collect();
                let voider = self.attempt(tags.first().ok_or("voided without a reason")?)?;
                let is_told =
                    voider.answer().map_or(!voider.is_known(), |answer| answer["outcome"] == "voided");
                hold(tags.len() == 1 && is_told, "a void that its maker was not told of")?;
                hold(sorts.iter().all(|sort| voider.is_for(user, sort)), "a void that nobody asked for")?;
                Ok(voider.op(Deed::Change(nth), Box::new(|_| true)))
            }
            Event::Fenced(sort) => {
                let maker = self.attempt(&account.fences[sort].1)?;
                // It may have gone on to void what came after its fence, if that answer was lost.
                let is_told = maker.answer().is_some() || !maker.is_known();
                hold(maker.is_for(user, sort) && is_told, "a fence by one who was refused, or did not ask")?;
                let seen = sight::under_a_fence(sort, maker, &account.records, self.gaps);
                Ok(maker.op(Deed::Change(nth), seen))
            }
        }
    }

    /// Who made a record: who was told so, or one of those who were told nothing.
    fn maker(&self, user: &str, sort: &str, record: &Record) -> Result<&'a Attempt, String> {
        let asked = |attempt: &&Attempt| {
            attempt.is_for(user, sort)
                && attempt.asks_the_same(record)
                && (attempt.is_marked(record) || sort.starts_with("grant#order#"))
        };
        let was_told = |attempt: &&Attempt| {
            attempt.answer().is_some_and(|answer| {
                answer["replayed"] == false && text(answer, "trans_no") == record.trans_no
            })
        };
        let mut asked = self.attempts.iter().filter(asked);
        let mut told = asked.clone().filter(was_told);
        let first = told.next();
        hold(told.next().is_none(), "made once and told twice")?;
        let maker = first.or_else(|| asked.find(|attempt| !attempt.is_known()));
        maker.ok_or_else(|| format!("{sort} was made by nobody, or by one who was refused"))
    }

    fn attempt(&self, tag: &str) -> Result<&'a Attempt, String> {
        let found = self.attempts.iter().find(|attempt| attempt.tag == tag);
        found.ok_or_else(|| format!("{tag} did not happen"))
    }

    fn record(&self, user: &str, trans_no: &str) -> Result<(&'a String, &'a Record), String> {
        let mut records = self.accounts.get(user).into_iter().flat_map(|account| &account.records);
        let found = records.find(|(_, record)| record.trans_no == trans_no);
        found.ok_or_else(|| format!("{trans_no} of {user} is not there"))
    }

    /// Whose the charges of a generation are, charge by charge.
    fn users_of(&self, generation: &str) -> Vec<&'a String> {
        let records = |account: &'a Account| account.records.values();
        let all = self
            .accounts
            .iter()
            .flat_map(|(user, account)| records(account).map(move |record| (user, record)));
        all.filter(|(_, record)| record.item["generation_uuid"] == generation).map(|(user, _)| user).collect()
    }
}

/// A change is stamped with a clock's time, or just after the change before it.
fn check_stamp(maker: &Attempt, before: &State, after: &State) -> Verdict {
    let (from, to) = maker.clocks();
    let is_clock = after.at.is_some_and(|at| from <= at && (at <= to || !maker.is_known()));
    hold(is_clock || before.at.map(|at| at + 1) == after.at, "stamped with no time of its maker")
}

/// Whether an answer tells a record as the table holds it.
fn is_told(record: &Record, told: &Value) -> Verdict {
    let moment = |name: &str| told[name].as_str().and_then(Timestamp::parse).map(Timestamp::millis);
    let same = |name: &str| told[name].is_null() || told[name] == record.item[name];
    hold(told["credits"].as_i64() == Some(record.credits), "told other credits")?;
    hold(["trans_type", "order_no", "generation_uuid"].into_iter().all(same), "told other fields")?;
    hold(moment("created_at").is_none_or(|at| at == record.made_at), "told another time")?;
    hold(moment("expired_at") == record.expired_at(), "told another expiry")?;
    if let Some(parts) = told["allocations"].as_array() {
        let parts =
            parts.iter().map(|part| (text(part, "pack"), part["credits"].as_i64().unwrap_or_default()));
        hold(parts.eq(record.allocations()), "told other allocations")?;
    }
    let void = moment("voided_at").map(|at| (at, text(told, "voided_reason")));
    let tells_void = !told["is_voided"].is_null() || void.is_some();
    hold(!tells_void || void == record.void, "told another void")
}
