//! Calls an HTTP API as apps do, and says how long that takes.
//!
//! Calls arrive when they were drawn to, whatever became of those before, and each is
//! timed from the moment at which it arrived: a service that stands still is not asked
//! less, and what waits meanwhile counts.

mod arrivals;
mod endpoint;
mod expected_balances;
mod mix;
pub mod plot;
mod report;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::{StreamExt, stream};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
};
use uuid::Uuid;

pub use arrivals::Spacing;
pub use mix::Mix;
pub use report::{BalanceCheck, Latency, Report, RunSettings, Second, latency_plot};

use crate::{cli_error::CliError, progress::Progress};
use arrivals::Arrivals;
use endpoint::{Endpoint, Response};
use expected_balances::{CallOutcome, ExpectedBalances};
use mix::{Call, CallGenerator, CallKind, Request};

/// How many calls are sent at once where nothing is measured.
const AT_ONCE: usize = 8;

/// What is called, and how often.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The HTTP API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    pub url: String,
    /// A token that may write for any user, where the API asks for one
    #[arg(long, value_name = "TOKEN", env = "SCRIP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Which app calls
    #[arg(long, value_enum, default_value_t = Mix::Generation)]
    pub mix: Mix,
    /// How many calls arrive each second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// For how long calls arrive, as 10m
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub lasting: Duration,
    /// What is between two arrivals
    #[arg(long, value_enum, default_value_t = Spacing::Poisson)]
    pub spacing: Spacing,
    /// How many users there are; the mix hot has one wallet
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub users: u32,
    /// How many calls may be under way; more wait here, and that counts
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// What arrivals and calls are drawn by, to have the same again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Where report.json and the plots go
    #[arg(long, value_name = "DIR", default_value = "scrip-bench")]
    pub folder: PathBuf,
}

/// A call that has ended.
struct CompletedCall {
    call: Call,
    /// When it arrived, and how much later it left and ended.
    at: Duration,
    waited: Duration,
    took: Duration,
    answer: Response,
}

/// Where calls go.
struct Target {
    endpoint: Endpoint,
    mix: Mix,
    /// What the run's users begin with.
    run: String,
    connections: Semaphore,
}

impl Target {
    async fn send(&self, call: Call) -> Response {
        self.endpoint.send(call.request(self.mix, &self.run)).await
    }
}

/// Measures what the settings say, until its end or Ctrl-C, and writes report and plots.
///
/// # Errors
/// What stopped it, in one line.
pub async fn bench(settings: &Settings) -> Result<Report, CliError> {
    let seed = settings.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 32);
    let run = format!("bench-{}", Uuid::new_v4().simple());
    let asked = RunSettings {
        url: settings.url.clone(),
        run: run.clone(),
        mix: settings.mix,
        rate: settings.rate,
        wallets: settings.mix.wallets(settings.users),
        seed,
        seconds: settings.lasting.as_secs(),
    };
    let target = Arc::new(Target {
        endpoint: Endpoint::new(&settings.url, settings.token.as_deref())?,
        mix: settings.mix,
        run,
        connections: Semaphore::new(usize::try_from(settings.connections).unwrap_or(usize::MAX)),
    });
    // Not by the chance of the arrivals: a late call would be of one kind.
    let mut calls = CallGenerator::new(settings.mix, settings.users, !seed);
    let mut books = ExpectedBalances::default();
    grant_initial_credits(&target, &settings.url, calls.first_grants(), &mut books).await?;
    let mut report = Report::new(asked);
    let arrivals = Arrivals::new(settings.spacing, settings.rate, seed);
    let arrivals = arrivals.take_while({
        let lasting = settings.lasting;
        move |at| *at < lasting
    });
    let expected = u64::from(settings.rate).saturating_mul(settings.lasting.as_secs().max(1));
    let mut progress = Progress::start(Some(expected), "calls");
    let (is_over, mut ends) = send_on_schedule(target.clone(), arrivals, calls);
    loop {
        tokio::select! {
            ended = ends.recv() => match ended {
                Some(ended) => note(&ended, &mut report, &mut books),
                None => break,
            },
            _ = tokio::signal::ctrl_c(), if !report.interrupted => {
                report.interrupted = true;
                is_over.store(true, Ordering::Relaxed);
                continue;
            }
        }
        progress.pass(1);
    }
    progress.end();
    check_balances(&target, &books, &mut report.books).await;
    report.write(&settings.folder)?;
    Ok(report)
}

/// Gives every wallet something to spend: the first one alone, to see whether that works.
async fn grant_initial_credits(
    target: &Target,
    url: &str,
    grants: Vec<Call>,
    books: &mut ExpectedBalances,
) -> Result<(), CliError> {
    let all = u64::try_from(grants.len()).unwrap_or(u64::MAX);
    let mut progress = Progress::start(Some(all), "first grants");
    let send = async |call| (call, target.send(call).await);
    let mut grants = grants.into_iter();
    let first = stream::iter(grants.next()).then(send);
    let others = stream::iter(grants).map(send).buffer_unordered(AT_ONCE);
    let mut answers = std::pin::pin!(first.chain(others));
    while let Some((call, answer)) = answers.next().await {
        let is_written = matches!(&answer, Response::Received(201, body) if body["trans_no"].is_string());
        if !is_written {
            return Err(answer.problem(url));
        }
        books.note(call, CallOutcome::Done);
        progress.pass(1);
    }
    progress.end();
    Ok(())
}

/// Sends each call when it arrives, from a thread of its own: a runtime's timers are too
/// coarse, and wait for whatever else it does. What is set ends the arrivals.
fn send_on_schedule(
    target: Arc<Target>,
    arrivals: impl Iterator<Item = Duration> + Send + 'static,
    mut calls: CallGenerator,
) -> (Arc<AtomicBool>, mpsc::UnboundedReceiver<CompletedCall>) {
    let (ended, ends) = mpsc::unbounded_channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let (runtime, is_stopped) = (Handle::current(), is_over.clone());
    spawn_blocking(move || {
        let began = Instant::now();
        for at in arrivals {
            std::thread::sleep((began + at).saturating_duration_since(Instant::now()));
            if is_stopped.load(Ordering::Relaxed) {
                return;
            }
            let (call, target, ended) = (calls.at(at), target.clone(), ended.clone());
            runtime.spawn(async move {
                let _connection = target.connections.acquire().await;
                let waited = (began + at).elapsed();
                let answer = target.send(call).await;
                // Who listens does so until all have ended.
                let _ = ended.send(CompletedCall { call, at, waited, took: (began + at).elapsed(), answer });
            });
        }
    });
    (is_over, ends)
}

fn note(ended: &CompletedCall, report: &mut Report, books: &mut ExpectedBalances) {
    let CompletedCall { call, at, waited, took, answer } = ended;
    let known = answer.known();
    report.arrive(*at, *waited);
    report.end(call.operation(), *at, *took, answer.error().as_deref());
    report.books.open += u64::from(known == CallOutcome::Unknown && call.what != CallKind::Balance);
    books.note(*call, known);
}

/// Holds each balance against the books.
async fn check_balances(target: &Target, books: &ExpectedBalances, proof: &mut BalanceCheck) {
    let balances = stream::iter(books.balances()).map(async |(user, expected)| {
        let asked = Call { user, what: CallKind::Balance }.request(target.mix, &target.run);
        let Request { path, .. } = &asked;
        let fault_at = format!("GET {path}");
        let answer = target.endpoint.send(asked).await;
        (fault_at, expected, answer)
    });
    let mut balances = std::pin::pin!(balances.buffer_unordered(AT_ONCE));
    while let Some((asked, expected, answer)) = balances.next().await {
        proof.wallets += 1;
        let Response::Received(200, body) = answer else {
            proof.unread += 1;
            continue;
        };
        let found = body["balance"].as_u64();
        if !found.is_some_and(|found| expected.contains(&found)) {
            let (from, to, found) = (expected.start(), expected.end(), &body["balance"]);
            proof.wrong(format!("{asked}: {found}, and must be from {from} to {to}"));
        }
    }
}
