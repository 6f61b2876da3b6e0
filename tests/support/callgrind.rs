use std::{fs, path::Path};

use crate::Instance;

/// How many instructions a function's program takes from its start until it has
/// answered these events and asks for another. Wants valgrind.
pub async fn instructions(
    program: &Path,
    environment: &[(&str, &str)],
    payloads: &[String],
    out: &Path,
) -> u64 {
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
