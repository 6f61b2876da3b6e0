use std::fmt::Write;

use crate::figures::{Figures, Spread};

/// The figures as a table of Markdown.
pub(crate) fn table(first: &str, figures: &[Figures]) -> String {
    let counted = figures.iter().any(|of| of.instructions.is_some());
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
    for of in figures {
        let size = |bytes: Option<u64>| bytes.map(|bytes| tenths(bytes, 1_000_000)).unwrap_or_default();
        let cells = [
            of.name.clone(),
            spread(of.first_next_micros, 1_000),
            spread(of.first_event_micros, 1_000),
            format!("**{}**", spread(of.first_answer_micros, 1_000)),
            tenths(of.peak_memory_kib.median, 1_024),
            size(of.bytes),
            size(of.zipped_bytes),
        ];
        let _ = write!(table, "| {} |", cells.join(" | "));
        if counted {
            let millions = |count: u64| tenths(count, 1_000_000);
            let cells =
                of.instructions.map(|of| [of.first_next, of.first_answer, of.later_event].map(millions));
            let _ = write!(table, " {} |", cells.unwrap_or_default().join(" | "));
        }
        table.push('\n');
    }
    table
}

/// How many times as much another takes, in the time to the first answer and in memory.
pub(crate) fn ratio(of: &Figures, other: &Figures) -> String {
    let time = tenths(other.first_answer_micros.median, of.first_answer_micros.median);
    let memory = tenths(other.peak_memory_kib.median, of.peak_memory_kib.median);
    format!(
        "{} takes {time} times as long as {} to its first answer, and {memory} times the memory.\n",
        other.name, of.name
    )
}

/// Bars of the median time to the first answer, as SVG: in the darker part the function
/// starts, in the lighter one it has its first event.
pub(crate) fn chart(figures: &[Figures]) -> String {
    const ROW: usize = 26;
    const LEFT: u64 = 330;
    const WIDE: u64 = 430;
    let longest = figures.iter().map(|of| of.first_answer_micros.median).max().unwrap_or(1).max(1);
    let height = figures.len() * ROW + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"860\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (row, of) in figures.iter().enumerate() {
        let y = row * ROW + 8;
        let wide = |micros: u64| micros * WIDE / longest;
        let (start, all) = (wide(of.first_next_micros.median), wide(of.first_answer_micros.median));
        let (name, text) = (escaped(&of.name), y + 13);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{all}\" height=\"18\" fill=\"#9ecae1\"/>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{start}\" height=\"18\" fill=\"#3182bd\"/>\n\
             <text x=\"{}\" y=\"{text}\">{} ms</text>",
            LEFT - 8,
            LEFT + all + 6,
            tenths(of.first_answer_micros.median, 1_000),
        );
    }
    svg + "</svg>\n"
}

fn spread(of: Spread, unit: u64) -> String {
    format!("{} ({}–{})", tenths(of.median, unit), tenths(of.low, unit), tenths(of.high, unit))
}

/// So many units, to a tenth.
fn tenths(figure: u64, unit: u64) -> String {
    let tenths = (10 * figure + unit / 2) / unit;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn escaped(text: &str) -> String {
    text.replace('`', "").replace('&', "&amp;").replace('<', "&lt;")
}
