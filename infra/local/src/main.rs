//! The whole stack in one process, on loopback: the HTTP API and an embedded
//! DynamoDB engine, with the functions' own code between them.

mod authorizer;
mod console;
mod cost;
mod engine;
mod figures;
mod gateway;
mod http_api;
mod options;

use std::{io::Write, net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use scrip::{
    callback::{Callbacks, Secrets},
    ledger::{ClockAndRandom, Ledger},
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
    authorizer::Authorizer, console::Console, engine::Engine, figures::Figures, gateway::Gateway,
    http_api::HttpApi, options::Options,
};

/// The time that pending requests have to end after a signal.
const SHUTDOWN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // What the functions would log on Lambda; the engine answers for itself.
    let ours = Targets::new().with_target("scrip", Level::WARN);
    tracing_subscriber::registry().with(layer().with_writer(std::io::stderr).with_filter(ours)).init();
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), String> {
    let listener = bind(options.port, "--port").await?;
    let (engine, connection, place) = match options.dynamodb_endpoint {
        Some(endpoint) => (None, Connection::to(endpoint.clone()), format!("{endpoint} (not started here)")),
        None => {
            let storage = (!options.memory).then_some(options.data_dir.as_path());
            let engine = Engine::start(bind(options.dynamodb_port, "--dynamodb-port").await?, storage)?;
            let place = format!("{}, {}", engine.endpoint, engine.place);
            let connection = embedded(engine.endpoint.clone());
            (Some(engine), connection, place)
        }
    };
    let client = connection.client().await;
    let store = Store::new(client.clone(), TABLE);
    store.create_table().await.map_err(|error| no_table(&error, &place))?;
    let ledger = Ledger::new(store, ClockAndRandom::system());
    let authorizer = options.jwt_secret.as_deref().map(Authorizer::new);
    // There is no Step Functions here: no execution waits for a call-back.
    let callbacks = Callbacks { secrets: Secrets::fixed(options.webhook_secrets), executions: None };
    let app = App::new(ledger).with_callbacks(callbacks);
    let app = Arc::new(if authorizer.is_none() { app.without_authentication() } else { app });
    let figures = Figures::start()?;
    let port = port_of(&listener)?;
    let signalled = signalled()?;
    // One write, whose error is ignored: a reader may close the pipe after the first line.
    let _ = std::io::stdout().write_all(welcome(port, &place).as_bytes());
    let api = Arc::new(HttpApi { app, authorizer });
    let console = Console::new(api.clone(), client);
    let gateway = Gateway { api, figures: figures.clone(), console };
    let served = gateway::serve(listener, gateway, signalled, SHUTDOWN).await;
    if let Some(engine) = engine {
        let _ = timeout(SHUTDOWN, engine.stop()).await;
    }
    let _ = writeln!(std::io::stdout(), "{}", figures.summary());
    served
}

async fn bind(port: u16, flag: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{port}: {error}; choose another port with {flag}")
    })
}

fn port_of(listener: &TcpListener) -> Result<u16, String> {
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

fn embedded(endpoint: String) -> Connection {
    Connection { region: Some("local".to_owned()), endpoint: Some(endpoint), anonymous: true }
}

fn no_table(error: &StoreError, place: &str) -> String {
    match error {
        StoreError::Unavailable(_) => format!("cannot reach a DynamoDB engine at {place}"),
        StoreError::Denied(_) => format!("the DynamoDB engine at {place} refused the credentials"),
        error => format!("cannot make the table at {place}: {error:?}"),
    }
}

fn welcome(port: u16, place: &str) -> String {
    format!(
        r#"listening on http://127.0.0.1:{port}
DynamoDB at {place}, table {TABLE}
try: curl -s http://127.0.0.1:{port}/credits/grant \
       -d '{{"user_uuid":"u1","trans_type":"new_user","credits":100}}'
to look at: http://127.0.0.1:{port}/ in a browser
Ctrl-C ends it.
"#
    )
}

/// Waits for Ctrl-C or SIGTERM. From this call on, not from the first poll, neither ends the
/// process by itself.
fn signalled() -> Result<impl Future<Output = ()>, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
