//! The timed loads: rates and latencies, and the rate while records accumulate.

use std::{collections::BTreeMap, time::Duration};

use scrip_ops::cli_error::CliError;

use super::{
    closed_loop::{self, Outcome, PARTS, Stop},
    subject::{PACKS, Running, Subject},
};
use crate::report;

/// Credits of each pack, more than any run charges.
const PACK: i64 = 1_000_000_000;

/// Callers that charge wallets at random.
pub(super) struct Load {
    pub(super) callers: usize,
    pub(super) wallets: usize,
}

/// The loads for a time, in the order of the table.
pub(super) const LOADS: [Load; 3] =
    [Load { callers: 1, wallets: 100 }, Load { callers: 16, wallets: 100 }, Load { callers: 64, wallets: 1 }];
/// The load of the history.
const ACCUMULATION: Load = Load { callers: 16, wallets: 100 };

/// A load for a time.
pub(super) struct LoadRun {
    /// Charges written a second.
    pub(super) rate: f64,
    /// P50 and P99 of all answers, and the longest, in microseconds.
    pub(super) latency: [u64; 3],
    /// Number of answers without success by their code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Processor time of the server for each charge, in microseconds.
    pub(super) processor: f64,
    /// Peak memory in KiB. Of stacks only.
    pub(super) memory: Option<u64>,
}

/// Charges without a restart.
pub(super) struct History {
    /// Charges written a second in each part.
    pub(super) rates: Vec<f64>,
    /// Charges in a part.
    pub(super) part: u64,
}

impl Load {
    pub(super) fn name(&self) -> String {
        let plural = |number, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        format!("{}, {}", plural(self.callers, "caller"), plural(self.wallets, "wallet"))
    }

    /// Applies the load to a new server.
    ///
    /// # Errors
    /// If the server ends, or a balance is wrong.
    pub(super) async fn run(&self, subject: &Subject, seconds: u64) -> Result<LoadRun, CliError> {
        let running = subject.start().await?;
        let stop = Stop::Elapsed(Duration::from_secs(seconds));
        let (outcome, processor) = self.apply(&running, stop).await?;
        let written = report::float(outcome.written());
        let rate = written / outcome.elapsed.as_secs_f64();
        eprintln!("{}, {}: {rate:.0} charges a second", self.name(), subject.name());
        let latency = [0.5, 0.99, 1.0].map(|quantile| outcome.latency.value_at_quantile(quantile));
        let memory = match &running {
            Running::Stack(stack) => Some(stack.peak_memory_kib()?),
            Running::Postgres(_) => None,
        };
        let processor = processor.as_secs_f64() * 1e6 / written;
        Ok(LoadRun { rate, latency, errors: outcome.errors, processor, memory })
    }

    /// Returns the answers, whose balances are right, and the processor time of the server.
    async fn apply(&self, running: &Running, stop: Stop) -> Result<(Outcome, Duration), CliError> {
        let wallets = running.grant(self.wallets, PACK).await?;
        let callers = running.callers(self.callers).await?;
        let before = running.processor_time()?;
        let outcome = closed_loop::run(&callers, &wallets, stop).await?;
        let processor = running.processor_time()?.saturating_sub(before);
        let granted = PACK * i64::try_from(PACKS.len()).expect("a few");
        running.check_balances(&wallets, granted, &outcome).await?;
        if outcome.written() == 0 {
            return Err(CliError(format!("no charge was written; errors: {:?}", outcome.errors)));
        }
        Ok((outcome, processor))
    }
}

impl History {
    /// Writes charges until there are this many.
    ///
    /// # Errors
    /// If the server ends, or a balance is wrong.
    pub(super) async fn run(subject: &Subject, writes: u64) -> Result<History, CliError> {
        let running = subject.start().await?;
        let (outcome, _) = ACCUMULATION.apply(&running, Stop::Written(writes)).await?;
        let part = writes / PARTS;
        let mut previous = Duration::ZERO;
        let rate = |end: &Duration| {
            let time = end.saturating_sub(std::mem::replace(&mut previous, *end));
            report::float(part) / time.as_secs_f64()
        };
        let rates: Vec<_> = outcome.parts.iter().take(PARTS.try_into().expect("a few")).map(rate).collect();
        let [first, last] = [rates[0], rates[rates.len() - 1]];
        eprintln!("history, {}: {first:.0}, at the end {last:.0} charges a second", subject.name());
        Ok(History { rates, part })
    }
}
