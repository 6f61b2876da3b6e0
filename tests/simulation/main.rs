//! A simulation of the whole: the functions' own handlers and the real SDK on
//! the embedded engine, under faults, races and a clock, all drawn by a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]
#![allow(unreachable_pub, reason = "modules of one test")]

mod caller;
mod contention;
mod history;
mod judge;
mod line;
mod model;
mod plan;
mod seeds;
mod sight;
mod world;

use std::{env, time::Duration};

use seeds::{Errand, plan_of, run_all};

/// How many seeds an ordinary run of the tests takes.
const SEEDS: u64 = 300;
/// How often a failing plan is run, at most, to make it smaller.
const SHRINKS: u32 = 2_000;

/// What the environment says, where it says something: `SCRIP_SEED` is the first
/// one, `SCRIP_SEEDS` how many, `SCRIP_MINUTES` for how long, without an end to
/// the seeds, and `SCRIP_SHRINKS` how much is done to make a failing plan smaller.
#[test]
fn no_seed_loses_anything() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let from = number("SCRIP_SEED").unwrap_or(0);
    let minutes = number("SCRIP_MINUTES");
    let count = number("SCRIP_SEEDS").unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS });
    let errand = Errand {
        seeds: from..from.saturating_add(count),
        limit: minutes.map_or(Duration::MAX, |minutes| Duration::from_secs(60 * minutes)),
        shrinks: number("SCRIP_SHRINKS").map_or(SHRINKS, |shrinks| u32::try_from(shrinks).expect("fewer")),
    };
    if let Err(failure) = run_all(&errand) {
        panic!("{failure}");
    }
}

/// One seed gives one run: every request, every answer and every fault, to the byte.
#[test]
fn a_seed_gives_one_run() {
    for seed in 0..10 {
        let [one, other] = [seed; 2].map(|seed| world::run(plan_of(seed)));
        assert!(one.log.requests > 0);
        assert_eq!(one.log, other.log, "seed {seed}");
        assert_eq!(one.items, other.items, "seed {seed}");
    }
}
