use std::{fs, io::Write, path::Path, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use serde::Serialize;

/// What was measured of one subject, from all its runs.
#[derive(Serialize)]
pub(crate) struct Figures {
    pub(crate) name: String,
    /// From the start of the process until it asked for its first event.
    pub(crate) first_next_micros: Spread,
    /// From then until its first answer was there.
    pub(crate) first_event_micros: Spread,
    /// Both.
    pub(crate) first_answer_micros: Spread,
    pub(crate) peak_memory_kib: Spread,
    /// What is deployed, where that is one file.
    pub(crate) bytes: Option<u64>,
    pub(crate) zipped_bytes: Option<u64>,
    pub(crate) instructions: Option<Instructions>,
}

/// What callgrind counted.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Instructions {
    pub(crate) first_next: u64,
    pub(crate) first_answer: u64,
    /// Of one event that comes later.
    pub(crate) later_event: u64,
}

/// The figures of one run.
pub(crate) struct Run {
    pub(crate) first_next: Duration,
    pub(crate) first_answer: Duration,
    pub(crate) peak_memory_kib: u64,
}

/// The middle one of the figures, and those a quarter from either end.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) low: u64,
    pub(crate) median: u64,
    pub(crate) high: u64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = u64>) -> Spread {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_unstable();
        let at = |quarters: usize| figures[(figures.len() - 1) * quarters / 4];
        Spread { low: at(1), median: at(2), high: at(3) }
    }
}

impl Figures {
    pub(crate) fn of(
        name: &str,
        runs: &[Run],
        file: Option<&Path>,
        instructions: Option<Instructions>,
    ) -> Figures {
        let micros = |time: Duration| u64::try_from(time.as_micros()).expect("no ages");
        let times = |time: fn(&Run) -> Duration| Spread::of(runs.iter().map(|run| micros(time(run))));
        let content =
            file.map(|file| fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display())));
        Figures {
            name: name.to_owned(),
            first_next_micros: times(|run| run.first_next),
            first_event_micros: times(|run| run.first_answer - run.first_next),
            first_answer_micros: times(|run| run.first_answer),
            peak_memory_kib: Spread::of(runs.iter().map(|run| run.peak_memory_kib)),
            bytes: content.as_ref().map(|content| content.len() as u64),
            zipped_bytes: content.as_deref().map(zipped),
            instructions,
        }
    }
}

/// How large a file is in a zip, but for the hundred bytes around it.
fn zipped(content: &[u8]) -> u64 {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory").len() as u64
}
