//! What the tests stand on: a table of their own on a real engine, the wire
//! between SDK and engine, and a clock that they move.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test ends by panicking")]

mod bench;
mod clock;
mod damage;
pub mod emf;
mod event;
pub mod fuzz;
mod lambda;
pub mod secrets;
mod wire;

pub use bench::{Bench, Http, engine_is_external};
pub use clock::Clock;
pub use damage::{DAMAGES, Damage, Repair};
pub use event::{
    FUNCTIONS, WEBHOOK_SECRET, callbacks_signed_with, direct_event, function_at, http_event, invoke,
    signature,
};
pub use lambda::{ENGINE, Lambda};
pub use wire::{Fault, Sent, Wire};
