//! The whole stack in one process, on loopback: the HTTP API and an embedded
//! DynamoDB engine, with the functions' own code between them.

mod engine;
mod gateway;
mod options;

use std::{net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use scrip::{
    ledger::{Ledger, Sources},
    store::{Connection, Store, StoreError, TABLE},
    transport::App,
};
use tokio::{net::TcpListener, signal, time::timeout};

use crate::{engine::Engine, options::Options};

/// How long requests under way may take to end after a signal.
const SHUTDOWN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
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
        Some(endpoint) => (None, external(endpoint.clone()), format!("{endpoint} (not started here)")),
        None => {
            let storage = (!options.memory).then_some(options.data_dir.as_path());
            let engine = Engine::start(bind(options.dynamodb_port, "--dynamodb-port").await?, storage)?;
            let place = format!("{}, {}", engine.endpoint, engine.place);
            let connection = embedded(engine.endpoint.clone());
            (Some(engine), connection, place)
        }
    };
    let store = Store::connect(connection, TABLE).await;
    store.create_table().await.map_err(|error| no_table(&error, &place))?;
    let ledger = Ledger::new(store, Sources::system());
    let app = App { ledger, admits_anyone: true };
    let port = port_of(&listener)?;
    println!("listening on http://127.0.0.1:{port}");
    println!("DynamoDB at {place}, table {TABLE}");
    println!("try: curl -s http://127.0.0.1:{port}/credits/grant \\");
    println!("       -d '{{\"user_uuid\":\"u1\",\"trans_type\":\"new_user\",\"credits\":100}}'");
    println!("Ctrl-C ends it.");
    let served = gateway::serve(listener, Arc::new(app), until_signal(), SHUTDOWN).await;
    if let Some(engine) = engine {
        let _ = timeout(SHUTDOWN, engine.stop()).await;
    }
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

/// Another engine takes the credentials and the region of the environment, where
/// there are any.
fn external(endpoint: String) -> Connection {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let anonymous = set("AWS_ACCESS_KEY_ID").is_none() && set("AWS_PROFILE").is_none();
    let region = set("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
    Connection { region: Some(region), endpoint: Some(endpoint), anonymous }
}

fn no_table(error: &StoreError, place: &str) -> String {
    match error {
        StoreError::Unavailable(_) => format!("cannot reach a DynamoDB engine at {place}"),
        StoreError::Denied(_) => format!("the DynamoDB engine at {place} refused the credentials"),
        error => format!("cannot make the table at {place}: {error:?}"),
    }
}

/// Ends when the process is told to: Ctrl-C, or SIGTERM.
async fn until_signal() {
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminated => {}
    }
}
