//! Helpers of the tests: a ledger with a table of its own on a real engine, an HTTP client that
//! injects faults, and a clock that the test moves.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by a panic")]

mod callgrind;
mod clock;
pub mod cloudwatch_emf;
pub mod contention;
mod corruption;
pub mod engine;
mod event;
mod fault_injecting_client;
pub mod fuzz;
mod lambda;
mod mock_http;
mod mock_runtime_api;
pub mod planted_secrets;
pub mod postgres;
pub mod process;
#[path = "../prototypes/single_round_trip/mod.rs"]
pub mod single_round_trip;
mod test_ledger;
mod tls_proxy;

pub use callgrind::instructions;
pub use clock::{Clock, seeded_uuid};
pub use corruption::{CORRUPTIONS, Corruption, RepairOutcome};
pub use event::{
    STRIPE_SECRET, WEBHOOK_SECRET, callback_token, callbacks_signed_with, deliver, direct_event, function_at,
    http_event, invoke, payments_signed_with, signature, standard_signature,
};
pub use fault_injecting_client::{Fault, FaultInjectingClient, RecordedRequest};
pub use lambda::{ENGINE_PLACEHOLDER, Lambda};
pub use mock_http::{http_response, mock_http_client, mock_json_client, operation};
pub use mock_runtime_api::{FunctionProcess, InvocationResult};
pub use test_ledger::{HttpResponse, TestLedger, engine_is_external, start_embedded_engine};
pub use tls_proxy::TlsProxy;
