//! Shows the progress of a long command.

use std::{
    fmt::Write,
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Between two lines, if standard error is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Progress on standard error: a bar on a terminal, a line every ten seconds elsewhere.
pub struct Progress {
    bar: ProgressBar,
    unit: &'static str,
    started_at: Instant,
    printed_at: Instant,
}

impl Progress {
    /// Starts at zero of `total` rows, users, items or calls.
    pub fn start(total: Option<u64>, unit: &'static str) -> Progress {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let template = match total {
            Some(_) => "{bar:40} {pos}/{len} {msg}, {speed}, {eta} left",
            None => "{spinner} {pos} {msg}, {speed}",
        };
        bar.set_message(unit);
        if let Some(total) = total {
            bar.set_length(total);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("speed", speed));
        }
        Progress { bar, unit, started_at: Instant::now(), printed_at: Instant::now() }
    }

    /// Counts `done` more.
    pub fn advance(&mut self, done: usize) {
        self.bar.inc(u64::try_from(done).unwrap_or(u64::MAX));
        if self.bar.is_hidden() && self.printed_at.elapsed() >= LINE_INTERVAL {
            self.printed_at = Instant::now();
            self.print_line();
        }
    }

    /// Removes the bar and prints a last line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        self.print_line();
    }

    fn print_line(&self) {
        let (done, unit, seconds) = (self.bar.position(), self.unit, self.started_at.elapsed().as_secs());
        match self.bar.length() {
            Some(total) => eprintln!("{done} of {total} {unit}, {seconds} s"),
            None => eprintln!("{done} {unit}, {seconds} s"),
        }
    }
}

fn speed(state: &ProgressState, output: &mut dyn Write) {
    // An error would only hide the speed.
    let _ = write!(output, "{:.0} a second", state.per_sec());
}
