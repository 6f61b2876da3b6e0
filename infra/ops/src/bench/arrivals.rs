//! When calls arrive: drawn beforehand, whatever becomes of those before.

use std::time::Duration;

use clap::ValueEnum;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What is between two arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    /// Chance, as with callers who know nothing of each other
    Poisson,
    /// The same time always
    Constant,
}

/// The moments at which calls arrive, from the beginning.
pub(super) struct Arrivals {
    spacing: Spacing,
    rate: f64,
    seconds: f64,
    chance: StdRng,
}

impl Arrivals {
    /// So many a second.
    pub(super) fn new(spacing: Spacing, rate: u32, seed: u64) -> Arrivals {
        Arrivals { spacing, rate: rate.into(), seconds: 0.0, chance: StdRng::seed_from_u64(seed) }
    }
}

#[expect(clippy::float_arithmetic, reason = "moments, never credits")]
impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gaps = match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Poisson => -(1.0 - self.chance.random::<f64>()).ln(),
        };
        self.seconds += gaps / self.rate;
        Some(Duration::from_secs_f64(self.seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(spacing: Spacing, seed: u64, count: usize) -> Vec<Duration> {
        Arrivals::new(spacing, 1_000, seed).take(count).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            assert_eq!(first(spacing, 7, 100), first(spacing, 7, 100), "{spacing:?}");
        }
        assert_ne!(first(Spacing::Poisson, 7, 100), first(Spacing::Poisson, 8, 100));
    }

    #[test]
    fn as_many_arrive_as_were_asked_for() {
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            let last = first(spacing, 7, 100_000).pop().unwrap();
            assert!((99..=101).contains(&last.as_secs()), "{spacing:?}: {last:?}");
        }
    }

    #[test]
    fn chance_spreads_gaps_as_poisson_said() {
        let arrivals = first(Spacing::Poisson, 7, 100_000);
        let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
        // One in e is longer than the mean.
        let long = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        assert!((36_000..=37_600).contains(&long), "{long}");
    }
}
