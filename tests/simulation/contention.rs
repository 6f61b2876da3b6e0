//! Many callers at one wallet, on an engine on which transactions that overlap
//! on an item conflict.

use crate::{
    caller::{Attempt, End},
    judge::judge,
    plan::{Call, Grant, Plan, Step, Way},
    world::run,
};

/// A read takes 4 ms, and a transaction 12, for 8 of which it is at its items.
const WAY: Way = Way { there: 2, work: 8, visible: [0; 2], back: 2, lag: 0, fault: None };
/// How long each caller has, in milliseconds.
const LIMIT: u64 = 3_000;
/// Most callers send no more requests than this.
const REQUESTS: usize = 200;

fn step(wait: u64, call: Call) -> Step {
    Step { limit: LIMIT, ways: vec![WAY; REQUESTS], ..Step::new(wait, call) }
}

/// Charges one wallet, each caller so many milliseconds after the one before;
/// says how many transactions that took, and how many milliseconds.
fn charges(waits: &[u64]) -> (usize, i64) {
    let granted = Call::Grant { user: "u1", grant: Grant::NewUser, credits: 1_000, lasts: None };
    let charge =
        Call::Charge { user: "u1", generation: None, key: None, credits: 1, trans_type: "image_generation" };
    // The grant is long over when the first one comes.
    let steps = [step(0, granted), step(1_000, Call::Balance("u1"))].into_iter();
    let steps = steps.chain(waits.iter().map(|wait| step(*wait, charge.clone()))).collect();
    let ended = run(Plan { skews: vec![0], steps });
    judge(&ended).unwrap();
    let is_charge = |attempt: &&Attempt| matches!(attempt.call, Call::Charge { .. });
    let charges: Vec<_> = ended.attempts.iter().filter(is_charge).collect();
    let unanswered = charges.iter().filter(|charge| !matches!(charge.end, End::Answered(_))).count();
    assert_eq!(unanswered, 0, "of {}", waits.len());
    let began = charges.iter().map(|charge| charge.began.millis).min().unwrap();
    let ended_at = charges.iter().map(|charge| charge.ended.millis).max().unwrap();
    let transactions = ended.log.lines.iter().filter(|line| line.contains(": TransactWriteItems")).count();
    (transactions - 1, ended_at - began)
}

/// Every caller is charged within 3 s, and what it costs is told: alone, then
/// many at once, then many that come as they like.
#[test]
fn sixty_four_callers_at_one_wallet_are_never_busy() {
    let uneven = |mean: u64, callers: u64| (0..callers).map(|nth| nth * nth * 31 % (2 * mean + 1)).collect();
    for (callers, waits, transactions_most) in [
        ("64, one after the other", vec![16; 64], 64),
        ("8 at once", vec![0; 8], 30),
        ("64 at once", vec![0; 64], 450),
        ("100, one every 50 ms", uneven(50, 100), 150),
        ("100, one every 25 ms", uneven(25, 100), 200),
    ] {
        let charged = waits.len();
        let (transactions, millis) = charges(&waits);
        let hundredths = 100 * transactions / charged;
        let tenths = 10_000 * charged / usize::try_from(millis).unwrap();
        eprintln!(
            "{callers}: {charged} charges in {millis} ms, {}.{} a second, {}.{:02} transactions each",
            tenths / 10,
            tenths % 10,
            hundredths / 100,
            hundredths % 100
        );
        assert!(transactions <= transactions_most, "{callers}: {transactions} transactions");
    }
}
