//! Integration tests: the functions on a real engine, through the AWS SDK. Each test has a
//! table of its own.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod alarms;
mod audit;
mod audit_batches;
mod blocks;
mod callbacks;
mod concurrency;
mod contention;
mod delayed_visibility;
mod documents;
mod errors;
mod events;
mod faults;
mod fuzz;
mod grants;
mod history;
mod holds;
mod limits;
mod metadata;
mod orders;
mod outputs;
mod payments;
mod refunds;
mod repair;
mod request_costs;
mod requests;
mod retries;
mod revoke;
mod secrets;
mod settle;
mod template;
mod webhook;
mod workflows;
mod write_path;
