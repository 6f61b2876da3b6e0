//! Events in, answers out: what a caller sees.
//!
//! A request's way: [`Function`] takes the event of Lambda, `event` says what it
//! carries, `route` which operation it asks for, `caller` who asks; the operation
//! in [`functions`] reads its fields by `form` and `field`, calls the ledger and
//! answers by `answer`; `reply` and `failure` give the answer, or the error, the
//! form of the door it came in by.

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
pub mod telemetry;

pub use app::App;
pub use audit::Audit;
pub use error::{ErrorKind, RequestError};
pub use event::Payload;
pub use failure::Failure;
pub use function::Function;
pub use reply::Reply;
pub use route::{ROUTES, Route};
pub use runtime::{run, run_audit, run_webhook};
pub use telemetry::Metrics;
