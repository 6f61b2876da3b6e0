//! Writes tables and plots into docs/performance.md, between marks.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use scrip_ops::{bench::plot::Plot, cli_error::CliError};

/// A table of Markdown.
pub(crate) struct Table {
    columns: usize,
    text: String,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(head: &[&str]) -> Table {
        let line = "| --- ".repeat(head.len());
        Table { columns: head.len(), text: format!("| {} |\n{line}|\n", head.join(" | ")) }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns);
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}

/// Prints tables, and writes them between the document's marks of this name.
///
/// # Errors
/// If the document cannot be read or written, or has no such marks.
pub(crate) fn put(name: &str, tables: &[Table]) -> Result<(), CliError> {
    let path = docs().join("performance.md");
    let text = fs::read_to_string(&path).map_err(|error| CliError::from_io(&path, &error))?;
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let tables: Vec<_> = tables.iter().map(|table| table.text.as_str()).collect();
    let tables = tables.join("\n");
    println!("{tables}");
    let parts = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.ok_or_else(|| CliError(format!("{}: no marks of {name}", path.display())))?;
    fs::write(&path, format!("{before}{begin}\n{tables}\n{end}{after}"))
        .map_err(|error| CliError::from_io(&path, &error))
}

/// Writes a plot next to the document.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn plot(name: &str, plot: &Plot<'_>) -> Result<(), CliError> {
    plot.write(&plots()?.join(name))
}

/// The folder of the plots.
///
/// # Errors
/// If it cannot be created.
pub(crate) fn plots() -> Result<PathBuf, CliError> {
    let folder = docs().join("performance");
    fs::create_dir_all(&folder).map_err(|error| CliError::from_io(&folder, &error))?;
    Ok(folder)
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// A time in the unit that suits it.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

/// A count with separated thousands.
pub(crate) fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// A count as a float, for display.
pub(crate) fn float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
