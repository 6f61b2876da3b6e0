//! Other processes: commands that must succeed, and what Linux counts of a process.

use std::{
    fs, io,
    process::{Command, Output},
    time::Duration,
};

use rustix::param::clock_ticks_per_second;

/// Runs a command that must succeed. Returns its standard output.
///
/// # Panics
/// If it cannot be started or fails: with all that it printed.
pub fn succeed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("a program that can be started");
    let [stdout, stderr] = [stdout, stderr].map(|output| String::from_utf8_lossy(&output).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout
}

/// Peak memory of a process so far (`VmHWM`), in KiB.
///
/// # Errors
/// If there is no such process.
pub fn peak_memory_kib(id: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    kib.ok_or_else(|| io::Error::other(format!("process {id} has ended")))
}

/// The fields of `/proc/ID/stat` that this workspace reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Id of the parent process.
    pub parent: u32,
    /// Its processor time.
    pub own: Duration,
    /// Processor time of its children that have ended.
    pub ended_children: Duration,
}

impl ProcessStat {
    /// Reads the counts of a process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(id: u32) -> io::Result<ProcessStat> {
        let ticks = clock_ticks_per_second();
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name of the program is in brackets and may contain spaces.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').collect::<Vec<_>>());
        let fields = fields.unwrap_or_default();
        let field = |nth: usize| fields.get(nth).and_then(|field| field.parse::<u64>().ok());
        let time = |nth| Some(Duration::from_millis((field(nth)? + field(nth + 1)?) * 1_000 / ticks));
        let parsed = || {
            Some(ProcessStat {
                parent: u32::try_from(field(1)?).ok()?,
                own: time(11)?,
                ended_children: time(13)?,
            })
        };
        parsed().ok_or_else(|| io::Error::other(format!("unexpected counts of process {id}: {stat}")))
    }
}

/// The counts of all running children of a process.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn children(id: u32) -> io::Result<Vec<ProcessStat>> {
    let names = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let ids = names.filter_map(|name| name.parse().ok());
    // A process that ends meanwhile has no counts.
    let stats = ids.filter_map(|id| ProcessStat::of(id).ok());
    Ok(stats.filter(|stat| stat.parent == id).collect())
}
