//! The console: its files, who may read them, and the stream of changes.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use scrip_tests::process::succeed;
use serde_json::{Value, json};

use crate::support::{Stack, charge, command, rest};

/// Sends a request with these header lines. Returns the raw response.
fn raw_response(stack: &Stack, head: &str) -> String {
    rest(stack.connection(&format!("{head}Connection: close\r\n\r\n")))
}

/// Host and port of the stack.
fn host(stack: &Stack) -> &str {
    &stack.url["http://".len()..]
}

#[test]
fn console_files_have_a_strict_policy() {
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
fn console_is_served_under_loopback_names_only() {
    let stack = Stack::start(&["--memory"]);
    let port = host(&stack).rsplit(':').next().unwrap();
    for path in ["/", "/console/main.js", "/console/users", "/console/table/u", "/console/changes/u"] {
        for name in
            ["example.com", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "x"]
        {
            let answer = raw_response(&stack, &format!("GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && answer.contains("\"code\":\"NotFound\""),
                "{name}: {answer}"
            );
        }
    }
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = raw_response(&stack, &format!("GET / HTTP/1.1\r\nHost: {name}:{port}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("<!doctype html>"),
            "{name}: {answer}"
        );
    }
}

#[test]
fn console_takes_no_path_of_the_api() {
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
        ("GET", "/console/orders/u"),
        ("POST", "/console/orders/u/o"),
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
fn responses_report_their_cost() {
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
        let timing = answer.headers["server-timing"].to_str().unwrap();
        assert!(timing.starts_with("function;dur=") && timing.contains(cost), "{path}: {timing}");
    }
}

#[test]
fn order_view_shows_what_each_source_revokes() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let grant = json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": "in_1/a", "credits": 100 });
    client.post("/credits/grant", &grant);
    client.post("/credits/decrease", &charge("u", 80, "g"));
    client.grant("u", 10);
    let revoke = |source: &str, share: [u64; 2], shortfall: &str| {
        let body = json!({
            "source": source, "part": share[0], "of": share[1], "as_of": "2026-01-02T00:00:00Z",
            "shortfall": shortfall, "reason": "returned",
        });
        client.post("/credits/orders/in_1%2Fa/revoke", &body);
    };
    let numbers = |order: &Value| {
        ["granted", "remaining", "spent", "revoked", "paid_by_others", "shortfall", "debt"]
            .map(|name| order[name].as_u64().unwrap())
    };
    let path = "/console/orders/u/in_1%2Fa";
    assert_eq!(numbers(&client.get(path)), [100, 20, 80, 0, 0, 0, 0]);
    revoke("refund", [1, 3], "keep");
    assert_eq!(numbers(&client.get(path)), [100, 0, 80, 33, 0, 13, 0]);
    revoke("dispute:dp_1", [2, 5], "debt");
    let order = client.get(path);
    assert_eq!(numbers(&order), [100, 0, 80, 73, 10, 13, 30]);
    let sources: Vec<_> = order["sources"].as_array().unwrap().iter().collect();
    let source = |at: usize, name: &str| sources[at][name].clone();
    assert_eq!([source(0, "source"), source(1, "source")], [json!("dispute:dp_1"), json!("refund")]);
    assert_eq!([source(0, "credits"), source(1, "credits")], [json!(40), json!(33)]);
    for (path, status) in [
        ("/console/orders/u/other", 404),
        ("/console/orders/u2/in_1%2Fa", 404),
        ("/console/orders/u/a%20b", 400),
        ("/console/orders/a%20b/in_1%2Fa", 400),
    ] {
        assert_eq!(client.send("GET", path, &[], b"").status, status, "{path}");
    }
}

#[test]
fn table_view_shows_items_as_dynamodb_stores_them() {
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

/// The versions in a stream of changes, as a browser receives them.
struct ChangeStream(Box<dyn Iterator<Item = String>>);

impl ChangeStream {
    fn open(stack: &Stack, user: &str) -> ChangeStream {
        let host = host(stack);
        let stream =
            stack.connection(&format!("GET /console/changes/{user} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        ChangeStream(Box::new(lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))))
    }

    fn next(&mut self) -> u64 {
        self.0.next().expect("an event").parse().expect("a version")
    }
}

#[test]
fn changes_are_streamed_to_every_viewer_of_the_user() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let (mut one, mut two, mut other) = (
        ChangeStream::open(&stack, "u"),
        ChangeStream::open(&stack, "u"),
        ChangeStream::open(&stack, "other"),
    );
    assert_eq!((one.next(), two.next(), other.next()), (0, 0, 0));
    client.grant("u", 9);
    let granted = one.next();
    assert_eq!(two.next(), granted);
    client.post("/credits/decrease", &charge("u", 4, "g"));
    let charged = one.next();
    assert!(charged > granted);
    assert_eq!(client.callback("local-webhook-secret", "g").status, 200);
    assert!(one.next() > charged, "a call-back names no user, and is streamed too");
    client.grant("other", 1);
    assert!(other.next() > 0, "no event of another user came before");
}

#[test]
fn changes_by_another_process_are_streamed() {
    let first = Stack::start(&["--memory"]);
    let second = Stack::run(command(&["--port", "0", "--dynamodb-endpoint", &first.engine]));
    let mut changes = ChangeStream::open(&first, "u");
    assert_eq!(changes.next(), 0);
    second.client().grant("u", 9);
    assert!(changes.next() > 0);
}

/// A stream that was cut off lacks the last chunk.
#[test]
fn open_streams_end_at_shutdown() {
    let stack = Stack::start(&["--memory"]);
    let head = format!("GET /console/changes/u HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack));
    let open = |_| {
        let mut stream = BufReader::new(stack.connection(&head));
        let mut line = String::new();
        while !line.starts_with("data: ") {
            line.clear();
            assert!(stream.read_line(&mut line).expect("a line") > 0, "the stream has begun");
        }
        stream
    };
    let streams: Vec<_> = (0..20).map(open).collect();
    stack.signal(Signal::INT);
    for mut stream in streams {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("an end");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest:?}");
    }
    assert_eq!(stack.wait_for_exit(), (Some(0), String::new()));
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program named by a variable, or the default.
fn program(variable: &str, default: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| default.into())
}

/// `.ci/run` installs the npm packages in `target/ci/browser`.
#[test]
#[ignore = "needs Node, its packages below target/ci/browser, and Chromium"]
fn console_works_in_a_browser() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    let files = fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.to_string_lossy().ends_with(".test.mjs")).collect();
    files.sort();
    assert_eq!(files.len(), 7);
    node.args(files).current_dir(tests);
    node.env("SCRIP_LOCAL", env!("CARGO_BIN_EXE_scrip-local"));
    node.env("SCRIP_BROWSER_TOOLS", root().join("target/ci/browser"));
    node.env("CHROMIUM", program("CHROMIUM", "/usr/bin/chromium"));
    succeed(node);
}

/// The console is plain JavaScript with types in comments.
#[test]
#[ignore = "needs Node, and its packages below target/ci/browser"]
fn console_passes_the_typescript_check() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("console/jsconfig.json");
    let tsc = root().join("target/ci/browser/node_modules/.bin/tsc");
    let mut check = Command::new(tsc);
    check.arg("--project").arg(project);
    succeed(check);
}

#[test]
fn my_credits_document_quotes_the_console() {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let source = ["credits.js", "my-credits.js", "timeline.js"]
        .map(|file| fs::read_to_string(console.join(file)).unwrap())
        .concat();
    let document = fs::read_to_string(root().join("docs/my-credits.md")).unwrap();
    let snippets: Vec<_> =
        document.split("```js\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(snippets.len() > 4, "the document has snippets");
    for snippet in snippets {
        assert!(source.contains(snippet), "{snippet}");
    }
}
