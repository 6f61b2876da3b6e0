//! The stack as a child process, and a client of its API.

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

/// The longest that anything here may take: a bound, never a wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running stack; it is gone when this is.
pub(crate) struct Stack {
    /// Where its API is.
    pub(crate) url: String,
    /// Where its engine is.
    pub(crate) engine: String,
    process: Process,
    /// What else it says on standard output.
    says: Receiver<String>,
}

impl Stack {
    /// Starts it on free ports, with these flags besides.
    pub(crate) fn start(flags: &[&str]) -> Stack {
        Stack::run(command(&[&["--port", "0", "--dynamodb-port", "0"], flags].concat()))
    }

    /// Starts it on free ports and this folder.
    pub(crate) fn on(folder: &Path) -> Stack {
        Stack::start(&["--data-dir", text(folder)])
    }

    /// Starts what is to become a stack, and waits until it listens.
    pub(crate) fn run(command: Command) -> Stack {
        let mut process = Process::start(command);
        let lines = lines(process.child.stdout.take().expect("a pipe"));
        let mut said = |start: &str| match lines.recv_timeout(PATIENCE) {
            Ok(line) => line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?}: {line}")).to_owned(),
            Err(_) => panic!("it said nothing: {}", process.errors()),
        };
        let url = said("listening on ");
        let place = said("DynamoDB at ");
        let engine = place.split([',', ' ']).next().expect("an address").to_owned();
        Stack { url, engine, process, says: lines }
    }

    /// A client of its own connections.
    pub(crate) fn client(&self) -> Client {
        Client::of(&self.url)
    }

    /// A bare connection to its API that has sent this much.
    pub(crate) fn connection(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.url["http://".len()..]).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        stream.write_all(sent.as_bytes()).expect("it takes this");
        stream
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).expect("it runs");
    }

    /// Waits until it has ended: its exit code, none where a signal ended it, and
    /// what it said on standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        (self.process.ended().code(), self.process.errors())
    }

    /// Tells it to end: the last line that it says on standard output.
    pub(crate) fn last_line(self) -> String {
        self.signal(Signal::TERM);
        let lines = || self.says.recv_timeout(PATIENCE).ok();
        std::iter::from_fn(lines).last().expect("a line")
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().0, None);
    }
}

/// How a start failed: the exit code, and what it said on standard error.
pub(crate) fn refusal(command: Command) -> (Option<i32>, String) {
    let mut process = Process::start(command);
    (process.ended().code(), process.errors())
}

/// The binary with these flags, in the same environment on every machine.
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

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What else comes on a connection until the other side closes it.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end");
    text
}

/// Looks until it is so.
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A child process; it is gone when this is.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    fn start(command: Command) -> Process {
        Process::saying(command, Stdio::piped())
    }

    /// Starts one that says what it says to there.
    pub(crate) fn saying(mut command: Command, there: impl Into<Stdio>) -> Process {
        command.stdin(Stdio::null()).stdout(there).stderr(Stdio::piped());
        Process { child: command.spawn().expect("a process") }
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.expect("an end")
    }

    /// What it said on standard error; ends it for that.
    fn errors(&mut self) -> String {
        let _ = self.child.kill();
        let mut said = String::new();
        let pipe = self.child.stderr.take();
        pipe.expect("asked once").read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, which is read to its end whether or not anyone listens.
fn lines(pipe: ChildStdout) -> Receiver<String> {
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = said.send(line);
        }
    });
    heard
}

/// A client that keeps its connections.
pub(crate) struct Client {
    agent: Agent,
    url: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `null` where it is no JSON.
    pub(crate) body: Value,
}

impl Client {
    /// A client of what listens there.
    pub(crate) fn of(url: &str) -> Client {
        let config = Agent::config_builder()
            .allow_non_standard_methods(true)
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE));
        Client { agent: config.build().new_agent(), url: url.to_owned() }
    }

    /// Sends a request, which may get no answer.
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

    /// Sends a request.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).expect("an answer")
    }

    /// Gets what must be there.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Posts what must be accepted.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, &[], body.to_string().as_bytes());
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        answer.body
    }

    /// Grants a user's first pack.
    pub(crate) fn grant(&self, user: &str, credits: u64) -> Value {
        let grant = json!({ "user_uuid": user, "trans_type": "new_user", "credits": credits });
        self.post("/credits/grant", &grant)
    }

    /// Sends the call-back of a generation that failed, from who has this secret.
    pub(crate) fn callback(&self, secret: &str, generation: &str) -> Answer {
        let body = json!({ "generation_uuid": generation, "status": "failed" }).to_string();
        let headers = [("X-Signature", &*signature(secret, body.as_bytes()))];
        self.send("POST", "/webhooks/generation", &headers, body.as_bytes())
    }

    /// A user's balance.
    pub(crate) fn balance(&self, user: &str) -> u64 {
        self.get(&format!("/credits/{user}/balance"))["balance"].as_u64().expect("a balance")
    }

    /// All of a user's records, newest first, voided ones too.
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

/// The `X-Signature` of a body, by who has this secret, now.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    scrip_tests::signature(secret, (ClockAndRandom::system().now)(), body)
}

/// The request of a charge.
pub(crate) fn charge(user: &str, credits: u64, generation: &str) -> Value {
    json!({
        "user_uuid": user, "trans_type": "anime_generation", "credits": credits,
        "generation_uuid": generation,
    })
}
