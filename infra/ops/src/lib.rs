//! What operators do from outside: out of the old table of credits into the ledger and
//! back, the ledger's whole table into a file and back, a wallet put right, and load on the
//! HTTP API.
//!
//! The old table had a row for everything: positive for credits that came,
//! negative for credits that went, and a positive one again for a refund. A
//! balance was the sum of the rows that had not run out.

pub mod bench;
pub mod cli_error;
pub mod copy;
pub mod legacy;
pub mod migrate;
pub mod plan;
pub mod progress;
pub mod repair;
pub mod rollback;
pub mod users;
pub mod verify;
