//! Cold starts, from the start of the process to the first answer, over TLS: of each
//! function, of the same function in Node, and of builds of `decrease` as they came
//! one after the other. Nothing is built here. All subjects take turns, so that what
//! the machine does besides is everybody's.

#![allow(clippy::expect_used, reason = "a measurement that cannot be made ends")]

mod figures;
mod report;
mod subject;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use rustls_native_certs::load_native_certs;
use scrip_tests::{Bench, Clock, Instance, Tls, embedded, instructions};
use serde_json::json;

use figures::{Figures, Instructions, Run};
use subject::{FUNCTIONS, Subject, event};

/// Measures cold starts.
#[derive(Parser)]
struct Options {
    /// How often each subject is started
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// The folder with the functions' release builds
    #[arg(long, default_value = "target/release")]
    functions: PathBuf,
    /// The folder of the peer, where `npm ci` and `npm run build` were run
    #[arg(long, default_value = "tests/peers/node")]
    peer: PathBuf,
    /// Measures the files of this folder instead, builds of `decrease`, in the order of their names
    #[arg(long)]
    steps: Option<PathBuf>,
    /// Measures those alone whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// Counts instructions too, by valgrind
    #[arg(long)]
    instructions: bool,
    /// Writes the tables into docs/performance.md, and the plots beside it
    #[arg(long)]
    write: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// How many events are counted that come after the first.
const LATER_EVENTS: usize = 20;

/// What all subjects are started beside.
struct Stage {
    engine: String,
    tls: Tls,
    /// The authorities that a machine trusts, and the stage's own.
    authorities: PathBuf,
    /// The stage's own alone: those that a machine trusts are part of Node.
    authority: PathBuf,
    /// Where results go.
    folder: PathBuf,
}

#[tokio::main]
async fn main() {
    // Cargo starts a benchmark in its package's folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    std::env::set_current_dir(root).expect("the workspace");
    let options = Options::parse();
    let stage = Stage::build("target/cold".into()).await;
    let (name, title, mut subjects) = match &options.steps {
        Some(folder) => ("cold-steps", "build of `decrease`", steps(folder)),
        None => ("cold", "function", functions(&options)),
    };

    subjects.retain(|subject| subject.name.contains(&options.only));

    let figures = stage.measure(&subjects, &options).await;

    let mut told = report::table(title, &figures);
    for peer in figures.iter().filter(|of| of.name.contains("Node")) {
        let ours = figures.iter().find(|of| of.name == "`decrease`").expect("the same function");
        told.push('\n');
        told.push_str(&report::ratio(ours, peer));
    }
    println!("{told}");
    let keep = |ending: &str, content: &str| {
        fs::write(stage.folder.join(format!("{name}.{ending}")), content).expect("a file");
    };
    keep("md", &told);
    keep("json", &json!({ "runs": options.runs, "subjects": figures }).to_string());
    keep("svg", &report::chart(&figures));
    if options.write {
        document(name, &told);
        fs::copy(stage.folder.join(format!("{name}.svg")), format!("docs/{name}.svg")).expect("a plot");
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
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|file| Subject::function(name(file), "decrease", file)).collect()
}

impl Stage {
    async fn build(folder: PathBuf) -> Stage {
        let engine = embedded().await;
        let tls = Tls::before(&engine).await;
        fs::create_dir_all(&folder).expect("a folder");
        let folder = folder.canonicalize().expect("a folder");
        let (authorities, authority) = (folder.join("authorities.pem"), folder.join("authority.pem"));
        let trusted: String = load_native_certs().certs.iter().map(|der| pem(der)).collect();
        fs::write(&authorities, trusted + &tls.authority).expect("a file");
        fs::write(&authority, &tls.authority).expect("a file");
        Stage { engine, tls, authorities, authority, folder }
    }

    async fn measure(&self, subjects: &[Subject], options: &Options) -> Vec<Figures> {
        let mut runs: Vec<Vec<Run>> = subjects.iter().map(|_| Vec::new()).collect();
        // The first round fetches the files from the disk.
        for round in 0..=options.runs {
            let bench = Bench::at(&self.engine, Clock::running()).await;
            for (nth, subject) in subjects.iter().enumerate() {
                let run = self.run(&bench, subject, &format!("u{nth}")).await;
                if round > 0 {
                    runs[nth].push(run);
                }
            }
            eprintln!("round {round} of {}", options.runs);
        }
        let mut figures = Vec::new();
        for (subject, runs) in subjects.iter().zip(&runs) {
            let is_counted = options.instructions && subject.arguments.is_empty();
            let counted = if is_counted { Some(self.count(subject).await) } else { None };
            figures.push(Figures::of(&subject.name, runs, subject.file.as_deref(), counted));
        }
        figures
    }

    async fn run(&self, bench: &Bench, subject: &Subject, user: &str) -> Run {
        let event = event(bench, subject.function, user).await;
        let mut instance = Instance::start(subject.command(&self.environment(&bench.table))).await;
        instance.send(event.to_string()).await;
        let asked = instance.asked().await;
        let (answered, ended) = instance.ending().await;
        if let Err(error) = ended {
            panic!("{}: {error:?}: {}", subject.name, instance.ended().await);
        }
        instance.asked().await;
        Run {
            first_next: asked - instance.started,
            first_answer: answered - instance.started,
            peak_memory_kib: instance.peak_memory_kib(),
        }
    }

    async fn count(&self, subject: &Subject) -> Instructions {
        let bench = Bench::at(&self.engine, Clock::running()).await;
        let (environment, out) = (self.environment(&bench.table), self.folder.join("callgrind"));
        let after = async |events: usize| {
            let made = async |start: usize| {
                let mut made = Vec::new();
                for nth in 0..events {
                    let user = format!("u{events}-{start}-{nth}");
                    made.push(event(&bench, subject.function, &user).await.to_string());
                }
                made
            };
            instructions(&subject.program, &environment, made, &out).await
        };
        let (first_next, first_answer) = (after(0).await, after(1).await);
        let later = after(1 + LATER_EVENTS).await.saturating_sub(first_answer);
        Instructions { first_next, first_answer, later_event: later / LATER_EVENTS as u64 }
    }

    fn environment<'a>(&'a self, table: &'a str) -> [(&'static str, &'a str); 7] {
        [
            ("SCRIP_TABLE", table),
            ("SCRIP_WEBHOOK_SECRETS", "a-secret-of-the-stage"),
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

/// Puts a table between the two lines of the document that name it.
fn document(name: &str, table: &str) {
    const PATH: &str = "docs/performance.md";
    let text = fs::read_to_string(PATH).expect(PATH);
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{PATH} has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{PATH} has no {end}"));
    fs::write(PATH, format!("{before}{begin}{table}{end}{after}")).expect(PATH);
}
