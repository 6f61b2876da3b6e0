//! The harness of the tests, for the fuzz targets.

#![forbid(unsafe_code)]

#[path = "../support/event.rs"]
mod event;
#[path = "../support/fuzz/mod.rs"]
pub mod fuzz;
#[path = "../support/stand_in.rs"]
mod stand_in;
