//! Runs the stack as a child process, and calls its API.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use scrip::ledger::ClockAndRandom;
use serde_json::{Value, json};
use ureq::{
    Agent, SendBody,
    http::{HeaderMap, Request},
};

/// Time limit of every step.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running stack, which is killed on drop.
pub(crate) struct Stack {
    /// URL of the HTTP API.
    pub(crate) url: String,
    /// URL of the DynamoDB engine.
    pub(crate) engine: String,
    process: Process,
    /// Further lines of standard output.
    output: Receiver<String>,
}

impl Stack {
    /// Starts a stack on free ports with further flags.
    pub(crate) fn start(flags: &[&str]) -> Stack {
        Stack::run(command(&[&["--port", "0", "--dynamodb-port", "0"], flags].concat()))
    }

    /// Starts a stack on free ports that stores its table in `folder`.
    pub(crate) fn on(folder: &Path) -> Stack {
        Stack::start(&["--data-dir", text(folder)])
    }

    /// Starts a stack, and waits until it listens.
    pub(crate) fn run(command: Command) -> Stack {
        let mut process = Process::start(command);
        let lines = lines(process.child.stdout.take().expect("a pipe"));
        let mut next_line = |start: &str| match lines.recv_timeout(TIMEOUT) {
            Ok(line) => line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?}: {line}")).to_owned(),
            Err(_) => panic!("no output: {}", process.errors()),
        };
        let url = next_line("listening on ");
        let location = next_line("DynamoDB at ");
        let engine = location.split([',', ' ']).next().expect("an address").to_owned();
        Stack { url, engine, process, output: lines }
    }

    /// A client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::of(&self.url)
    }

    /// A TCP connection to the API on which `sent` was written.
    pub(crate) fn connection(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.url["http://".len()..]).expect("a connection");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.write_all(sent.as_bytes()).expect("a write");
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).expect("a running process");
    }

    /// Waits for the exit. Returns the exit code, `None` after a fatal signal, and the standard error.
    pub(crate) fn wait_for_exit(mut self) -> (Option<i32>, String) {
        (self.process.wait().code(), self.process.errors())
    }

    /// Stops the stack by SIGTERM. Returns the last line of standard output.
    pub(crate) fn last_line(self) -> String {
        self.signal(Signal::TERM);
        let lines = || self.output.recv_timeout(TIMEOUT).ok();
        std::iter::from_fn(lines).last().expect("a line")
    }

    /// Kills the stack, as a power failure would.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.wait_for_exit().0, None);
    }
}

/// Exit code and standard error of a start that must fail.
pub(crate) fn failed_start(command: Command) -> (Option<i32>, String) {
    let mut process = Process::start(command);
    (process.wait().code(), process.errors())
}

/// The binary with these flags, without variables that differ between machines.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-local"));
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.args(flags);
    command
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Reads a connection until the other side closes it.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end");
    text
}

/// Polls `condition` until it holds. Panics with `name` after [`TIMEOUT`].
pub(crate) fn wait_until(name: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {name}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A child process, which is killed on drop.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    fn start(command: Command) -> Process {
        Process::with_stdout(command, Stdio::piped())
    }

    /// Starts a process with this standard output.
    pub(crate) fn with_stdout(mut command: Command, stdout: impl Into<Stdio>) -> Process {
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        Process { child: command.spawn().expect("a process") }
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.expect("an end")
    }

    /// Kills the process and reads its standard error. Panics when called twice.
    fn errors(&mut self) -> String {
        let _ = self.child.kill();
        let mut errors = String::new();
        let pipe = self.child.stderr.take();
        pipe.expect("one call").read_to_string(&mut errors).expect("text");
        errors
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe. A thread reads the pipe to its end, so that the writer never blocks.
fn lines(pipe: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// An HTTP client with a pool of connections.
pub(crate) struct Client {
    agent: Agent,
    url: String,
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `null` if the body is not JSON.
    pub(crate) body: Value,
}

impl Client {
    /// A client for the server at `url`.
    pub(crate) fn of(url: &str) -> Client {
        let config = Agent::config_builder()
            .allow_non_standard_methods(true)
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(TIMEOUT));
        Client { agent: config.build().new_agent(), url: url.to_owned() }
    }

    /// Sends a request. Returns an error if there is no response.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() {
            self.agent.run(request.body(SendBody::none())?)
        } else {
            self.agent.run(request.body(body)?)
        };
        let (parts, mut body) = answer?.into_parts();
        let body = serde_json::from_slice(&body.read_to_vec()?).unwrap_or_default();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sends a request. Panics if there is no response.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).expect("an answer")
    }

    /// Body of a `GET` that must succeed.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Body of a `POST` that must succeed.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, &[], body.to_string().as_bytes());
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        answer.body
    }

    /// Grants the `new_user` pack, once for each user.
    pub(crate) fn grant(&self, user: &str, credits: u64) -> Value {
        let grant = json!({ "user_uuid": user, "trans_type": "new_user", "credits": credits });
        self.post("/credits/grant", &grant)
    }

    /// Sends the call-back of a failed generation, signed with `secret`.
    pub(crate) fn callback(&self, secret: &str, generation: &str) -> Answer {
        let body = json!({ "generation_uuid": generation, "status": "failed" }).to_string();
        let headers = [("X-Signature", &*signature(secret, body.as_bytes()))];
        self.send("POST", "/webhooks/generation", &headers, body.as_bytes())
    }

    pub(crate) fn balance(&self, user: &str) -> u64 {
        self.get(&format!("/credits/{user}/balance"))["balance"].as_u64().expect("a balance")
    }

    /// All records of a user, newest first, including voided ones.
    pub(crate) fn records(&self, user: &str) -> Vec<Value> {
        let first = format!("/credits/{user}/timeline?limit=100&include_voided=true");
        let mut page = self.get(&first);
        let mut records = Vec::new();
        loop {
            records.append(page["records"].as_array_mut().expect("records"));
            let Some(cursor) = page["cursor"].as_str() else { return records };
            page = self.get(&format!("{first}&cursor={cursor}"));
        }
    }
}

/// The `X-Signature` of a body, as of now.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    scrip_tests::signature(secret, (ClockAndRandom::system().now)(), body)
}

/// The body of a charge.
pub(crate) fn charge(user: &str, credits: u64, generation: &str) -> Value {
    json!({
        "user_uuid": user, "trans_type": "anime_generation", "credits": credits,
        "generation_uuid": generation,
    })
}
