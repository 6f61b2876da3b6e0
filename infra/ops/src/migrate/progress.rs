use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far it is, on standard error: a bar on a terminal, a line now and then elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    told: Instant,
    users: u64,
}

impl Progress {
    pub(super) fn start(users: u64, rows: u64) -> Progress {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new(rows) } else { ProgressBar::hidden() };
        bar.set_length(rows);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        eprintln!("{users} users, {rows} rows");
        Progress { bar, began: Instant::now(), told: Instant::now(), users: 0 }
    }

    /// One more user, with so many rows.
    pub(super) fn pass(&mut self, rows: usize) {
        self.users += 1;
        self.bar.inc(u64::try_from(rows).unwrap_or(u64::MAX));
        if self.bar.is_hidden() && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            self.tell();
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
        self.tell();
    }

    fn tell(&self) {
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        eprintln!("{} users, {done} of {all} rows, {} s", self.users, self.began.elapsed().as_secs());
    }
}
