//! Random arrival times, which do not depend on the responses.

use std::time::Duration;

use clap::ValueEnum;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The distribution of the gaps between arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    /// Random, as from independent callers
    Poisson,
    /// Equal gaps
    Constant,
}

/// Arrival times since the start.
pub(super) struct Arrivals {
    spacing: Spacing,
    rate: f64,
    seconds: f64,
    rng: StdRng,
}

impl Arrivals {
    /// `rate` arrivals a second.
    pub(super) fn new(spacing: Spacing, rate: u32, seed: u64) -> Arrivals {
        Arrivals { spacing, rate: rate.into(), seconds: 0.0, rng: StdRng::seed_from_u64(seed) }
    }
}

#[expect(clippy::float_arithmetic, reason = "times, never credits")]
impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gap = match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Poisson => -(1.0 - self.rng.random::<f64>()).ln(),
        };
        self.seconds += gap / self.rate;
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
    fn arrivals_of_a_seed_are_reproducible() {
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            assert_eq!(first(spacing, 7, 100), first(spacing, 7, 100), "{spacing:?}");
        }
        assert_ne!(first(Spacing::Poisson, 7, 100), first(Spacing::Poisson, 8, 100));
    }

    #[test]
    fn arrivals_have_the_requested_rate() {
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            let last = first(spacing, 7, 100_000).pop().unwrap();
            assert!((99..=101).contains(&last.as_secs()), "{spacing:?}: {last:?}");
        }
    }

    #[test]
    fn gaps_are_exponentially_distributed() {
        let arrivals = first(Spacing::Poisson, 7, 100_000);
        let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
        // 1 / e of the gaps exceed the mean.
        let long = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        assert!((36_000..=37_600).contains(&long), "{long}");
    }
}
