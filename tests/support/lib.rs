//! What the tests stand on: a table of their own on a real engine, the wire
//! between SDK and engine, and a clock that they move.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test ends by panicking")]

mod bench;
mod callgrind;
mod clock;
pub mod contention;
mod damage;
pub mod emf;
pub mod engine;
mod event;
pub mod fuzz;
mod instance;
mod lambda;
pub mod secrets;
#[path = "../prototypes/single_round_trip/mod.rs"]
pub mod single_round_trip;
mod stand_in;
mod tls;
mod wire;

pub use bench::{Bench, Http, embedded, engine_is_external};
pub use callgrind::instructions;
pub use clock::{Clock, drawn};
pub use damage::{DAMAGES, Damage, Repair};
pub use event::{
    WEBHOOK_SECRET, callbacks_signed_with, deliver, direct_event, function_at, http_event, invoke, signature,
};
pub use instance::{Ended, Instance};
pub use lambda::{ENGINE, Lambda};
pub use stand_in::{answered, operation, stand_in};
pub use tls::Tls;
pub use wire::{Fault, Sent, Wire};
