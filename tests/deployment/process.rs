//! Starts the tools that the tests use, and stops them with the tests.

use std::{
    env,
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The root of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Longest wait for any event.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// AWS settings of every tool, on every machine: test credentials, and no files.
const AWS_ENVIRONMENT: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];

/// Runs a command until the standard input closes, which happens however the test process
/// ends. RepairOutcome it kills the command's process group and removes its temporary files.
const SUPERVISOR: &str = r#"
"$@" </dev/null &
read -r _
kill $!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 $! 2>/dev/null || break
    sleep 0.2
done
rm -rf "$TMPDIR"
kill -KILL 0
"#;

/// A path below `target/ci`, which must exist.
pub fn tool(path: &str) -> PathBuf {
    let path = folder().join(path);
    assert!(path.exists(), "{} is missing: .ci/run creates it", path.display());
    path
}

/// A command with the same environment on every machine.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.envs(AWS_ENVIRONMENT).stdin(Stdio::null());
    command
}

/// The same for a command that runs as long as its handle, and ends with this process at
/// the latest. Its output is in `target/ci/<name>.log`.
pub fn supervised(program: impl AsRef<Path>, name: &str) -> Command {
    let log = File::create(folder().join(name).with_extension("log")).expect("a file");
    let scratch = tempfile::tempdir_in(folder()).expect("a folder").keep();
    let mut supervisor = command("sh");
    supervisor.args(["-c", SUPERVISOR, "sh"]).arg(program.as_ref()).env("TMPDIR", scratch).process_group(0);
    supervisor.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file")).stderr(log);
    supervisor
}

/// A port without a listener.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until a condition holds.
///
/// # Panics
/// After [`TIMEOUT`].
pub fn wait_until(description: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {description}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("target/ci")
}
