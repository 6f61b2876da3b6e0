//! The whole stack in one process: the HTTP API, the functions and an embedded DynamoDB
//! engine.

mod authorizer;
mod console;
mod engine;
mod gateway;
mod holds;
mod http_api;
mod in_process;
mod log_sync;
mod metrics;
mod options;
mod server_timing;
mod test_clock;
mod wallet_locks;

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use mimalloc::MiMalloc;
use scrip::{
    callback::{Callbacks, Secrets},
    ledger::{ClockAndRandom, Ledger},
    payments::Payments,
    store::{Connection, Store, StoreError, TABLE},
    transport::App,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt::layer, prelude::*};

use crate::{
    authorizer::Authorizer,
    console::Console,
    engine::{Engine, from_this_machine},
    gateway::Gateway,
    holds::sweep_regularly,
    http_api::HttpApi,
    metrics::Metrics,
    options::Options,
    test_clock::TestClock,
    wallet_locks::WalletLocks,
};

/// A wallet whose version is more than an hour ahead of the clock is not changed.
const FUTURE_WARNING: &str = "warning: --test-clock moves stored wallets into the future; after a restart they reject \
    changes until the clock has reached them; use --memory";

/// Time for pending requests to end after a signal.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// The system's allocator takes a sixth of the time of a request.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Logs of the functions only. The engine has its own, which would hide them.
    let functions = Targets::new().with_target("scrip", Level::WARN);
    tracing_subscriber::registry().with(layer().with_writer(std::io::stderr).with_filter(functions)).init();
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), String> {
    let listener = bind(options.host, options.port, "--port").await?;
    let (engine, client, location) = match options.dynamodb_endpoint {
        Some(endpoint) => {
            (None, Connection::to(endpoint.clone()).client().await, format!("{endpoint} (external)"))
        }
        None => {
            let storage = (!options.memory).then_some(options.data_dir.as_path());
            let listener = bind(options.host, options.dynamodb_port, "--dynamodb-port").await?;
            let engine = Engine::start(listener, storage)?;
            let location = format!("{}, {}", engine.endpoint, engine.storage);
            // The functions reach the engine in process. Its port is for other tools.
            let client = in_process::client(engine.database.clone(), engine.log.clone());
            (Some(engine), client, location)
        }
    };
    let store = Store::new(client.clone(), TABLE);
    store.create_table().await.map_err(|error| table_error(&error, &location))?;
    let test_clock = options.test_clock.then(TestClock::default);
    let sources = test_clock.as_ref().map_or_else(ClockAndRandom::system, TestClock::sources);
    let ledger = Ledger::new(store, sources);
    let authorizer = options.jwt_secret.as_deref().map(Authorizer::new);
    // Step Functions does not run here, so no execution waits for a call-back.
    let callbacks = Callbacks {
        tolerance: options.webhook_tolerance,
        ..Callbacks::signed_with(Secrets::fixed(options.webhook_secrets))
    };
    let payments = Payments::signed_with(Secrets::fixed(options.stripe_secrets));
    let app = App::new(ledger).with_callbacks(callbacks).with_payments(payments);
    let app = app.with_scope_prefix(options.scope_prefix);
    let app = Arc::new(if authorizer.is_none() { app.without_authentication() } else { app });
    let metrics = Metrics::start()?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let signal = shutdown_signal()?;
    // One write, whose error is ignored: a reader may close the pipe after the first line.
    let _ = std::io::stdout().write_all(start_message(address, &location).as_bytes());
    let sweeps = tokio::spawn(sweep_regularly(app.clone()));
    let api = Arc::new(HttpApi { app, authorizer, locks: WalletLocks::default() });
    if !address.ip().is_loopback() {
        eprintln!("{}", exposure(address, &api, engine.is_some()));
    }
    if test_clock.is_some() && !options.memory {
        eprintln!("{FUTURE_WARNING}");
    }
    let console = Console::new(api.clone(), client);
    let log = engine.as_ref().and_then(|engine| engine.log.clone());
    let gateway = Gateway { api, metrics: metrics.clone(), console, test_clock, log };
    let result = gateway::serve(listener, gateway, signal, SHUTDOWN_GRACE_PERIOD).await;
    sweeps.abort();
    // Until it has ended, a sweep may report that the engine has stopped.
    let _ = sweeps.await;
    if let Some(engine) = engine {
        let _ = timeout(SHUTDOWN_GRACE_PERIOD, engine.stop()).await;
    }
    let _ = writeln!(std::io::stdout(), "{}", metrics.summary());
    result
}

async fn bind(host: IpAddr, port: u16, flag: &str) -> Result<TcpListener, String> {
    let address = SocketAddr::new(host, port);
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; use {flag} to choose another port"))
}

fn table_error(error: &StoreError, location: &str) -> String {
    match error {
        StoreError::Unavailable(_) => format!("cannot reach a DynamoDB engine at {location}"),
        StoreError::Denied(_) => format!("the DynamoDB engine at {location} rejected the credentials"),
        error => format!("cannot create the table at {location}: {error:?}"),
    }
}

fn start_message(address: SocketAddr, location: &str) -> String {
    let near = from_this_machine(address);
    format!(
        r#"listening on http://{address}
DynamoDB at {location}, table {TABLE}
try: curl -s http://{near}/credits/grant \
       -d '{{"user_uuid":"u1","trans_type":"new_user","credits":100}}'
console: http://{near}/
Press Ctrl-C to stop.
"#
    )
}

/// What other machines may do, for a stack that does not listen on loopback.
fn exposure(address: SocketAddr, api: &HttpApi, has_engine: bool) -> String {
    let callers =
        if api.requires_token() { "every caller with a token" } else { "every caller, without a token" };
    let engine = if has_engine { ", and the DynamoDB engine accepts every caller" } else { "" };
    format!("warning: other machines reach {address}: the HTTP API accepts {callers}{engine}")
}

/// Completes on SIGINT or SIGTERM. The handlers are installed by this call, not by the first
/// poll, so that neither signal kills the process afterwards.
fn shutdown_signal() -> Result<impl Future<Output = ()>, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
