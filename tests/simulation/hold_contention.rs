//! Holds of many wallets that time out while callers settle, refund and charge.

use std::collections::BTreeMap;

use crate::{
    caller::{Attempt, AttemptOutcome},
    checker::check,
    contention::step,
    model::{History, accounts},
    plan::{Address, Call, Grant, Overage, Plan, Step},
    simulator::{RunResult, simulate},
};

const WALLETS: u64 = 200;
/// The interval of the sweep, in milliseconds.
const SWEEP_INTERVAL: u64 = 60_000;
/// The time limit of a sweep, in milliseconds.
const SWEEP_LIMIT: u64 = 60_000;
/// A hold is voided at most this many milliseconds late.
const DELAY_MAX: i64 = 90_000;

/// The calls of one wallet, by time in milliseconds: a grant, two held charges, and at the time
/// of the sweep a charge and one call that ends the hold of the first charge.
fn calls(wallet: u64) -> Vec<(u64, Call)> {
    let name = |prefix: &str| -> &'static str { Box::leak(format!("{prefix}{wallet}").into_boxed_str()) };
    let (user, raced, left) = (name("w"), name("raced"), name("left"));
    let hold_seconds = 30 + 7 * wallet % 80;
    let charge = |generation, hold_seconds| Call::Charge {
        user,
        generation: Some(generation),
        key: None,
        credits: 10,
        trans_type: "image_generation",
        outputs: None,
        hold_seconds,
    };
    let address = Address { user: Some(user), generation: raced, key: None, is_by_trans_no: false };
    let ending = match wallet % 3 {
        0 => Call::Settle { user, generation: raced, key: None, credits: 4, overage: Overage::Refuse },
        1 => Call::Refund { address, outputs: &[], is_callback: false },
        _ => Call::Success(address),
    };
    let charged_at = 1_000 + wallet;
    let swept_at = (charged_at + 1_000 * hold_seconds).next_multiple_of(SWEEP_INTERVAL);
    let grant = Call::Grant { user, grant: Grant::NewUser, credits: 100, lifetime: None };
    vec![
        (wallet, grant),
        (charged_at, charge(raced, Some(hold_seconds))),
        (charged_at, charge(left, Some(hold_seconds))),
        (swept_at + 37 * wallet % 500, charge(name("later"), None)),
        (swept_at + 31 * wallet % 500, ending),
    ]
}

/// All calls and the sweeps in order, each after a wait.
fn steps() -> Vec<Step> {
    let sweeps = (1..=4).map(|nth| (nth * SWEEP_INTERVAL, Call::Sweep));
    let mut calls: Vec<_> = (0..WALLETS).flat_map(calls).chain(sweeps).collect();
    calls.sort_by_key(|(at, _)| *at);
    let mut last = 0;
    let step_at = |(at, call): (u64, Call)| {
        let is_sweep = matches!(call, Call::Sweep);
        let call = step(at - last, call);
        last = at;
        if !is_sweep {
            return Step { attempts_max: 3, ..call };
        }
        // A sweep sends more requests than a call.
        let round_trips = (0..30).flat_map(|_| call.round_trips.clone()).collect();
        Step { round_trips, time_limit: SWEEP_LIMIT, ..call }
    };
    calls.into_iter().map(step_at).collect()
}

/// How many charges each call ended, by its name, and the delays of the sweep in order, in
/// milliseconds.
fn endings(run: &RunResult) -> (BTreeMap<&'static str, usize>, Vec<i64>) {
    let (mut endings, mut delays) = (BTreeMap::<_, usize>::new(), Vec::new());
    for (user, account) in accounts(&run.items) {
        let history = History::new(account).unwrap();
        for (sort, record) in &history.account.records {
            let Some(hold_until) = record.hold_until() else { continue };
            let state = &history.last().records[sort];
            let ending = match &record.void {
                Some(void) if void.reason == "hold timed out" => {
                    delays.push(void.at - hold_until);
                    "sweep"
                }
                Some(_) => "refund",
                None if state.credits == -4 => "settlement",
                None if state.is_final() => "success",
                None => panic!("{user}: {sort} is held"),
            };
            *endings.entry(ending).or_default() += 1;
        }
    }
    delays.sort_unstable();
    (endings, delays)
}

/// Whatever ends a charge first wins, no hold is late, and no credit is lost. The test prints
/// who won, and how late the sweep was.
#[test]
fn holds_of_two_hundred_wallets_time_out_while_callers_end_them() {
    let run = simulate(Plan { skews: vec![0], steps: steps() });
    check(&run).unwrap();
    let is_failed = |attempt: &&Attempt| {
        let AttemptOutcome::Error { code, .. } = &attempt.outcome else { return false };
        !attempt.is_quiescent && code != "GenerationVoided"
    };
    let failed: Vec<_> = run.attempts.iter().filter(is_failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let sweeps = run.attempts.iter().filter(|attempt| matches!(attempt.call, Call::Sweep));
    let longest = sweeps.map(|sweep| sweep.ended.millis - sweep.started.millis).max().unwrap();
    let (endings, delays) = endings(&run);
    let (median, last) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    eprintln!(
        "{WALLETS} wallets: charges ended by {endings:?}; the sweep took {longest} ms at most, and was \
         {median} ms late in the median, {last} ms at most"
    );
    assert_eq!(endings.values().sum::<usize>(), 2 * 200);
    assert!(endings.len() == 4 && last <= DELAY_MAX, "{endings:?}, {last} ms");
}
