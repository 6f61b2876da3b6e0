//! The functions on a real engine, through the official SDK, one table a test.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod alarms;
mod audit;
mod contention;
mod costs;
mod delayed_visibility;
mod documents;
mod errors;
mod events;
mod faults;
mod fuzz;
mod grants;
mod history;
mod limits;
mod races;
mod refunds;
mod repair;
mod requests;
mod rounds;
mod secrets;
mod template;
mod webhook;
mod workflows;
mod write_path;
