//! What Lambda is to a function: the environment, and the runtime interface that
//! hands it one event after another.

use serde_json::Value;

use crate::{
    Bench, Clock,
    bench::embedded,
    instance::{Ended, Instance},
};

/// Stands for the engine's endpoint in the value of a variable.
pub const ENGINE: &str = "the engine's endpoint";

/// The function under a stand-in for Lambda, with a table of its own; it is gone
/// when this is.
pub struct Lambda {
    /// The table, past the function.
    pub bench: Bench,
    instance: Instance,
}

impl Lambda {
    /// Starts the function of this binary, with these variables beside Lambda's own.
    pub async fn start(binary: &str, environment: &[(&str, &str)]) -> Lambda {
        let engine = embedded().await;
        let bench = Bench::at(&engine, Clock::running()).await;
        let mut command = Instance::command(binary);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", &engine)
            .env("SCRIP_TABLE", &bench.table)
            .envs(environment.iter().map(|(name, value)| (name, value.replace(ENGINE, &engine))));
        Lambda { bench, instance: Instance::start(command).await }
    }

    /// Ends the function: all that it has said.
    pub async fn ended(self) -> String {
        self.instance.ended().await
    }

    /// Invokes the function with a payload.
    pub async fn invoke(&mut self, payload: &Value) -> Ended {
        self.invoke_raw(payload.to_string()).await
    }

    /// Invokes the function with a payload as it is.
    pub async fn invoke_raw(&mut self, payload: String) -> Ended {
        self.instance.send(payload).await;
        self.instance.ending().await.1
    }
}
