//! Many callers of one wallet, on an engine where transactions that share an item conflict.

use crate::{
    caller::{Attempt, AttemptOutcome},
    checker::check,
    plan::{Call, Grant, Plan, RoundTrip, Step},
    simulator::simulate,
};

/// A read takes 4 ms. A transaction takes 12 ms, and locks its items for 8 of them.
const ROUND_TRIP: RoundTrip = RoundTrip {
    request_millis: 2,
    engine_millis: 8,
    visibility_delays: [0; 2],
    response_millis: 2,
    index_lag: 0,
    fault: None,
};
/// Time limit of an invocation, in milliseconds.
const LIMIT: u64 = 3_000;
/// No caller sends more requests than this with the times above.
const REQUESTS: usize = 200;

/// A step whose requests take the times above.
pub fn step(wait: u64, call: Call) -> Step {
    Step { time_limit: LIMIT, round_trips: vec![ROUND_TRIP; REQUESTS], ..Step::new(wait, call) }
}

/// Charges one wallet, each caller after a wait in milliseconds. Returns the number of
/// transactions, and the milliseconds from the first start to the last end.
fn charges(waits: &[u64]) -> (usize, i64) {
    let granted = Call::Grant { user: "u1", grant: Grant::NewUser, credits: 1_000, lifetime: None };
    let charge = Call::Charge {
        user: "u1",
        generation: None,
        key: None,
        credits: 1,
        trans_type: "image_generation",
        outputs: None,
        hold_seconds: None,
    };
    // The grant has ended long before the first charge starts.
    let steps = [step(0, granted), step(1_000, Call::Balance("u1"))].into_iter();
    let steps = steps.chain(waits.iter().map(|wait| step(*wait, charge.clone()))).collect();
    let run = simulate(Plan { skews: vec![0], steps });
    check(&run).unwrap();
    let is_charge = |attempt: &&Attempt| matches!(attempt.call, Call::Charge { .. });
    let charges: Vec<_> = run.attempts.iter().filter(is_charge).collect();
    let is_failure = |charge: &&&Attempt| !matches!(charge.outcome, AttemptOutcome::Success(_));
    let failures = charges.iter().filter(is_failure).count();
    assert_eq!(failures, 0, "of {}", waits.len());
    let started_at = charges.iter().map(|charge| charge.started.millis).min().unwrap();
    let ended_at = charges.iter().map(|charge| charge.ended.millis).max().unwrap();
    let transactions = run.log.lines.iter().filter(|line| line.contains(": TransactWriteItems")).count();
    (transactions - 1, ended_at - started_at)
}

/// Every charge succeeds within 3 s. The test prints the transactions that it takes: one
/// caller at a time, many at once, and many at uneven intervals.
#[test]
fn sixty_four_callers_of_one_wallet_never_get_busy() {
    let uneven = |mean: u64, callers: u64| (0..callers).map(|nth| nth * nth * 31 % (2 * mean + 1)).collect();
    for (callers, waits, transactions_max) in [
        ("64, one after the other", vec![16; 64], 64),
        ("8 at once", vec![0; 8], 30),
        ("64 at once", vec![0; 64], 450),
        ("100, one every 50 ms", uneven(50, 100), 150),
        ("100, one every 25 ms", uneven(25, 100), 200),
    ] {
        let count = waits.len();
        let (transactions, millis) = charges(&waits);
        let hundredths = 100 * transactions / count;
        let tenths = 10_000 * count / usize::try_from(millis).unwrap();
        eprintln!(
            "{callers}: {count} charges in {millis} ms, {}.{} a second, {}.{:02} transactions each",
            tenths / 10,
            tenths % 10,
            hundredths / 100,
            hundredths % 100
        );
        assert!(transactions <= transactions_max, "{callers}: {transactions} transactions");
    }
}
