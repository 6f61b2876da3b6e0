//! The console: what is served of it, to whom, and what it tells of changes.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Stack, charge, command, rest};

/// The head and the body of what a request with this head is answered.
fn told(stack: &Stack, head: &str) -> String {
    rest(stack.connection(&format!("{head}Connection: close\r\n\r\n")))
}

/// How the console names the stack.
fn host(stack: &Stack) -> &str {
    &stack.url["http://".len()..]
}

#[test]
fn every_file_of_the_console_has_a_strict_policy() {
    let stack = Stack::start(&["--memory"]);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/console/style.css", "text/css; charset=utf-8"),
        ("/console/main.js", "text/javascript; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
        ("/console/users", "application/json"),
        ("/console/table/u", "application/json"),
    ] {
        let answer = stack.client().send("GET", path, &[], b"");
        assert_eq!((answer.status, &answer.headers["content-type"]), (200, &kind.parse().unwrap()), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}

#[test]
fn the_console_is_there_for_this_machine_alone() {
    let stack = Stack::start(&["--memory"]);
    let port = host(&stack).rsplit(':').next().unwrap();
    for path in ["/", "/console/main.js", "/console/users", "/console/table/u", "/console/changes/u"] {
        for name in
            ["example.com", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "x"]
        {
            let answer = told(&stack, &format!("GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && answer.contains("\"code\":\"NotFound\""),
                "{name}: {answer}"
            );
        }
    }
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = told(&stack, &format!("GET / HTTP/1.1\r\nHost: {name}:{port}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("<!doctype html>"),
            "{name}: {answer}"
        );
    }
}

/// The console takes no path of the API, and none that is nobody's.
#[test]
fn the_console_leaves_the_api_as_it_is() {
    let stack = Stack::start(&["--memory"]);
    for (method, path) in [
        ("POST", "/"),
        ("DELETE", "/console/main.js"),
        ("POST", "/console/table/u"),
        ("GET", "/console"),
        ("GET", "/console/"),
        ("GET", "/console/nothing.js"),
        ("GET", "/console/table"),
        ("GET", "/console/table/u/a/b"),
        ("GET", "/index.html"),
        ("GET", "/console/../main.js"),
    ] {
        let answer = stack.client().send(method, path, &[], b"");
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("NotFound")), "{method} {path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
    }
    assert_eq!(stack.client().get("/console/users"), json!([]));
}

#[test]
fn an_answer_says_what_it_cost() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("u", 5);
    let body = charge("u", 1, "g").to_string();
    for (method, path, body, cost) in [
        (
            "GET",
            "/credits/u/balance",
            "",
            "round_trips;desc=\"1\", read_units;desc=\"1\", write_units;desc=\"0\"",
        ),
        (
            "POST",
            "/credits/decrease",
            &*body,
            "round_trips;desc=\"2\", read_units;desc=\"1\", write_units;desc=",
        ),
        ("GET", "/nowhere", "", "round_trips;desc=\"0\""),
    ] {
        let answer = client.send(method, path, &[], body.as_bytes());
        let told = answer.headers["server-timing"].to_str().unwrap();
        assert!(told.starts_with("function;dur=") && told.contains(cost), "{path}: {told}");
    }
}

#[test]
fn the_table_is_shown_as_dynamodb_has_it() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("a:b.c_d-e", 200);
    for n in 0..60 {
        client.post("/credits/decrease", &charge("a:b.c_d-e", 1, &format!("g{n}")));
    }
    client.grant("other", 1);
    let first = client.get("/console/table/a:b.c_d-e");
    let wallet = &first["items"][0];
    assert_eq!(
        (&wallet["sk"]["S"], &wallet["packs"]["L"][0]["M"]["n"]),
        (&json!("wallet"), &json!({ "N": "140" }))
    );
    assert_eq!(first["items"].as_array().unwrap().len(), 50);
    let next = first["next"].as_str().unwrap().replace('#', "%23");
    let second = client.get(&format!("/console/table/a%3Ab.c_d-e/{next}"));
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (12, &Value::Null));
    assert_eq!(client.get("/console/users").as_array().unwrap().len(), 2);
    assert_eq!(client.send("GET", "/console/table/a%20b", &[], b"").status, 400);
}

/// A user's changes, as a browser would hear of them.
struct Heard(Box<dyn Iterator<Item = String>>);

impl Heard {
    fn of(stack: &Stack, user: &str) -> Heard {
        let host = host(stack);
        let stream =
            stack.connection(&format!("GET /console/changes/{user} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        Heard(Box::new(lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))))
    }

    fn next(&mut self) -> u64 {
        self.0.next().expect("an event").parse().expect("a version")
    }
}

#[test]
fn a_change_is_told_to_whoever_looks_at_the_user() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let (mut one, mut two, mut other) =
        (Heard::of(&stack, "u"), Heard::of(&stack, "u"), Heard::of(&stack, "other"));
    assert_eq!((one.next(), two.next(), other.next()), (0, 0, 0));
    client.grant("u", 9);
    let granted = one.next();
    assert_eq!(two.next(), granted);
    client.post("/credits/decrease", &charge("u", 4, "g"));
    let charged = one.next();
    assert!(charged > granted);
    assert_eq!(client.callback("local-webhook-secret", "g").status, 200);
    assert!(one.next() > charged, "what names no user is told too");
    client.grant("other", 1);
    assert!(other.next() > 0, "and nothing of another user before");
}

#[test]
fn a_change_by_another_process_is_told() {
    let first = Stack::start(&["--memory"]);
    let second = Stack::run(command(&["--port", "0", "--dynamodb-endpoint", &first.engine]));
    let mut heard = Heard::of(&first, "u");
    assert_eq!(heard.next(), 0);
    second.client().grant("u", 9);
    assert!(heard.next() > 0);
}

/// One that had to be cut off would lack its last chunk.
#[test]
fn an_open_stream_ends_with_the_stack() {
    let stack = Stack::start(&["--memory"]);
    let head = format!("GET /console/changes/u HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack));
    let begun = |_| {
        let mut stream = BufReader::new(stack.connection(&head));
        let mut line = String::new();
        while !line.starts_with("data: ") {
            line.clear();
            assert!(stream.read_line(&mut line).expect("a line") > 0, "it has begun");
        }
        stream
    };
    let streams: Vec<_> = (0..20).map(begun).collect();
    stack.signal(Signal::INT);
    for mut stream in streams {
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an end");
        assert!(told.ends_with("\r\n0\r\n\r\n"), "{told:?}");
    }
    assert_eq!(stack.ended(), (Some(0), String::new()));
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program that a variable names, or Debian's.
fn program(variable: &str, otherwise: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| otherwise.into())
}

/// The flows of the console, in a browser. What they need of npm is put into
/// `target/ci/browser` by `.ci/run`.
#[test]
#[ignore = "needs Node, its packages below target/ci/browser, and Chromium"]
fn the_console_works_in_a_browser() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    let files = fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.to_string_lossy().ends_with(".test.mjs")).collect();
    files.sort();
    assert_eq!(files.len(), 5);
    node.args(files).current_dir(tests);
    node.env("SCRIP_LOCAL", env!("CARGO_BIN_EXE_scrip-local"));
    node.env("SCRIP_BROWSER_TOOLS", root().join("target/ci/browser"));
    node.env("CHROMIUM", program("CHROMIUM", "/usr/bin/chromium"));
    assert!(node.status().expect("Node").success());
}

/// The types are in comments; the language is what browsers run.
#[test]
#[ignore = "needs Node, and its packages below target/ci/browser"]
fn the_console_is_sound_to_typescript() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("console/jsconfig.json");
    let tsc = root().join("target/ci/browser/node_modules/.bin/tsc");
    assert!(Command::new(tsc).arg("--project").arg(project).status().expect("TypeScript").success());
}

/// The document's snippets are what the console runs.
#[test]
fn my_credits_are_documented_by_what_runs() {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let source = ["credits.js", "my-credits.js", "timeline.js"]
        .map(|file| fs::read_to_string(console.join(file)).unwrap())
        .concat();
    let document = fs::read_to_string(root().join("docs/my-credits.md")).unwrap();
    let snippets: Vec<_> =
        document.split("```js\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(snippets.len() > 4, "the document was read");
    for snippet in snippets {
        assert!(source.contains(snippet), "{snippet}");
    }
}
