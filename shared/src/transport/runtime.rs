use std::{env, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};

use super::{App, Function, Payload, log};
use crate::{
    ledger::{Ledger, Sources},
    store::{Connection, Store, TABLE},
};

/// What the environment says, read once at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table's name.
    pub table: String,
    /// How to reach it.
    pub connection: Connection,
    /// As [`App::admits_anyone`] says.
    pub admits_anyone: bool,
}

impl Config {
    /// From `SCRIP_TABLE`, `SCRIP_ADMIT_ANYONE` (`true`; off otherwise),
    /// `AWS_REGION`, and `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
    /// An empty variable is none.
    pub fn from_env() -> Config {
        Config {
            table: variable("SCRIP_TABLE").unwrap_or_else(|| TABLE.to_owned()),
            connection: Connection {
                region: variable("AWS_REGION"),
                endpoint: variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| variable("AWS_ENDPOINT_URL")),
                anonymous: false,
            },
            admits_anyone: variable("SCRIP_ADMIT_ANYONE").as_deref() == Some("true"),
        }
    }
}

/// A variable of the environment; an empty one is none.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl App {
    /// What this configuration describes.
    pub async fn start(config: Config) -> App {
        let store = Store::connect(config.connection, config.table).await;
        App { ledger: Ledger::new(store, Sources::system()), admits_anyone: config.admits_anyone }
    }
}

/// Serves a function's events until Lambda ends the process.
///
/// # Errors
/// When Lambda's runtime interface cannot be reached.
pub async fn run(function: Function) -> Result<(), lambda_runtime::Error> {
    log::start();
    let app = Arc::new(App::start(Config::from_env()).await);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| function.handle(app.clone(), event)))
        .await
}
