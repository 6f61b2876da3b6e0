//! Tables and charts of the measurements.

use std::fmt::Write;

use crate::measurements::{Measurements, Spread};

/// A table in Markdown.
pub(crate) fn table(first: &str, measurements: &[Measurements]) -> String {
    let counted = measurements.iter().any(|subject| subject.instructions.is_some());
    let mut heads = vec![
        first,
        "to the first `next`, ms",
        "from there to the answer, ms",
        "to the first answer, ms",
        "peak memory, MiB",
        "file, MB",
        "zipped, MB",
    ];
    if counted {
        heads.extend([
            "to the first `next`, M instructions",
            "to the first answer, M instructions",
            "a later event, M instructions",
        ]);
    }
    let mut table = format!("| {} |\n|{}\n", heads.join(" | "), " --- |".repeat(heads.len()));
    for subject in measurements {
        let size = |bytes: Option<u64>| bytes.map(|bytes| tenths(bytes, 1_000_000)).unwrap_or_default();
        let cells = [
            subject.name.clone(),
            spread(subject.first_next_micros, 1_000),
            spread(subject.first_event_micros, 1_000),
            format!("**{}**", spread(subject.first_answer_micros, 1_000)),
            tenths(subject.peak_memory_kib.median, 1_024),
            size(subject.bytes),
            size(subject.zipped_bytes),
        ];
        let _ = write!(table, "| {} |", cells.join(" | "));
        if counted {
            let millions = |count: u64| tenths(count, 1_000_000);
            let cells = subject
                .instructions
                .map(|count| [count.first_next, count.first_answer, count.later_event].map(millions));
            let _ = write!(table, " {} |", cells.unwrap_or_default().join(" | "));
        }
        table.push('\n');
    }
    table
}

/// Compares another subject's time to the first response and memory.
pub(crate) fn ratio(subject: &Measurements, other: &Measurements) -> String {
    let time = tenths(other.first_answer_micros.median, subject.first_answer_micros.median);
    let memory = tenths(other.peak_memory_kib.median, subject.peak_memory_kib.median);
    format!(
        "{} takes {time} times as long as {} to its first answer, and {memory} times the memory.\n",
        other.name, subject.name
    )
}

/// A bar chart in SVG of the median time to the first response: the darker part is the start,
/// the lighter one the first event.
pub(crate) fn chart(measurements: &[Measurements]) -> String {
    const ROW: usize = 26;
    const LEFT: u64 = 330;
    const WIDE: u64 = 430;
    let longest =
        measurements.iter().map(|subject| subject.first_answer_micros.median).max().unwrap_or(1).max(1);
    let height = measurements.len() * ROW + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"860\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (row, subject) in measurements.iter().enumerate() {
        let y = row * ROW + 8;
        let wide = |micros: u64| micros * WIDE / longest;
        let (start, all) = (wide(subject.first_next_micros.median), wide(subject.first_answer_micros.median));
        let (name, text) = (escaped(&subject.name), y + 13);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{all}\" height=\"18\" fill=\"#9ecae1\"/>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{start}\" height=\"18\" fill=\"#3182bd\"/>\n\
             <text x=\"{}\" y=\"{text}\">{} ms</text>",
            LEFT - 8,
            LEFT + all + 6,
            tenths(subject.first_answer_micros.median, 1_000),
        );
    }
    svg + "</svg>\n"
}

fn spread(spread: Spread, unit: u64) -> String {
    format!("{} ({}–{})", tenths(spread.median, unit), tenths(spread.low, unit), tenths(spread.high, unit))
}

/// A value in units, to one decimal place.
fn tenths(value: u64, unit: u64) -> String {
    let tenths = (10 * value + unit / 2) / unit;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn escaped(text: &str) -> String {
    text.replace('`', "").replace('&', "&amp;").replace('<', "&lt;")
}
