//! A load generator: calls an HTTP API as apps do and reports latencies.
//!
//! Arrival times do not depend on earlier responses, and each call is timed from its arrival:
//! a slow service does not get fewer calls, and waiting time counts.

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
use mix::{Call, CallGenerator, CallKind};

/// Concurrent calls outside of the measurement.
const CONCURRENT_CALLS: usize = 8;

/// Options of the command `bench`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// URL of the HTTP API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    pub url: String,
    /// Token that may write for any user, if the API requires one
    #[arg(long, value_name = "TOKEN", env = "SCRIP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// App whose calls are generated
    #[arg(long, value_enum, default_value_t = Mix::Generation)]
    pub mix: Mix,
    /// Arrivals a second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Duration of the arrivals, such as 10m
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Distribution of the gaps between arrivals
    #[arg(long, value_enum, default_value_t = Spacing::Poisson)]
    pub spacing: Spacing,
    /// Number of users; the mix hot has one wallet
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub users: u32,
    /// Limit of calls in flight; the waiting time of further calls counts
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Seed of arrivals and calls, to repeat a run
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Folder for report.json and the plots
    #[arg(long, value_name = "DIR", default_value = "scrip-bench")]
    pub folder: PathBuf,
}

struct CompletedCall {
    call: Call,
    /// Time of arrival since the start.
    arrived_at: Duration,
    /// From the arrival to the departure.
    waited: Duration,
    /// From the arrival to the response.
    latency: Duration,
    response: Response,
}

struct Target {
    endpoint: Endpoint,
    mix: Mix,
    /// Prefix of all names of the run.
    run: String,
    connections: Semaphore,
}

impl Target {
    async fn send(&self, call: Call) -> Response {
        self.endpoint.send(call.request(self.mix, &self.run)).await
    }
}

/// Runs until the end of the duration or Ctrl-C, and writes the report and the plots.
///
/// # Errors
/// The URL or the token is invalid, the first grants fail, or a file cannot be written.
pub async fn bench(settings: &Settings) -> Result<Report, CliError> {
    let seed = settings.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 32);
    let run = format!("bench-{}", Uuid::new_v4().simple());
    let run_settings = RunSettings {
        url: settings.url.clone(),
        run: run.clone(),
        mix: settings.mix,
        rate: settings.rate,
        wallets: settings.mix.wallets(settings.users),
        seed,
        seconds: settings.duration.as_secs(),
    };
    let target = Arc::new(Target {
        endpoint: Endpoint::new(&settings.url, settings.token.as_deref())?,
        mix: settings.mix,
        run,
        connections: Semaphore::new(usize::try_from(settings.connections).unwrap_or(usize::MAX)),
    });
    // Another seed than the arrivals', so that gaps and kinds of calls are independent.
    let mut calls = CallGenerator::new(settings.mix, settings.users, !seed);
    let mut balances = ExpectedBalances::default();
    grant_initial_credits(&target, &settings.url, calls.first_grants(), &mut balances).await?;
    let mut report = Report::new(run_settings);
    let arrivals = Arrivals::new(settings.spacing, settings.rate, seed);
    let arrivals = arrivals.take_while({
        let duration = settings.duration;
        move |at| *at < duration
    });
    let expected = u64::from(settings.rate).saturating_mul(settings.duration.as_secs().max(1));
    let mut progress = Progress::start(Some(expected), "calls");
    let (is_stopped, mut completed) = send_on_schedule(target.clone(), arrivals, calls);
    loop {
        tokio::select! {
            call = completed.recv() => match call {
                Some(call) => record_call(&call, &mut report, &mut balances),
                None => break,
            },
            _ = tokio::signal::ctrl_c(), if !report.interrupted => {
                report.interrupted = true;
                is_stopped.store(true, Ordering::Relaxed);
                continue;
            }
        }
        progress.advance(1);
    }
    progress.finish();
    check_balances(&target, &balances, &mut report.balance_check).await;
    report.write(&settings.folder)?;
    Ok(report)
}

/// Grants credits to every wallet; the first grant alone, to detect a wrong URL or token.
async fn grant_initial_credits(
    target: &Target,
    url: &str,
    grants: Vec<Call>,
    balances: &mut ExpectedBalances,
) -> Result<(), CliError> {
    let total = u64::try_from(grants.len()).unwrap_or(u64::MAX);
    let mut progress = Progress::start(Some(total), "first grants");
    let send = async |call| (call, target.send(call).await);
    let mut grants = grants.into_iter();
    let first = stream::iter(grants.next()).then(send);
    let others = stream::iter(grants).map(send).buffer_unordered(CONCURRENT_CALLS);
    let mut responses = std::pin::pin!(first.chain(others));
    while let Some((call, response)) = responses.next().await {
        let is_written = matches!(&response, Response::Received(201, body) if body["trans_no"].is_string());
        if !is_written {
            return Err(response.setup_error(url));
        }
        balances.record(call, CallOutcome::Done);
        progress.advance(1);
    }
    progress.finish();
    Ok(())
}

/// Sends each call at its arrival time, from a thread of its own: the runtime's timers are too
/// coarse and wait for other tasks. Setting the flag ends the arrivals.
fn send_on_schedule(
    target: Arc<Target>,
    arrivals: impl Iterator<Item = Duration> + Send + 'static,
    mut calls: CallGenerator,
) -> (Arc<AtomicBool>, mpsc::UnboundedReceiver<CompletedCall>) {
    let (sender, completed) = mpsc::unbounded_channel();
    let is_stopped = Arc::new(AtomicBool::new(false));
    let (runtime, stop_flag) = (Handle::current(), is_stopped.clone());
    spawn_blocking(move || {
        let started_at = Instant::now();
        for at in arrivals {
            std::thread::sleep((started_at + at).saturating_duration_since(Instant::now()));
            if stop_flag.load(Ordering::Relaxed) {
                return;
            }
            let (call, target, sender) = (calls.next_call(at), target.clone(), sender.clone());
            runtime.spawn(async move {
                let _connection = target.connections.acquire().await;
                let waited = (started_at + at).elapsed();
                let response = target.send(call).await;
                let latency = (started_at + at).elapsed();
                // The receiver lives until all senders are dropped.
                let _ = sender.send(CompletedCall { call, arrived_at: at, waited, latency, response });
            });
        }
    });
    (is_stopped, completed)
}

fn record_call(completed: &CompletedCall, report: &mut Report, balances: &mut ExpectedBalances) {
    let CompletedCall { call, arrived_at, waited, latency, response } = completed;
    let outcome = response.outcome();
    report.record_arrival(*arrived_at, *waited);
    report.record_completion(call.operation(), *arrived_at, *latency, response.error().as_deref());
    let is_unknown_write = outcome == CallOutcome::Unknown && call.kind != CallKind::Balance;
    report.balance_check.unknown_writes += u64::from(is_unknown_write);
    balances.record(*call, outcome);
}

/// Compares each balance with the expected one.
async fn check_balances(target: &Target, expected: &ExpectedBalances, check: &mut BalanceCheck) {
    let balances = stream::iter(expected.ranges()).map(async |(user, expected)| {
        let request = Call { user, kind: CallKind::Balance }.request(target.mix, &target.run);
        let path = request.path.clone();
        (path, expected, target.endpoint.send(request).await)
    });
    let mut balances = std::pin::pin!(balances.buffer_unordered(CONCURRENT_CALLS));
    while let Some((path, expected, response)) = balances.next().await {
        check.wallets += 1;
        let Response::Received(200, body) = response else {
            check.unread += 1;
            continue;
        };
        let found = body["balance"].as_u64();
        if !found.is_some_and(|found| expected.contains(&found)) {
            let (lowest, highest, found) = (expected.start(), expected.end(), &body["balance"]);
            check.add_wrong_balance(format!("GET {path}: {found}, expected {lowest} to {highest}"));
        }
    }
}
