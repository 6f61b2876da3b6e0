//! Counts the instructions of a function's program with callgrind.

use std::{fs, path::Path};

use crate::FunctionProcess;

/// Number of measured starts. Under callgrind on a busy machine the first connection of a start
/// can time out, and a second one follows.
const STARTS: usize = 3;

/// The least number of instructions of several starts, from the start of the program until it
/// requests an event after the given ones. `events` returns the events of a start. Needs valgrind.
pub async fn instructions(
    program: &Path,
    environment: &[(&str, &str)],
    events: impl AsyncFn(usize) -> Vec<String>,
    out: &Path,
) -> u64 {
    let mut least = u64::MAX;
    for start in 0..STARTS {
        least = least.min(count(program, environment, &events(start).await, out).await);
    }
    least
}

async fn count(program: &Path, environment: &[(&str, &str)], payloads: &[String], out: &Path) -> u64 {
    let mut command = FunctionProcess::command("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .envs(environment.iter().copied());
    let mut process = FunctionProcess::start(command).await;
    process.next_request().await;
    for payload in payloads {
        process.send(payload.clone()).await;
        process.next_result().await.1.expect("a response");
        process.next_request().await;
    }
    process.terminate().await;
    let report = fs::read_to_string(out).expect("callgrind's report");
    let total = report.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse().expect("a number")
}
