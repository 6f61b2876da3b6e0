//! Builds and starts the local stack.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use scrip_ops::cli_error::CliError;

/// The process of a local stack. Dropping this ends it.
pub(crate) struct LocalStack {
    process: Child,
    /// URL of the HTTP API.
    pub(crate) url: String,
}

impl LocalStack {
    /// Starts this `scrip-local` on free ports, with the table in a folder. Returns when it listens.
    ///
    /// # Errors
    /// If it cannot be started, or ends.
    pub(crate) fn start(program: &Path, data_dir: &Path) -> Result<LocalStack, CliError> {
        let mut stack = Command::new(program);
        stack.args(["--port", "0", "--dynamodb-port", "0", "--data-dir"]).arg(data_dir);
        stack.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = stack.spawn().map_err(|error| CliError::from_io(program, &error))?;
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut stack = LocalStack { process, url: String::new() };
        let mut lines = output.lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        stack.url =
            url.ok_or_else(|| CliError(format!("{}: ended without an address", program.display())))?;
        Ok(stack)
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for LocalStack {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds programs of these packages with this one's profile. Returns their folder.
pub(crate) fn build(packages: &[&str]) -> PathBuf {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--profile", "bench"]);
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    assert!(build.status().expect("cargo").success());
    // <folder>/deps/performance-…
    let this = env::current_exe().expect("this program");
    this.parent().and_then(Path::parent).expect("the folder of the programs").to_owned()
}
