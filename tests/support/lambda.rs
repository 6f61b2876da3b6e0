//! A function's program in Lambda's environment, with a table of its own.

use serde_json::Value;

use crate::{
    Clock, TestLedger,
    mock_runtime_api::{FunctionProcess, InvocationResult},
    test_ledger::start_embedded_engine,
};

/// Replaced by the engine's endpoint in the value of an environment variable.
pub const ENGINE_PLACEHOLDER: &str = "the engine's endpoint";

/// A function's process and its table. Dropping this kills the process.
pub struct Lambda {
    /// The ledger, without the function.
    pub ledger: TestLedger,
    process: FunctionProcess,
}

impl Lambda {
    /// Starts a function's program with these environment variables and Lambda's.
    pub async fn start(binary: &str, environment: &[(&str, &str)]) -> Lambda {
        let engine = start_embedded_engine().await;
        let ledger = TestLedger::at(&engine, Clock::running()).await;
        let mut command = FunctionProcess::command(binary);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", &engine)
            .env("SCRIP_TABLE", &ledger.table)
            .envs(environment.iter().map(|(name, value)| (name, value.replace(ENGINE_PLACEHOLDER, &engine))));
        Lambda { ledger, process: FunctionProcess::start(command).await }
    }

    /// Kills the function. Returns its outputs.
    pub async fn into_output(self) -> String {
        self.process.into_output().await
    }

    /// Invokes the function with a payload.
    pub async fn invoke(&mut self, payload: &Value) -> InvocationResult {
        self.invoke_raw(payload.to_string()).await
    }

    /// Invokes the function with the text of a payload.
    pub async fn invoke_raw(&mut self, payload: String) -> InvocationResult {
        self.process.send(payload).await;
        self.process.next_result().await.1
    }
}
