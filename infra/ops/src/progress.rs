//! How far a long piece of work is.

use std::{
    fmt::Write,
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far it is, on standard error: a bar on a terminal, a line now and then elsewhere.
pub struct Progress {
    bar: ProgressBar,
    of: &'static str,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Begins, with so many to do where that is known: of rows, users, items.
    pub fn start(all: Option<u64>, of: &'static str) -> Progress {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let template = match all {
            Some(_) => "{bar:40} {pos}/{len} {msg}, {speed}, {eta} left",
            None => "{spinner} {pos} {msg}, {speed}",
        };
        bar.set_message(of);
        if let Some(all) = all {
            bar.set_length(all);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("speed", speed));
        }
        Progress { bar, of, began: Instant::now(), told: Instant::now() }
    }

    /// So many more are done.
    pub fn pass(&mut self, more: usize) {
        self.bar.inc(u64::try_from(more).unwrap_or(u64::MAX));
        if self.bar.is_hidden() && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// All are done.
    pub fn end(&self) {
        self.bar.finish_and_clear();
        self.tell();
    }

    fn tell(&self) {
        let (done, of, seconds) = (self.bar.position(), self.of, self.began.elapsed().as_secs());
        match self.bar.length() {
            Some(all) => eprintln!("{done} of {all} {of}, {seconds} s"),
            None => eprintln!("{done} {of}, {seconds} s"),
        }
    }
}

/// How many a second.
fn speed(state: &ProgressState, to: &mut dyn Write) {
    // It is only shown.
    let _ = write!(to, "{:.0} a second", state.per_sec());
}
