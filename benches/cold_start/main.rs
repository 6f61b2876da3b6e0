//! Measures cold starts over TLS, from the start of the process to the first response: each
//! function, `decrease` in Node, and given builds of `decrease`. It builds nothing. The subjects
//! take turns, so that the machine's other load affects all of them.

#![allow(clippy::expect_used, reason = "a benchmark ends by panicking")]

mod measurements;
mod report;
mod subject;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use rustls_native_certs::load_native_certs;
use scrip_tests::{Clock, FunctionProcess, TestLedger, TlsProxy, instructions, start_embedded_engine};
use serde_json::json;

use measurements::{Instructions, Measurements, Run};
use subject::{FUNCTIONS, Subject, event};

/// Measures cold starts.
#[derive(Parser)]
struct Options {
    /// Starts of each subject
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// The folder with the functions' release builds
    #[arg(long, default_value = "target/release")]
    functions: PathBuf,
    /// The folder of the Node peer, after `npm ci` and `npm run build`
    #[arg(long, default_value = "benches/baselines/node")]
    peer: PathBuf,
    /// Measures the files of this folder instead, builds of `decrease`, in the order of their names
    #[arg(long)]
    steps: Option<PathBuf>,
    /// Measures only subjects whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Also counts instructions, by valgrind
    #[arg(long)]
    instructions: bool,
    /// Writes the tables into docs/performance.md, and the plots beside it
    #[arg(long)]
    write: bool,
    /// Cargo passes this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Counted events after the first one.
const LATER_EVENTS: usize = 20;

/// The engine and the files that all subjects use.
struct Environment {
    engine: String,
    tls: TlsProxy,
    /// The machine's trusted authorities, and the proxy's.
    authorities: PathBuf,
    /// The proxy's authority alone: Node contains the others.
    authority: PathBuf,
    /// Folder of the results.
    folder: PathBuf,
}

#[tokio::main]
async fn main() {
    // Cargo starts a benchmark in its package's folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    std::env::set_current_dir(root).expect("the workspace");
    let options = Options::parse();
    let environment = Environment::build("target/cold".into()).await;
    let (name, title, mut subjects) = match &options.steps {
        Some(folder) => ("cold-steps", "build of `decrease`", steps(folder)),
        None => ("cold", "function", functions(&options)),
    };

    subjects.retain(|subject| subject.name.contains(&options.only));

    let measurements = environment.measure(&subjects, &options).await;

    let mut tables = report::table(title, &measurements);
    for peer in measurements.iter().filter(|subject| subject.name.contains("Node")) {
        let ours =
            measurements.iter().find(|subject| subject.name == "`decrease`").expect("the same function");
        tables.push('\n');
        tables.push_str(&report::ratio(ours, peer));
    }
    println!("{tables}");
    let save = |ending: &str, content: &str| {
        fs::write(environment.folder.join(format!("{name}.{ending}")), content).expect("a file");
    };
    save("md", &tables);
    save("json", &json!({ "runs": options.runs, "subjects": measurements }).to_string());
    save("svg", &report::chart(&measurements));
    if options.write {
        document(name, &tables);
        fs::copy(environment.folder.join(format!("{name}.svg")), format!("docs/{name}.svg")).expect("a plot");
    }
}

fn functions(options: &Options) -> Vec<Subject> {
    let functions =
        FUNCTIONS.map(|name| Subject::function(format!("`{name}`"), name, &options.functions.join(name)));
    let bundle = Subject::peer("`decrease` in Node, bundled", &options.peer.join("dist/main.cjs"), true);
    let loose = Subject::peer("`decrease` in Node, not bundled", &options.peer.join("main.js"), false);
    functions.into_iter().chain([bundle, loose]).collect()
}

fn steps(folder: &Path) -> Vec<Subject> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|file| Subject::function(name(file), "decrease", file)).collect()
}

impl Environment {
    async fn build(folder: PathBuf) -> Environment {
        let engine = start_embedded_engine().await;
        let tls = TlsProxy::start(&engine).await;
        fs::create_dir_all(&folder).expect("a folder");
        let folder = folder.canonicalize().expect("a folder");
        let (authorities, authority) = (folder.join("authorities.pem"), folder.join("authority.pem"));
        let trusted: String = load_native_certs().certs.iter().map(|der| pem(der)).collect();
        fs::write(&authorities, trusted + &tls.authority).expect("a file");
        fs::write(&authority, &tls.authority).expect("a file");
        Environment { engine, tls, authorities, authority, folder }
    }

    async fn measure(&self, subjects: &[Subject], options: &Options) -> Vec<Measurements> {
        let mut runs: Vec<Vec<Run>> = subjects.iter().map(|_| Vec::new()).collect();
        // The first round reads the files from the disk, and does not count.
        for round in 0..=options.runs {
            let ledger = TestLedger::at(&self.engine, Clock::running()).await;
            for (nth, subject) in subjects.iter().enumerate() {
                let run = self.run(&ledger, subject, &format!("u{nth}")).await;
                if round > 0 {
                    runs[nth].push(run);
                }
            }
            eprintln!("round {round} of {}", options.runs);
        }
        let mut measurements = Vec::new();
        for (subject, runs) in subjects.iter().zip(&runs) {
            let is_counted = options.instructions && subject.arguments.is_empty();
            let counted = if is_counted { Some(self.count(subject).await) } else { None };
            measurements.push(Measurements::from_runs(&subject.name, runs, subject.file.as_deref(), counted));
        }
        measurements
    }

    async fn run(&self, ledger: &TestLedger, subject: &Subject, user: &str) -> Run {
        let event = event(ledger, subject.function, user).await;
        let mut process = FunctionProcess::start(subject.command(&self.environment(&ledger.table))).await;
        process.send(event.to_string()).await;
        let requested = process.next_request().await;
        let (responded, result) = process.next_result().await;
        if let Err(error) = result {
            panic!("{}: {error:?}: {}", subject.name, process.into_output().await);
        }
        process.next_request().await;
        Run {
            first_next: requested - process.started,
            first_answer: responded - process.started,
            peak_memory_kib: process.peak_memory_kib(),
        }
    }

    async fn count(&self, subject: &Subject) -> Instructions {
        let ledger = TestLedger::at(&self.engine, Clock::running()).await;
        let (environment, out) = (self.environment(&ledger.table), self.folder.join("callgrind"));
        let after = async |events: usize| {
            let events_of_start = async |start: usize| {
                let mut payloads = Vec::new();
                for nth in 0..events {
                    let user = format!("u{events}-{start}-{nth}");
                    payloads.push(event(&ledger, subject.function, &user).await.to_string());
                }
                payloads
            };
            instructions(&subject.program, &environment, events_of_start, &out).await
        };
        let (first_next, first_answer) = (after(0).await, after(1).await);
        let later = after(1 + LATER_EVENTS).await.saturating_sub(first_answer);
        Instructions { first_next, first_answer, later_event: later / LATER_EVENTS as u64 }
    }

    fn environment<'a>(&'a self, table: &'a str) -> [(&'static str, &'a str); 7] {
        [
            ("SCRIP_TABLE", table),
            ("SCRIP_WEBHOOK_SECRETS", "a-secret-of-the-benchmark"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.tls.endpoint),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("SSL_CERT_FILE", self.authorities.to_str().expect("UTF-8")),
            ("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true"),
            ("NODE_EXTRA_CA_CERTS", self.authority.to_str().expect("UTF-8")),
        ]
    }
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}

/// Replaces the table between the document's two marks of this name.
fn document(name: &str, table: &str) {
    const PATH: &str = "docs/performance.md";
    let text = fs::read_to_string(PATH).expect(PATH);
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{PATH} has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{PATH} has no {end}"));
    fs::write(PATH, format!("{before}{begin}{table}{end}{after}")).expect(PATH);
}
