//! Measurements of all runs of a subject.

use std::{fs, io::Write, path::Path, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use serde::Serialize;

/// Measurements of one subject over all its runs.
#[derive(Serialize)]
pub(crate) struct Measurements {
    pub(crate) name: String,
    /// From the start of the process to its first request for an event.
    pub(crate) first_next_micros: Spread,
    /// From then to its first response.
    pub(crate) first_event_micros: Spread,
    /// From the start to the first response.
    pub(crate) first_answer_micros: Spread,
    pub(crate) peak_memory_kib: Spread,
    /// Size of the deployed file; absent if there are several.
    pub(crate) bytes: Option<u64>,
    pub(crate) zipped_bytes: Option<u64>,
    pub(crate) instructions: Option<Instructions>,
}

/// Instructions, by callgrind.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Instructions {
    pub(crate) first_next: u64,
    pub(crate) first_answer: u64,
    /// For one further event.
    pub(crate) later_event: u64,
}

/// Measurements of one run.
pub(crate) struct Run {
    pub(crate) first_next: Duration,
    pub(crate) first_answer: Duration,
    pub(crate) peak_memory_kib: u64,
}

/// Median and quartiles.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) low: u64,
    pub(crate) median: u64,
    pub(crate) high: u64,
}

impl Spread {
    fn from_values(values: impl Iterator<Item = u64>) -> Spread {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        let quartile = |nth: usize| values[(values.len() - 1) * nth / 4];
        Spread { low: quartile(1), median: quartile(2), high: quartile(3) }
    }
}

impl Measurements {
    pub(crate) fn from_runs(
        name: &str,
        runs: &[Run],
        file: Option<&Path>,
        instructions: Option<Instructions>,
    ) -> Measurements {
        let micros = |time: Duration| u64::try_from(time.as_micros()).expect("a short time");
        let times =
            |time: fn(&Run) -> Duration| Spread::from_values(runs.iter().map(|run| micros(time(run))));
        let content =
            file.map(|file| fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        Measurements {
            name: name.to_owned(),
            first_next_micros: times(|run| run.first_next),
            first_event_micros: times(|run| run.first_answer - run.first_next),
            first_answer_micros: times(|run| run.first_answer),
            peak_memory_kib: Spread::from_values(runs.iter().map(|run| run.peak_memory_kib)),
            bytes: content.as_ref().map(|content| content.len() as u64),
            zipped_bytes: content.as_deref().map(zipped),
            instructions,
        }
    }
}

/// Compressed size in a zip, without its headers of about 100 bytes.
fn zipped(content: &[u8]) -> u64 {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory").len() as u64
}
