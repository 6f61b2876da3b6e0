//! A simulation of the whole service: the functions' own handlers and the real SDK on the
//! embedded engine, with faults, races and clocks that a seed determines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod caller;
mod checker;
mod contention;
mod hold_contention;
mod item;
mod linearizability;
mod model;
mod network;
mod observation;
mod order;
mod plan;
mod record;
mod request;
mod response;
mod revocation;
mod seeds;
mod simulator;
mod state;

use std::{env, time::Duration};

use seeds::{RunOptions, plan_of, run_all};

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 200;
/// Most runs of a failing plan to make it smaller.
const SHRINKS_MAX: u32 = 2_000;

/// Environment variables change the run: `SCRIP_SEED` is the first seed, `SCRIP_SEEDS` the
/// number of seeds, `SCRIP_MINUTES` a time limit, by default with unlimited seeds, and
/// `SCRIP_SHRINKS` the most runs of a failing plan to make it smaller.
#[test]
fn seeds_pass_every_check() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let first = number("SCRIP_SEED").unwrap_or(0);
    let minutes = number("SCRIP_MINUTES");
    let count = number("SCRIP_SEEDS").unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS });
    let options = RunOptions {
        seeds: first..first.saturating_add(count),
        time_limit: minutes.map_or(Duration::MAX, |minutes| Duration::from_secs(60 * minutes)),
        shrinks_max: number("SCRIP_SHRINKS")
            .map_or(SHRINKS_MAX, |shrinks| u32::try_from(shrinks).expect("a u32")),
    };
    if let Err(failure) = run_all(&options) {
        panic!("{failure}");
    }
}

/// Requests, responses and faults are equal to the byte.
#[test]
fn seed_determines_the_whole_run() {
    for seed in 0..10 {
        let [first, second] = [seed; 2].map(|seed| simulator::simulate(plan_of(seed)));
        assert!(first.log.requests > 0);
        assert_eq!(first.log, second.log, "seed {seed}");
        assert_eq!(first.items, second.items, "seed {seed}");
    }
}
