use std::{fs, path::Path};

use crate::Instance;

/// How many starts are counted: the machine may be so slow, and callgrind is, that one of
/// them gives up on its first connection and makes another.
const STARTS: usize = 3;

/// How many instructions a function's program takes from its start until it has
/// answered some events and asks for another, at the least. Each start has events of its
/// own. Wants valgrind.
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
    let mut command = Instance::command("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .envs(environment.iter().copied());
    let mut instance = Instance::start(command).await;
    instance.asked().await;
    for payload in payloads {
        instance.send(payload.clone()).await;
        instance.ending().await.1.expect("an answer");
        instance.asked().await;
    }
    instance.end().await;
    let counted = fs::read_to_string(out).expect("what callgrind counted");
    let total = counted.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse().expect("a number")
}
