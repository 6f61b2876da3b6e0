//! The tools that the tests start, and their ends.

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

/// The folder of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The longest that a test waits for anything that is to happen by itself.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What every tool is told of AWS, whatever it is told outside: credentials that
/// are good for nothing else, and no settings.
const AWS: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];

/// Runs a command until the standard input ends, which it does however the
/// process of the tests ends; then nothing of it is left.
const KEEPER: &str = r#"
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

/// What is below `target/ci`.
pub fn tool(path: &str) -> PathBuf {
    let path = folder().join(path);
    assert!(path.exists(), "{} is missing: .ci/run makes it", path.display());
    path
}

/// A tool, in the same environment on every machine.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.envs(AWS).stdin(Stdio::null());
    command
}

/// The same for what runs until this process ends, however it ends: whoever
/// spawns it holds it, and it goes when its standard input is let go. What it
/// says is in `target/ci/<name>.log`.
pub fn kept(program: impl AsRef<Path>, name: &str) -> Command {
    let log = File::create(folder().join(name).with_extension("log")).expect("a file");
    let scratch = tempfile::tempdir_in(folder()).expect("a folder").keep();
    let mut keeper = command("sh");
    keeper.args(["-c", KEEPER, "sh"]).arg(program.as_ref()).env("TMPDIR", scratch).process_group(0);
    keeper.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file")).stderr(log);
    keeper
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Looks until it is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("target/ci")
}
