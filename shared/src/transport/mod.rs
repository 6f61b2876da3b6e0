//! The interface to callers: events, operations and responses.
//!
//! [`Function`] parses the event of Lambda (`event`), finds the operation and its caller
//! (`operation`, `caller`), and runs it. An operation in [`functions`] reads its fields
//! (`request_fields`, `field`), calls the ledger and returns its answer (`answer`). `reply`
//! and `failure` write the answer or the error for HTTP or for a direct invocation.

mod answer;
mod app;
mod audit;
mod caller;
mod cursor;
mod error;
mod event;
mod failure;
mod field;
mod function;
pub mod functions;
mod log;
mod operation;
mod reply;
mod request_fields;
mod route;
mod runtime;
mod sweep;
pub mod telemetry;

pub use app::App;
pub use audit::Audit;
pub use error::{ErrorKind, RequestError};
pub use event::Payload;
pub use failure::Failure;
pub use function::Function;
pub use reply::Reply;
pub use route::{ROUTES, Route};
pub use runtime::{run, run_audit, run_payments, run_sweep, run_webhook};
pub use sweep::Sweep;
pub use telemetry::MetricHandles;
